/* SPDX-License-Identifier: Apache-2.0 */
#include "limit/named.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "core/table.h"

#define LISTS	   16384 /* a power of two */
#define NAME_BYTES 96	 /* more than PRINCIPAL_NAME_MAX */
#define SWEEP_MS   10000

/* `uses`: who holds it now in the low half; in the high one how often it was
 * taken into use, so that who read the word sees that it was used since. */
#define ONE_MORE    ((UINT64_C(1) << 32) + 1)
#define ONE_LESS    UINT64_C(1)
#define USERS(uses) ((uint32_t)(uses))
#define DEAD	    UINT32_MAX /* users: being taken out */

struct named_limiter {
	struct limiter limiter;
	_Atomic uint64_t uses;
	_Atomic(struct named_limiter *) next; /* once added: control's */
	uint64_t hash;
	char name[NAME_BYTES];
};

static struct {
	_Atomic(struct named_limiter *) lists[LISTS];
	_Atomic size_t count;
	/* The numbers of new ones. */
	_Atomic int64_t requests_per_minute;
	_Atomic int64_t tokens_per_minute;
	_Atomic int64_t concurrent;
	struct named_limiter shared; /* by those who find no room */
	struct timer sweep;
	bool started;
	bool told_full;
} table;

static struct config_limits numbers(void)
{
	return (struct config_limits){
		.requests_per_minute = atomic_load(&table.requests_per_minute),
		.tokens_per_minute = atomic_load(&table.tokens_per_minute),
		.concurrent = atomic_load(&table.concurrent),
	};
}

bool named_limiters_in_force(void)
{
	return atomic_load_explicit(&table.requests_per_minute,
				    memory_order_relaxed) > 0 ||
	       atomic_load_explicit(&table.tokens_per_minute,
				    memory_order_relaxed) > 0 ||
	       atomic_load_explicit(&table.concurrent, memory_order_relaxed) >
		       0;
}

/* --- look-up ----------------------------------------------------------------- */

/* One more user, unless it is being taken out. */
static bool use(struct named_limiter *n)
{
	uint64_t uses = atomic_load_explicit(&n->uses, memory_order_relaxed);

	do {
		if (USERS(uses) == DEAD)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&n->uses, &uses, uses + ONE_MORE, memory_order_acq_rel,
		memory_order_relaxed));
	return true;
}

static struct named_limiter *find(struct named_limiter *first, uint64_t hash,
				  const char *name)
{
	for (struct named_limiter *n = first; n != NULL;
	     n = atomic_load_explicit(&n->next, memory_order_acquire))
		if (n->hash == hash && strcmp(n->name, name) == 0 && use(n))
			return n;
	return NULL;
}

static struct named_limiter *make(uint64_t hash, const char *name)
{
	struct config_limits limits = numbers();
	struct named_limiter *n;

	/* Cut off it would be another's, or nobody's. */
	if (strlen(name) >= sizeof(n->name))
		return NULL;
	if (atomic_fetch_add(&table.count, 1) >= NAMED_MAX)
		goto full;
	n = mem_zalloc(sizeof(*n));
	if (n == NULL)
		goto full;
	atomic_init(&n->uses, ONE_MORE);
	n->hash = hash;
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	/* Nobody else has seen it: it is as good as control's. */
	limiter_set(&n->limiter, &limits, os.monotonic_ns());
	return n;
full:
	atomic_fetch_sub(&table.count, 1);
	return NULL;
}

static void unmake(struct named_limiter *n)
{
	atomic_fetch_sub(&table.count, 1);
	mem_free(n);
}

struct named_limiter *named_limiter_of(const char *name)
{
	uint64_t hash = table_hash(name, strlen(name));
	_Atomic(struct named_limiter *) *list = &table.lists[hash % LISTS];
	struct named_limiter *first =
		atomic_load_explicit(list, memory_order_acquire);
	struct named_limiter *made = NULL, *found;

	while ((found = find(first, hash, name)) == NULL) {
		if (made == NULL)
			made = make(hash, name);
		if (made == NULL) {
			(void)use(&table.shared);
			return &table.shared;
		}
		atomic_store_explicit(&made->next, first, memory_order_relaxed);
		if (atomic_compare_exchange_strong_explicit(
			    list, &first, made, memory_order_acq_rel,
			    memory_order_acquire))
			return made;
	}
	if (made != NULL)
		unmake(made);
	return found;
}

struct limiter *named_limiter(struct named_limiter *named)
{
	return &named->limiter;
}

void named_limiter_release(struct named_limiter *named)
{
	if (named != NULL)
		atomic_fetch_sub_explicit(&named->uses, ONE_LESS,
					  memory_order_acq_rel);
}

/* --- taking out ---------------------------------------------------------------- */

static void released(void *object)
{
	mem_free(object);
}

/* Loops only add at the head: behind it the list is control's. */
static void take_out(_Atomic(struct named_limiter *) *list,
		     struct named_limiter *n)
{
	struct named_limiter *next = atomic_load(&n->next), *at = n;

	if (!atomic_compare_exchange_strong(list, &at, next)) {
		while (atomic_load(&at->next) != n)
			at = atomic_load(&at->next);
		atomic_store_explicit(&at->next, next, memory_order_release);
	}
	atomic_fetch_sub(&table.count, 1);
	qsbr_retire(released, n);
}

/* The word is read before the look at the limiter: one that is used and left
 * between this look and the swap is not as it was seen. */
static bool kill_if_idle(struct named_limiter *n, int64_t now_ns)
{
	uint64_t uses = atomic_load_explicit(&n->uses, memory_order_acquire);

	return USERS(uses) == 0 && limiter_is_idle(&n->limiter, now_ns) &&
	       atomic_compare_exchange_strong(&n->uses, &uses, uses | DEAD);
}

static void sweep_list(_Atomic(struct named_limiter *) *list, int64_t now_ns)
{
	struct named_limiter *n = atomic_load(list), *next;

	for (; n != NULL; n = next) {
		next = atomic_load(&n->next);
		if (kill_if_idle(n, now_ns))
			take_out(list, n);
	}
}

size_t named_limiters_sweep(void)
{
	int64_t now_ns = os.monotonic_ns();
	bool full = atomic_load(&table.count) >= NAMED_MAX;

	if (full && !table.told_full)
		log_printf(ATOM_LOG_WARN, "limiters_full",
			   "more than %d callers without an API key of their "
			   "own have called within a minute; the others "
			   "share one limit",
			   NAMED_MAX);
	table.told_full = full;
	if (atomic_load(&table.count) > 0)
		for (size_t i = 0; i < LISTS; i++)
			sweep_list(&table.lists[i], now_ns);
	return atomic_load(&table.count);
}

static void on_sweep(struct timer *timer)
{
	(void)named_limiters_sweep();
	(void)timer_set(loop_control(), timer, SWEEP_MS);
}

/* --- numbers --------------------------------------------------------------------- */

static void set_all(void)
{
	struct config_limits limits = numbers();
	int64_t now_ns = os.monotonic_ns();

	limiter_set(&table.shared.limiter, &limits, now_ns);
	for (size_t i = 0; i < LISTS; i++)
		for (struct named_limiter *n = atomic_load(&table.lists[i]);
		     n != NULL; n = atomic_load(&n->next))
			limiter_set(&n->limiter, &limits, now_ns);
}

/* What a loop made of the numbers before, and added after set_all() had gone
 * by: it has passed a quiet point since. */
static void on_quiet(void *object)
{
	(void)object;
	set_all();
}

static double count_now(void *argument)
{
	(void)argument;
	return (double)atomic_load(&table.count);
}

atom_status named_limiters_apply(const struct config_limits *limits,
				 struct atom_error *err)
{
	atomic_store(&table.requests_per_minute, limits->requests_per_minute);
	atomic_store(&table.tokens_per_minute, limits->tokens_per_minute);
	atomic_store(&table.concurrent, limits->concurrent);
	set_all();
	if (table.started) {
		qsbr_retire(on_quiet, &table);
		return ATOM_OK;
	}
	table.started = true;
	table.sweep.fire = on_sweep;
	(void)timer_set(loop_control(), &table.sweep, SWEEP_MS);
	return metric_gauge_callback(
		       "atomd_limiters",
		       "Limits kept for callers that have no API key of their own.",
		       count_now, NULL) == ATOM_OK
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM,
				   "no memory for atomd_limiters");
}

void named_limiters_fini(void)
{
	timer_stop(&table.sweep);
	for (size_t i = 0; i < LISTS; i++) {
		struct named_limiter *n =
			atomic_exchange(&table.lists[i], NULL);

		while (n != NULL) {
			struct named_limiter *next = atomic_load(&n->next);

			mem_free(n);
			n = next;
		}
	}
	atomic_store(&table.count, 0);
	table.started = false;
}
