/* SPDX-License-Identifier: Apache-2.0 */
#include "security/lockout.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/table.h"

#define SETS	      512
#define WAYS	      8
#define ADDRESS_BYTES 16
#define STRIKES_MAX   30

struct offender {
	uint8_t address[ADDRESS_BYTES];
	bool used;
	uint32_t failures; /* in the window */
	uint32_t strikes;  /* lock-outs that followed each other */
	int64_t window_began_ms;
	int64_t locked_until_ms;
};

/* A lock of its own each: loops that refuse meet only over one address. */
struct set {
	pthread_mutex_t lock;
	struct offender ways[WAYS];
};

static struct set sets[SETS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int64_t failures_max = 10;
static _Atomic int64_t window_ms = 60000;
static _Atomic int64_t ban_ms = 60000;
static _Atomic int64_t ban_max_ms = 3600000;
static metric_id locked_total;

static void make_locks(void)
{
	for (size_t i = 0; i < SETS; i++)
		(void)pthread_mutex_init(&sets[i].lock, NULL);
}

/* IPv4 as ::ffff:a.b.c.d, IPv6 without its lower half; what is no address,
 * "unix", as itself, which no address looks like. */
static void address_of(const char *text, uint8_t out[ADDRESS_BYTES])
{
	struct in6_addr v6;

	memset(out, 0, ADDRESS_BYTES);
	if (inet_pton(AF_INET, text, out + 12) == 1) {
		out[10] = out[11] = 0xff;
	} else if (inet_pton(AF_INET6, text, &v6) == 1) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&v6);

		memcpy(out, &v6, mapped ? ADDRESS_BYTES : ADDRESS_BYTES / 2);
	} else {
		memset(out, 0xff, ADDRESS_BYTES);
	}
}

/* The most guilty is kept; 0 is nobody. */
static int64_t guilt_of(const struct offender *o, int64_t now_ms)
{
	int64_t guilt = (int64_t)o->strikes * 1000000;

	if (!o->used)
		return -1;
	if (now_ms < o->locked_until_ms)
		return INT64_MAX / 2 + (o->locked_until_ms - now_ms);
	if (now_ms - o->locked_until_ms > atomic_load(&ban_max_ms))
		guilt = 0;
	if (now_ms - o->window_began_ms < atomic_load(&window_ms))
		guilt += o->failures;
	return guilt;
}

static struct offender *place_of(struct set *set,
				 const uint8_t address[ADDRESS_BYTES],
				 int64_t now_ms)
{
	struct offender *least = &set->ways[0];

	for (size_t i = 0; i < WAYS; i++)
		if (set->ways[i].used &&
		    memcmp(set->ways[i].address, address, ADDRESS_BYTES) == 0)
			return &set->ways[i];
	for (size_t i = 1; i < WAYS; i++)
		if (guilt_of(&set->ways[i], now_ms) < guilt_of(least, now_ms))
			least = &set->ways[i];
	*least = (struct offender){ .used = true, .window_began_ms = now_ms };
	memcpy(least->address, address, ADDRESS_BYTES);
	return least;
}

static int64_t ban_of(uint32_t strikes)
{
	int64_t longest = atomic_load(&ban_max_ms);
	int64_t ban = atomic_load(&ban_ms);

	for (; strikes > 0 && ban < longest; strikes--)
		ban *= 2;
	return ban < longest ? ban : longest;
}

static struct lockout_verdict judge(struct offender *o, int64_t now_ms)
{
	struct lockout_verdict verdict = { 0, false };

	if (now_ms < o->locked_until_ms) {
		verdict.locked_ms = o->locked_until_ms - now_ms;
		return verdict;
	}
	if (now_ms - o->locked_until_ms > atomic_load(&ban_max_ms))
		o->strikes = 0;
	if (now_ms - o->window_began_ms >= atomic_load(&window_ms)) {
		o->window_began_ms = now_ms;
		o->failures = 0;
	}
	if (++o->failures < atomic_load(&failures_max))
		return verdict;
	verdict.begun = true;
	verdict.locked_ms = ban_of(o->strikes);
	o->locked_until_ms = now_ms + verdict.locked_ms;
	o->strikes += o->strikes < STRIKES_MAX;
	o->failures = 0;
	return verdict;
}

struct lockout_verdict lockout_failed(const char *address, int64_t now_ms)
{
	struct lockout_verdict verdict = { 0, false };
	uint8_t bytes[ADDRESS_BYTES];
	struct set *set;

	if (atomic_load(&failures_max) == 0)
		return verdict;
	(void)pthread_once(&once, make_locks);
	address_of(address, bytes);
	set = &sets[table_hash(bytes, sizeof(bytes)) % SETS];
	(void)pthread_mutex_lock(&set->lock);
	verdict = judge(place_of(set, bytes, now_ms), now_ms);
	(void)pthread_mutex_unlock(&set->lock);
	if (verdict.begun)
		metric_inc(locked_total);
	return verdict;
}

size_t lockout_count(int64_t now_ms)
{
	size_t count = 0;

	(void)pthread_once(&once, make_locks);
	for (size_t i = 0; i < SETS; i++) {
		(void)pthread_mutex_lock(&sets[i].lock);
		for (size_t k = 0; k < WAYS; k++)
			count += sets[i].ways[k].used &&
				 now_ms < sets[i].ways[k].locked_until_ms;
		(void)pthread_mutex_unlock(&sets[i].lock);
	}
	return count;
}

static double read_count(void *argument)
{
	(void)argument;
	return (double)lockout_count(os.monotonic_ns() / 1000000);
}

atom_status lockout_init(struct atom_error *err)
{
	(void)err;
	locked_total = metric_single(
		ATOM_METRIC_COUNTER, "atomd_auth_lockouts_total",
		"Times an address was locked out for wrong credentials.");
	return metric_gauge_callback(
		"atomd_auth_locked_addresses",
		"Addresses that are locked out for wrong credentials.",
		read_count, NULL);
}

void lockout_apply(const struct config_lockout *settings)
{
	atomic_store(&failures_max, settings->failures);
	atomic_store(&window_ms, settings->window_ms);
	atomic_store(&ban_ms, settings->ban_ms);
	atomic_store(&ban_max_ms, settings->ban_max_ms);
}

void lockout_fini(void)
{
	for (size_t i = 0; i < SETS; i++)
		memset(sets[i].ways, 0, sizeof(sets[i].ways));
}
