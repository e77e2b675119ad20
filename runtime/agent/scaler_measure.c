/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "agent/agents_priv.h"
#include "agent/scaler.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

/* Strategies learn the ages of so many starting instances. */
#define AGES_MAX 256

/* `recent` times are of the last one to two of these. */
#define RECENT_MS 60000

static struct scaler *scaler_of(const struct revision *revision)
{
	struct agent *agent = agents_find(revision->agent->name);

	return agent != NULL ? agent->scaler : NULL;
}

/* --- looks: what is now, averaged over a second -------------------------------- */

static int looks; /* since the last sample */
static bool any_busy;

static void look_at(struct revision *revision)
{
	struct pool *pool = &revision->pool;
	int64_t in_flight, waiting;
	struct scaler *scaler;

	if (atomic_load(&pool->measure) == NULL)
		return;
	in_flight = atomic_load(&pool->in_flight);
	waiting = atomic_load(&pool->waiting);
	if (in_flight == 0 && waiting == 0)
		return;
	any_busy = true;
	scaler = scaler_of(revision);
	if (scaler == NULL)
		return;
	scaler->in_flight_sum += (double)in_flight;
	scaler->waiting_sum += (double)waiting;
}

bool scalers_look(void)
{
	any_busy = false;
	looks++;
	revisions_visit(look_at);
	return any_busy;
}

/* --- samples ---------------------------------------------------------------------- */

/* What an agent's calls counted in a second. */
struct counted {
	bool dirty;
	struct scaler *scaler;
	int64_t arrived;
	int64_t refused;
	int64_t finished;
	int64_t failed;
	struct measured_times service;
	struct measured_times wait;
	struct measured_times first_token;
};

static void take_cold_starts(struct pool *pool, struct scaler *scaler)
{
	uint32_t head = atomic_load(&pool->cold_start_head);

	if (head - pool->cold_start_tail > COLD_STARTS)
		pool->cold_start_tail = head - COLD_STARTS;
	for (; scaler->window != NULL && pool->cold_start_tail != head;
	     pool->cold_start_tail++) {
		int32_t ms =
			atomic_load(&pool->cold_start_ms[pool->cold_start_tail %
							 COLD_STARTS]);

		scaling_window_cold_start(scaler->window, ms / 1000.0);
	}
}

static void take(struct counted *counted, struct pool *pool)
{
	struct measure *measure = atomic_load(&pool->measure);
	int64_t ready = atomic_load(&pool->ready);
	int64_t memory = atomic_load(&pool->memory_bytes);

	if (ready > 0 && memory / ready > counted->scaler->memory_peak_bytes)
		counted->scaler->memory_peak_bytes = memory / ready;
	take_cold_starts(pool, counted->scaler);
	if (measure == NULL)
		return;
	counted->dirty = true;
	counted->arrived += measure_take(&measure->arrived);
	counted->refused += measure_take(&measure->refused);
	counted->finished += measure_take(&measure->finished);
	counted->failed += measure_take(&measure->failed);
	measure_take_times(&measure->service, &counted->service);
	measure_take_times(&measure->wait, &counted->wait);
	measure_take_times(&measure->first_token, &counted->first_token);
}

static void add_times(struct measured_times *to,
		      const struct measured_times *from)
{
	for (size_t i = 0; from->count > 0 && i < SCALING_BUCKETS; i++)
		to->counts[i] += from->counts[i];
	to->count += from->count;
	to->sum_s += from->sum_s;
	if (from->max_s > to->max_s)
		to->max_s = from->max_s;
}

static void turn(struct recent_times *recent)
{
	recent->before = recent->now;
	memset(&recent->now, 0, sizeof(recent->now));
}

static void keep_recent(const struct counted *counted,
			struct recent_load *recent, int64_t now_ms)
{
	if (now_ms - recent->began_ms >= RECENT_MS) {
		turn(&recent->service);
		turn(&recent->wait);
		turn(&recent->first_token);
		recent->began_ms = now_ms;
		recent->finished = recent->failed = 0;
	}
	add_times(&recent->service.now, &counted->service);
	add_times(&recent->wait.now, &counted->wait);
	add_times(&recent->first_token.now, &counted->first_token);
	recent->finished += counted->finished;
	recent->failed += counted->failed;
}

/* Waits above the target, to the width of a bucket; who is refused, or gives
 * up, never had a slot. */
static int64_t late_of(const struct counted *counted)
{
	double target_s =
		(double)counted->scaler->settings->scaling.target_wait_ms /
		1000;
	int64_t late = counted->refused;

	for (size_t i = scaling_bucket(target_s) + 1; i < SCALING_BUCKETS; i++)
		late += counted->wait.counts[i];
	return late;
}

static void keep_sample(const struct counted *counted, int64_t now_ms)
{
	struct scaler *scaler = counted->scaler;
	const struct pool *pool = &scaler->agent->stable->pool;
	double n = looks > 0 ? looks : 1;
	const struct atom_load_sample sample = {
		.struct_size = sizeof(sample),
		.interval_ms = (int32_t)(now_ms - scaler->sampled_ms),
		.arrived = counted->arrived,
		.refused = counted->refused,
		.finished = counted->finished,
		.failed = counted->failed,
		.in_flight = scaler->in_flight_sum / n,
		.waiting = scaler->waiting_sum / n,
		.ready = (double)atomic_load(&pool->ready),
		.service_s_sum = counted->service.sum_s,
		.wait_s_max = counted->wait.max_s,
		.late = late_of(counted),
	};

	if (sample.in_flight > scaler->in_flight_peak)
		scaler->in_flight_peak = sample.in_flight;
	if (atomic_load(&pool->cpu_known) > 0 && sample.in_flight > 0) {
		scaler->cpu_s += (double)atomic_load(&pool->cpu_permille) /
				 1000 * sample.interval_ms / 1000;
		scaler->busy_s += sample.in_flight * sample.interval_ms / 1000;
	}
	if (scaling_window_add(scaler->window, &sample, now_ms) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "out_of_memory",
			 "no memory for five minutes of measurements",
			 LOG_TEXT("agent", scaler->agent->name));
	if (counted->service.count > 0)
		scaling_window_services(scaler->window, now_ms,
					counted->service.counts,
					counted->service.sum_s);
}

/* An agent that was never called, and has no more instances than it must,
 * needs no window. */
static bool needs_window(const struct counted *counted)
{
	const struct scaler *scaler = counted->scaler;
	const struct agent *agent = scaler->agent;

	return counted->arrived > 0 ||
	       agent_desired(agent, agent->stable) >
		       agent->stable->agent->instances.min;
}

static void sample(struct counted *counted, int64_t now_ms)
{
	struct scaler *scaler = counted->scaler;

	if (scaler->window == NULL && needs_window(counted)) {
		scaler->window = scaling_window_new();
		scaler->recent = mem_zalloc(sizeof(*scaler->recent));
	}
	if (scaler->window != NULL && now_ms > scaler->sampled_ms) {
		keep_sample(counted, now_ms);
		if (scaler->recent != NULL)
			keep_recent(counted, scaler->recent, now_ms);
	}
	scaler->in_flight_sum = scaler->waiting_sum = 0;
	scaler->sampled_ms = now_ms;
}

/* What a revision on its way in or out counts goes to the one that serves. */
static void move_counts(struct revision *revision)
{
	struct measure *measure = atomic_load(&revision->pool.measure);
	struct agent *agent =
		measure != NULL ? agents_find(revision->agent->name) : NULL;

	if (agent != NULL && agent->stable != NULL && agent->stable != revision)
		measure_move(measure, &agent->stable->pool);
}

void scalers_sample(int64_t now_ms)
{
	static struct counted counted;
	struct agent *agent;
	size_t stable = 0;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		stable += agent->stable != NULL;
	if (revisions_alive() > stable)
		revisions_visit(move_counts);
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		if (agent->stable == NULL)
			continue;
		if (counted.dirty)
			memset(&counted, 0, sizeof(counted));
		counted.scaler = agent->scaler;
		take(&counted, &agent->stable->pool);
		sample(&counted, now_ms);
	}
	looks = 0;
}

/* --- what the strategy is told ---------------------------------------------------- */

static int64_t ages[AGES_MAX];

static size_t tell_ages(const struct pool *pool)
{
	int64_t now = loop_now_ms(loop_control());
	int64_t starting = atomic_load(&pool->starting);
	size_t count = starting < AGES_MAX ? (size_t)starting : AGES_MAX;

	for (size_t i = 0; i < count; i++)
		ages[i] = now -
			  atomic_load(&pool->started_at_ms[i % STARTING_MAX]);
	return count;
}

int32_t scaler_utc_offset_s(int64_t wall_ms)
{
	time_t now = (time_t)(wall_ms / 1000);
	struct tm local;

	return localtime_r(&now, &local) != NULL ? (int32_t)local.tm_gmtoff : 0;
}

static void tell_pool(const struct pool *pool, struct atom_load *load_r)
{
	int64_t capacity = atomic_load(&pool->capacity);
	int64_t known = atomic_load(&pool->cpu_known);
	int64_t since = atomic_load(&pool->waiting_since_ns);

	load_r->concurrency = pool->concurrency;
	load_r->ready = (int32_t)atomic_load(&pool->ready);
	load_r->draining = (int32_t)atomic_load(&pool->draining);
	load_r->starting_count = tell_ages(pool);
	load_r->starting_ages_ms = ages;
	load_r->in_flight = atomic_load(&pool->in_flight);
	load_r->waiting = atomic_load(&pool->waiting);
	load_r->oldest_wait_ms =
		since > 0 ? (os.monotonic_ns() - since) / 1000000 : 0;
	load_r->slot_percent =
		capacity > 0
			? 100.0 * (double)load_r->in_flight / (double)capacity
			: -1;
	load_r->cpu_percent =
		known > 0 ? (double)atomic_load(&pool->cpu_permille) / 10.0 /
				    (double)known
			  : -1;
	load_r->memory_percent = atomic_load(&pool->memory_bytes) > 0
					 ? pool_memory_percent()
					 : -1;
}

void scaler_load(struct scaler *scaler, int64_t now_ms,
		 struct atom_load *load_r)
{
	const struct agent *agent = scaler->agent;
	const struct config_instances *instances =
		&agent->stable->agent->instances;
	int64_t wall_ms = os.realtime_ms();

	memset(load_r, 0, sizeof(*load_r));
	if (scaler->window != NULL) {
		scaling_window_tell(scaler->window, now_ms, wall_ms, load_r);
	} else {
		load_r->struct_size = sizeof(*load_r);
		load_r->sample_stride = sizeof(struct atom_load_sample);
		load_r->now_ms = wall_ms;
		load_r->steady_ms = now_ms;
		load_r->service.struct_size = sizeof(load_r->service);
	}
	tell_pool(&agent->stable->pool, load_r);
	load_r->utc_offset_s = scaler_utc_offset_s(wall_ms);
	load_r->tick_ms = SCALING_TICK_MS;
	load_r->seed = table_hash(agent->name, strlen(agent->name));
	load_r->min = (int32_t)instances->min;
	load_r->max = (int32_t)instances->max;
	load_r->desired = (int32_t)agent_desired(agent, agent->stable);
	load_r->target_wait_ms =
		(double)scaler->settings->scaling.target_wait_ms;
}
