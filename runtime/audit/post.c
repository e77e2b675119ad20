/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Posting: what any thread does with a record.
 *
 * The ring is bounded by bytes.  Calls may fill three quarters of it, the rest
 * is kept for control and security: when the disk is full or hangs the calls'
 * records go first, counted, then control is refused, and nothing else grows.
 */

#include "audit/audit_priv.h"
#include "core/os.h"

#define RING_BYTES	 ((size_t)64 * 1024 * 1024)
#define RING_BYTES_CALLS (RING_BYTES / 4 * 3)
/* Batched records wait this long, or until there are so many bytes. */
#define BATCHED_NS    ((int64_t)900 * 1000000)
#define BATCHED_BYTES ((size_t)512 * 1024)

static void count_gap(void)
{
	atomic_fetch_add(&audit.gaps, 1);
	atomic_fetch_add(&audit.gaps_seen, 1);
	metric_inc(audit.gap_count);
}

static void wake_soon(bool urgent)
{
	(void)pthread_mutex_lock(&audit.lock);
	if (urgent) {
		audit.urgent = true;
		/* Who lingers is not woken for each that comes. */
		if (atomic_load(&audit.waiters) >= audit.lingers_for)
			(void)pthread_cond_signal(&audit.wake);
	} else if (!audit.batched) {
		audit.batched = true;
		audit.batched_ns = os.monotonic_ns() + BATCHED_NS;
		(void)pthread_cond_signal(&audit.wake);
	}
	(void)pthread_mutex_unlock(&audit.lock);
}

static bool is_out_of_order(int state)
{
	return state == AUDIT_FAILING ||
	       sink_is_hanging(audit.required, SINK_HANG_NS);
}

static bool is_controls(const struct audit_waiter *waiter)
{
	return waiter != NULL && waiter->loop == loop_control();
}

/* Control does not end before it was told. */
static void owe(void)
{
	(void)pthread_mutex_lock(&audit.lock);
	audit.owed++;
	(void)pthread_mutex_unlock(&audit.lock);
}

/* May there be an entry?  *fails_r: its waiter would wait in vain. */
static atom_status ask(enum audit_urgency urgency,
		       const struct audit_waiter *waiter, bool *fails_r)
{
	const int state = atomic_load(&audit.state);

	if (state == AUDIT_OFF)
		return ATOM_ENOENT;
	if (state == AUDIT_BROKEN || state == AUDIT_ENDED)
		return ATOM_EUNAVAILABLE;
	/* The clock is read for those alone who would wait. */
	*fails_r = (is_controls(waiter) && audit.closed) ||
		   ((urgency == AUDIT_GATED || waiter != NULL) &&
		    is_out_of_order(state));
	return *fails_r && urgency == AUDIT_GATED ? ATOM_EUNAVAILABLE : ATOM_OK;
}

static atom_status put(struct audit_entry *entry, enum audit_urgency urgency,
		       struct audit_waiter *waiter, bool fails)
{
	const bool batched = urgency == AUDIT_BATCHED && waiter == NULL;
	size_t size, before;
	bool was_empty;

	if (entry == NULL) {
		if (urgency != AUDIT_GATED)
			count_gap();
		return ATOM_ENOMEM;
	}
	size = audit_entry_size(entry);
	before = atomic_fetch_add(&audit.waiting_bytes, size);
	if (before + size >
	    (urgency == AUDIT_BATCHED ? RING_BYTES_CALLS : RING_BYTES)) {
		atomic_fetch_sub(&audit.waiting_bytes, size);
		audit_entry_free(entry);
		if (urgency != AUDIT_GATED)
			count_gap();
		return ATOM_EUNAVAILABLE;
	}
	atomic_fetch_add(&audit.waiting, 1);
	if (!fails && waiter != NULL) {
		if (is_controls(waiter))
			owe();
		entry->waiter = waiter;
		atomic_fetch_add(&audit.waiters, 1);
	}
	was_empty = mailbox_put(&audit.entries, &entry->message);
	if (!batched ||
	    before / BATCHED_BYTES != (before + size) / BATCHED_BYTES)
		wake_soon(true);
	else if (was_empty)
		wake_soon(false);
	return fails && waiter != NULL ? ATOM_EUNAVAILABLE : ATOM_OK;
}

atom_status audit_post(const struct audit_record *record,
		       enum audit_urgency urgency, struct audit_waiter *waiter)
{
	bool fails;
	atom_status status = ask(urgency, waiter, &fails);

	if (status != ATOM_OK)
		return status;
	return put(audit_entry_new(record), urgency, waiter, fails);
}

atom_status audit_post_call(const struct audit_call *call,
			    enum audit_urgency urgency,
			    struct audit_waiter *waiter)
{
	bool fails;
	atom_status status = ask(urgency, waiter, &fails);

	if (status != ATOM_OK)
		return status;
	return put(audit_call_entry(call), urgency, waiter, fails);
}

bool audit_enabled(void)
{
	return atomic_load_explicit(&audit.state, memory_order_relaxed) !=
	       AUDIT_OFF;
}

enum config_audit_calls audit_calls(void)
{
	return (enum config_audit_calls)atomic_load_explicit(
		&audit.calls, memory_order_relaxed);
}
