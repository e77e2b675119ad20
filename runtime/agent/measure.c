/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/measure.h"

#include "agent/pool.h"
#include "core/memory.h"

static struct measure *measure_of(struct pool *pool)
{
	struct measure *measure =
		atomic_load_explicit(&pool->measure, memory_order_acquire);
	struct measure *made;

	if (measure != NULL)
		return measure;
	made = mem_zalloc(sizeof(*made));
	if (made == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&pool->measure, &measure, made))
		return made;
	mem_free(made);
	return measure;
}

static void count(_Atomic int64_t *counter, int64_t by)
{
	(void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void raise_to(_Atomic int64_t *max, int64_t value)
{
	int64_t had = atomic_load_explicit(max, memory_order_relaxed);

	while (value > had && !atomic_compare_exchange_weak_explicit(
				      max, &had, value, memory_order_relaxed,
				      memory_order_relaxed))
		;
}

static void note(struct measure_times *times, int64_t ns)
{
	int64_t us = ns > 0 ? ns / 1000 : 0;

	(void)atomic_fetch_add_explicit(
		&times->counts[scaling_bucket((double)us / 1e6)], 1,
		memory_order_relaxed);
	count(&times->sum_us, us);
	raise_to(&times->max_us, us);
}

void measure_arrived(struct pool *pool)
{
	struct measure *measure = measure_of(pool);

	if (measure != NULL)
		count(&measure->arrived, 1);
}

void measure_refused(struct pool *pool)
{
	struct measure *measure = measure_of(pool);

	if (measure != NULL)
		count(&measure->refused, 1);
}

void measure_granted(struct pool *pool, int64_t wait_ns)
{
	struct measure *measure = measure_of(pool);

	if (measure != NULL)
		note(&measure->wait, wait_ns);
}

void measure_finished(struct pool *pool, int64_t service_ns, bool failed)
{
	struct measure *measure = measure_of(pool);

	if (measure == NULL)
		return;
	count(&measure->finished, 1);
	if (failed)
		count(&measure->failed, 1);
	note(&measure->service, service_ns);
}

void measure_first_token(struct pool *pool, int64_t after_ns)
{
	struct measure *measure = measure_of(pool);

	if (measure != NULL)
		note(&measure->first_token, after_ns);
}

int64_t measure_take(_Atomic int64_t *counter)
{
	if (atomic_load_explicit(counter, memory_order_relaxed) == 0)
		return 0;
	return atomic_exchange_explicit(counter, 0, memory_order_relaxed);
}

void measure_take_times(struct measure_times *from,
			struct measured_times *times)
{
	double max_s = (double)measure_take(&from->max_us) / 1e6;

	for (size_t i = 0; i < SCALING_BUCKETS; i++) {
		uint32_t n = atomic_load_explicit(&from->counts[i],
						  memory_order_relaxed);

		if (n == 0)
			continue;
		n = atomic_exchange_explicit(&from->counts[i], 0,
					     memory_order_relaxed);
		times->counts[i] += n;
		times->count += n;
	}
	times->sum_s += (double)measure_take(&from->sum_us) / 1e6;
	if (max_s > times->max_s)
		times->max_s = max_s;
}

static void move_times(struct measure_times *from, struct measure_times *to)
{
	int64_t max_us = measure_take(&from->max_us);

	for (size_t i = 0; i < SCALING_BUCKETS; i++)
		if (atomic_load(&from->counts[i]) > 0)
			(void)atomic_fetch_add(
				&to->counts[i],
				atomic_exchange(&from->counts[i], 0));
	count(&to->sum_us, measure_take(&from->sum_us));
	raise_to(&to->max_us, max_us);
}

void measure_move(struct measure *from, struct pool *to_pool)
{
	struct measure *to = measure_of(to_pool);

	if (to == NULL)
		return;
	count(&to->arrived, measure_take(&from->arrived));
	count(&to->refused, measure_take(&from->refused));
	count(&to->finished, measure_take(&from->finished));
	count(&to->failed, measure_take(&from->failed));
	move_times(&from->service, &to->service);
	move_times(&from->wait, &to->wait);
	move_times(&from->first_token, &to->first_token);
}
