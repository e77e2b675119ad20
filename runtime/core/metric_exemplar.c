/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Exemplars of a histogram: per bucket one call that fell in it.
 *
 * All threads share a bucket's slot, and it is written once a second at most,
 * so that nearly every observation costs no more than reading its time.  The
 * slot is a seqlock whose writers never wait: who finds another one writing
 * leaves it alone.  Its words are atomic, stored with release and loaded with
 * acquire, so that whoever reads a word of a later writer finds the sequence
 * changed, too, without a fence (H.-J. Boehm, "Can Seqlocks Get Along With
 * Programming Language Memory Models?", MSPC 2012).
 */

#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric_priv.h"
#include "core/os.h"

#define KEPT_MS	   1000
#define READ_TRIES 8
#define WORDS	   (sizeof(struct exemplar) / sizeof(uint64_t))

_Static_assert(sizeof(struct exemplar) % sizeof(uint64_t) == 0,
	       "an exemplar is whole words");

struct exemplar_slot {
	_Atomic uint32_t sequence;     /* odd: somebody writes */
	_Atomic int64_t time_ms;       /* of what is in it, 0: nothing */
	_Atomic uint64_t words[WORDS]; /* a struct exemplar */
};

/* False: another one writes. */
static bool slot_write(struct exemplar_slot *slot, const struct exemplar *is)
{
	uint32_t sequence =
		atomic_load_explicit(&slot->sequence, memory_order_relaxed);
	uint64_t words[WORDS];

	if (sequence % 2 != 0 ||
	    !atomic_compare_exchange_strong_explicit(
		    &slot->sequence, &sequence, sequence + 1,
		    memory_order_acquire, memory_order_relaxed))
		return false;
	memcpy(words, is, sizeof(words));
	for (size_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&slot->words[i], words[i],
				      memory_order_release);
	atomic_store_explicit(&slot->time_ms, is->time_ms,
			      memory_order_relaxed);
	atomic_store_explicit(&slot->sequence, sequence + 2,
			      memory_order_release);
	return true;
}

static bool slot_read(const struct exemplar_slot *slot, struct exemplar *is_r)
{
	uint64_t words[WORDS];

	for (int tries = 0; tries < READ_TRIES; tries++) {
		uint32_t sequence = atomic_load_explicit(&slot->sequence,
							 memory_order_acquire);

		if (sequence % 2 != 0)
			continue;
		for (size_t i = 0; i < WORDS; i++)
			words[i] = atomic_load_explicit(&slot->words[i],
							memory_order_acquire);
		if (atomic_load_explicit(&slot->sequence,
					 memory_order_relaxed) != sequence)
			continue;
		memcpy(is_r, words, sizeof(words));
		return is_r->time_ms != 0;
	}
	return false;
}

static struct exemplar_slot *slots_of(_Atomic(struct exemplar_slot *) *slots,
				      size_t count)
{
	struct exemplar_slot *now =
		atomic_load_explicit(slots, memory_order_acquire);
	struct exemplar_slot *made;

	if (now != NULL)
		return now;
	made = mem_array(count, sizeof(*made));
	if (made == NULL)
		return NULL;
	if (atomic_compare_exchange_strong_explicit(slots, &now, made,
						    memory_order_acq_rel,
						    memory_order_acquire))
		return made;
	mem_free(made);
	return now;
}

/* What never needs an escape; nothing else is an id of ours. */
static bool copy_id(char *to, size_t size, const char *id)
{
	size_t length = 0;

	for (; id != NULL && id[length] != '\0'; length++) {
		const char c = id[length];

		if (length + 1 == size || c <= ' ' || c >= 0x7f || c == '"' ||
		    c == '\\')
			return false;
		to[length] = c;
	}
	return true;
}

static void slot_replace(struct exemplar_slot *slot, double value,
			 int64_t time_ms, const struct metric_call *call)
{
	struct exemplar is = { .value = value, .time_ms = time_ms };

	if (copy_id(is.trace_id, sizeof(is.trace_id), call->trace_id) &&
	    copy_id(is.request_id, sizeof(is.request_id), call->request_id) &&
	    (is.trace_id[0] != '\0' || is.request_id[0] != '\0'))
		(void)slot_write(slot, &is);
}

void exemplar_put(_Atomic(struct exemplar_slot *) *slots, size_t count,
		  size_t bucket, double value, const struct metric_call *call)
{
	struct exemplar_slot *slot = slots_of(slots, count);
	const int64_t now = os.realtime_coarse_ms();
	int64_t then;

	if (slot == NULL)
		return;
	slot += bucket;
	then = atomic_load_explicit(&slot->time_ms, memory_order_relaxed);
	/* A clock that was set back must not keep the old one for long. */
	if (then == 0 || now < then || now - then >= KEPT_MS)
		slot_replace(slot, value, now, call);
}

bool exemplar_get(struct exemplar_slot *slots, size_t bucket,
		  struct exemplar *is_r)
{
	return slots != NULL && slot_read(&slots[bucket], is_r);
}

void exemplar_clear(struct exemplar_slot *slots, size_t count)
{
	static const struct exemplar none;

	for (size_t i = 0; slots != NULL && i < count; i++)
		(void)slot_write(&slots[i], &none);
}
