/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "scaling/simulate_priv.h"

#define SECOND_US INT64_C(1000000)
#define TICK_US	  (SCALING_TICK_MS * INT64_C(1000))
/* While calls wait the strategy is asked at once, but not more often. */
#define URGENT_US (SCALING_URGENT_MS * INT64_C(1000))
#define NEVER	  INT64_MAX

/* One run. */
struct sim {
	const struct simulate_spec *spec;
	struct sim_host *host;
	struct sim_pool pool;
	struct agenda agenda;
	int64_t now_us;
	size_t next_call;
	/* The waiting room: calls of the trace in order of arrival, a ring. */
	uint32_t *waiting;
	size_t waiting_first;
	size_t waiting_count;
	int64_t *waits_us; /* of each call that has begun or is lost */
	size_t wait_count;
	int32_t desired;
	int64_t evaluated_us;
	int64_t tick_us;   /* the next one */
	int64_t second_us; /* the next end of a sample */
	/* Of the second that runs. */
	struct atom_load_sample sample;
	double instance_us;
	double in_flight_us;
	double waiting_us;
	double ready_us;
	struct simulate_result *result;
};

static void integrate(struct sim *sim, int64_t until_us)
{
	double step = (double)(until_us - sim->now_us);
	const struct sim_pool *pool = &sim->pool;

	sim->instance_us +=
		step * (double)(pool->starting + pool->ready + pool->draining);
	sim->in_flight_us += step * (double)pool->in_flight;
	sim->waiting_us += step * (double)sim->waiting_count;
	sim->ready_us += step * (double)pool->ready;
	sim->now_us = until_us;
}

/* Halves the picture's resolution when it is full. */
static void merge_points(struct simulate_result *result)
{
	for (size_t i = 0; i < SIMULATE_POINTS_MAX / 2; i++) {
		struct simulate_point *to = &result->points[i];
		struct simulate_point a = result->points[2 * i];
		const struct simulate_point *b = &result->points[2 * i + 1];

		a.arrived += b->arrived;
		a.instance_s += b->instance_s;
		a.in_service_s += b->in_service_s;
		if (b->wait_max_us > a.wait_max_us)
			a.wait_max_us = b->wait_max_us;
		*to = a;
	}
	memset(&result->points[SIMULATE_POINTS_MAX / 2], 0,
	       sizeof(result->points) / 2);
	result->point_us *= 2;
}

static struct simulate_point *point_of(struct sim *sim, int64_t at_us)
{
	struct simulate_result *result = sim->result;
	size_t index;

	while (at_us / result->point_us >= SIMULATE_POINTS_MAX)
		merge_points(result);
	index = (size_t)(at_us / result->point_us);
	if (index >= result->point_count)
		result->point_count = index + 1;
	return &result->points[index];
}

/* Ends the sample, whole or (at the very end) a part of a second. */
static void close_sample(struct sim *sim)
{
	int64_t began_us = sim->second_us - SECOND_US;
	double length_us = (double)(sim->now_us - began_us);
	struct atom_load_sample *sample = &sim->sample;
	struct simulate_point *point = point_of(sim, began_us);

	point->arrived += sample->arrived;
	point->instance_s += sim->instance_us / 1e6;
	point->in_service_s += sim->in_flight_us / 1e6;
	sim->result->instance_s += sim->instance_us / 1e6;
	if (length_us > 0) {
		sample->struct_size = sizeof(*sample);
		sample->interval_ms = 1000;
		sample->in_flight = sim->in_flight_us / length_us;
		sample->waiting = sim->waiting_us / length_us;
		sample->ready = sim->ready_us / length_us;
		sim_host_sample(sim->host, sample, sim->now_us);
	}
	*sample = (struct atom_load_sample){ 0 };
	sim->instance_us = 0;
	sim->in_flight_us = 0;
	sim->waiting_us = 0;
	sim->ready_us = 0;
	sim->second_us += SECOND_US;
}

static void note_wait(struct sim *sim, int64_t arrival_us, bool lost)
{
	int64_t wait_us = sim->now_us - arrival_us;
	struct simulate_point *point = point_of(sim, arrival_us);

	sim->waits_us[sim->wait_count++] = wait_us;
	if (wait_us > point->wait_max_us)
		point->wait_max_us = wait_us;
	if (!lost && (double)wait_us / 1e6 > sim->sample.wait_s_max)
		sim->sample.wait_s_max = (double)wait_us / 1e6;
	if (lost || wait_us > sim->spec->target_wait_us) {
		sim->result->late++;
		sim->sample.late++;
	}
}

static bool begin_call(struct sim *sim, int32_t instance,
		       const struct simulate_call *call)
{
	note_wait(sim, call->arrival_us, false);
	return agenda_add(&sim->agenda,
			  (struct event){
				  .at_us = sim->now_us + call->service_us,
				  .kind = EVENT_FINISH,
				  .instance = instance,
				  .service_us = call->service_us,
			  });
}

static const struct simulate_call *first_waiting(const struct sim *sim)
{
	return &sim->spec->load->calls[sim->waiting[sim->waiting_first]];
}

static void leave_waiting(struct sim *sim)
{
	sim->waiting_first =
		(sim->waiting_first + 1) % (size_t)sim->spec->queue_depth;
	sim->waiting_count--;
}

static bool serve_waiting(struct sim *sim)
{
	while (sim->waiting_count > 0) {
		int32_t instance = sim_pool_take(&sim->pool);

		if (instance < 0)
			break;
		if (!begin_call(sim, instance, first_waiting(sim)))
			return false;
		leave_waiting(sim);
	}
	return true;
}

static bool arrive(struct sim *sim)
{
	size_t index = sim->next_call++;
	const struct simulate_call *call = &sim->spec->load->calls[index];
	int32_t instance =
		sim->waiting_count == 0 ? sim_pool_take(&sim->pool) : -1;

	sim->sample.arrived++;
	if (instance >= 0)
		return begin_call(sim, instance, call);
	if ((int64_t)sim->waiting_count >= sim->spec->queue_depth) {
		sim->sample.refused++;
		sim->result->refused++;
		note_wait(sim, call->arrival_us, true);
		return true;
	}
	sim->waiting[(sim->waiting_first + sim->waiting_count) %
		     (size_t)sim->spec->queue_depth] = (uint32_t)index;
	sim->waiting_count++;
	return true;
}

static bool evaluate(struct sim *sim)
{
	struct sim_pool *pool = &sim->pool;
	struct sim_moment moment = {
		.now_us = sim->now_us,
		.pool = pool,
		.desired = sim->desired,
		.waiting = (int64_t)sim->waiting_count,
		.oldest_wait_us =
			sim->waiting_count
				? sim->now_us - first_waiting(sim)->arrival_us
				: 0,
	};
	int32_t wanted = sim_host_decide(sim->host, &moment);

	sim->evaluated_us = sim->now_us;
	sim->result->evaluations++;
	if (wanted != sim->desired)
		sim->result->actions++;
	sim->desired = wanted;
	while (pool->starting + pool->ready < wanted &&
	       sim_pool_take_back(pool))
		continue;
	while (pool->starting + pool->ready < wanted) {
		int32_t index = sim_pool_start(pool, sim->now_us);
		struct event event = {
			.at_us = sim->now_us + sim->spec->cold_start_us,
			.kind = EVENT_READY,
			.instance = index,
		};

		if (index < 0)
			return false;
		event.generation = pool->instances[index].generation;
		if (!agenda_add(&sim->agenda, event))
			return false;
	}
	while (pool->starting + pool->ready > wanted)
		if (!sim_pool_remove_one(pool, wanted))
			break;
	/* Some that were taken back may have slots. */
	return serve_waiting(sim);
}

static bool happen(struct sim *sim)
{
	struct event event = *agenda_first(&sim->agenda);
	struct sim_instance *instance = &sim->pool.instances[event.instance];

	agenda_drop_first(&sim->agenda);
	if (event.kind == EVENT_READY) {
		if (instance->state != SIM_STARTING ||
		    instance->generation != event.generation)
			return true;
		sim_pool_ready(&sim->pool, event.instance);
		sim_host_started(sim->host, sim->spec->cold_start_us);
	} else {
		sim_pool_give_back(&sim->pool, event.instance);
		sim->sample.finished++;
		sim->sample.service_s_sum += (double)event.service_us / 1e6;
		sim_host_finished(sim->host, event.service_us, sim->now_us);
	}
	return serve_waiting(sim);
}

/* The next moment at which anything happens. */
static bool step(struct sim *sim)
{
	const struct simulate_spec *spec = sim->spec;
	const struct event *event = agenda_first(&sim->agenda);
	int64_t event_us = event ? event->at_us : NEVER;
	int64_t timeout_us = sim->waiting_count
				     ? first_waiting(sim)->arrival_us +
					       spec->queue_timeout_us
				     : NEVER;
	int64_t arrival_us =
		sim->next_call < spec->load->count
			? spec->load->calls[sim->next_call].arrival_us
			: NEVER;
	int64_t urgent_us = NEVER;
	int64_t at_us;

	if (sim->waiting_count > 0) {
		urgent_us = sim->evaluated_us + URGENT_US;
		if (urgent_us < sim->now_us)
			urgent_us = sim->now_us;
	}
	at_us = sim->second_us < sim->tick_us ? sim->second_us : sim->tick_us;
	if (urgent_us < at_us)
		at_us = urgent_us;
	if (arrival_us < at_us)
		at_us = arrival_us;
	if (timeout_us < at_us)
		at_us = timeout_us;
	if (event_us < at_us)
		at_us = event_us;
	integrate(sim, at_us);
	if (event_us == at_us)
		return happen(sim);
	if (timeout_us == at_us) {
		sim->result->timed_out++;
		sim->sample.refused++;
		note_wait(sim, first_waiting(sim)->arrival_us, true);
		leave_waiting(sim);
		return true;
	}
	if (arrival_us == at_us)
		return arrive(sim);
	if (sim->second_us == at_us) {
		close_sample(sim);
		return true;
	}
	if (sim->tick_us == at_us)
		sim->tick_us += TICK_US;
	return evaluate(sim);
}

static int compare_waits(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Nearest rank: the smallest wait that a share `q` of calls does not
 * exceed. */
static int64_t quantile(const int64_t *sorted, size_t count, int64_t percent)
{
	size_t rank = (count * (size_t)percent + 99) / 100;

	return count == 0 ? 0 : sorted[rank > 0 ? rank - 1 : 0];
}

static bool begin(struct sim *sim)
{
	const struct simulate_spec *spec = sim->spec;

	sim->host = sim_host_new(spec);
	sim->waiting =
		mem_array((size_t)spec->queue_depth + 1, sizeof(*sim->waiting));
	sim->waits_us =
		mem_array(spec->load->count + 1, sizeof(*sim->waits_us));
	if (sim->host == NULL || sim->waiting == NULL ||
	    sim->waits_us == NULL ||
	    !sim_pool_init(&sim->pool, spec->concurrency))
		return false;
	sim->evaluated_us = -URGENT_US;
	sim->second_us = SECOND_US;
	sim->tick_us = TICK_US;
	sim->result->point_us = SECOND_US;
	sim->desired = spec->min;
	for (int32_t i = 0; i < spec->min; i++) {
		int32_t index = sim_pool_start(&sim->pool, 0);

		if (index < 0)
			return false;
		sim_pool_ready(&sim->pool, index);
	}
	return true;
}

atom_status simulate_run(const struct simulate_spec *spec,
			 struct simulate_result *result, struct atom_error *err)
{
	struct sim sim = { .spec = spec, .result = result };
	const struct simulate_load *load = spec->load;
	atom_status status = ATOM_ENOMEM;

	memset(result, 0, sizeof(*result));
	if (!begin(&sim))
		goto out;
	while (sim.next_call < load->count || sim.waiting_count > 0 ||
	       sim.pool.in_flight > 0 || sim.now_us < load->span_us)
		if (!step(&sim))
			goto out;
	close_sample(&sim);
	qsort(sim.waits_us, sim.wait_count, sizeof(*sim.waits_us),
	      compare_waits);
	result->calls = (int64_t)load->count;
	result->wait_p50_us = quantile(sim.waits_us, sim.wait_count, 50);
	result->wait_p95_us = quantile(sim.waits_us, sim.wait_count, 95);
	result->wait_p99_us = quantile(sim.waits_us, sim.wait_count, 99);
	result->end_us = sim.now_us;
	result->faults = sim_host_faults(sim.host);
	status = ATOM_OK;
out:
	if (status == ATOM_ENOMEM)
		(void)atom_fail(err, ATOM_ENOMEM, "out of memory");
	sim_host_free(&sim.host);
	agenda_fini(&sim.agenda);
	sim_pool_fini(&sim.pool);
	mem_free(sim.waiting);
	mem_free(sim.waits_us);
	return status;
}
