/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "core/memory.h"
#include "scaling/simulate_priv.h"
#include "scaling/window.h"

#define AGES_MAX 4096

/* Starting, ready and draining instances are told as a daemon would tell
 * them; CPU and memory are missing, as they are for HTTP slots. */
struct sim_host {
	const struct simulate_spec *spec;
	struct scaling_window *window;
	struct scaling_control control;
	size_t state_size;
	int64_t *ages_ms;
	void *state;
	int64_t faults;
};

struct sim_host *sim_host_new(const struct simulate_spec *spec)
{
	struct sim_host *host = mem_zalloc(sizeof(*host));

	if (host == NULL)
		return NULL;
	host->spec = spec;
	host->window = scaling_window_new();
	host->ages_ms = mem_array(AGES_MAX, sizeof(*host->ages_ms));
	host->state = mem_zalloc(ATOM_SCALING_STATE_MAX);
	scaling_control_init(&host->control);
	if (host->window == NULL || host->ages_ms == NULL ||
	    host->state == NULL)
		sim_host_free(&host);
	return host;
}

void sim_host_free(struct sim_host **host)
{
	if (*host == NULL)
		return;
	scaling_window_free(&(*host)->window);
	mem_free((*host)->ages_ms);
	mem_free((*host)->state);
	mem_free(TAKE(*host));
}

void sim_host_sample(struct sim_host *host,
		     const struct atom_load_sample *sample, int64_t now_us)
{
	/* Without memory for five minutes the seconds are kept. */
	(void)scaling_window_add(host->window, sample, now_us / 1000);
}

void sim_host_finished(struct sim_host *host, int64_t service_us,
		       int64_t now_us)
{
	scaling_window_service(host->window, now_us / 1000,
			       (double)service_us / 1e6, 1);
}

void sim_host_started(struct sim_host *host, int64_t took_us)
{
	scaling_window_cold_start(host->window, (double)took_us / 1e6);
}

int64_t sim_host_faults(const struct sim_host *host)
{
	return host->faults;
}

static void tell(struct sim_host *host, const struct sim_moment *moment,
		 struct atom_load *load)
{
	const struct simulate_spec *spec = host->spec;
	const struct sim_pool *pool = moment->pool;
	int64_t now_ms = moment->now_us / 1000;
	int64_t slots = pool->ready * spec->concurrency;
	size_t starting = 0;

	for (int32_t i = pool->starting_first; i >= 0 && starting < AGES_MAX;
	     i = pool->instances[i].next)
		host->ages_ms[starting++] =
			(moment->now_us - pool->instances[i].began_us) / 1000;
	*load = (struct atom_load){
		.utc_offset_s = spec->utc_offset_s,
		.tick_ms = SCALING_TICK_MS,
		.seed = spec->seed,
		.concurrency = spec->concurrency,
		.min = spec->min,
		.max = spec->max,
		.desired = moment->desired,
		.ready = (int32_t)pool->ready,
		.draining = (int32_t)pool->draining,
		.starting_ages_ms = host->ages_ms,
		.starting_count = starting,
		.in_flight = pool->in_flight,
		.waiting = moment->waiting,
		.oldest_wait_ms = moment->oldest_wait_us / 1000,
		.target_wait_ms = (double)spec->target_wait_us / 1e3,
		.memory_percent = -1,
		.slot_percent = slots > 0 ? 100.0 * (double)pool->in_flight /
						    (double)slots
					  : 0,
	};
	load->cpu_percent = load->slot_percent;
	scaling_window_tell(host->window, now_ms, spec->began_ms + now_ms,
			    load);
}

int32_t sim_host_decide(struct sim_host *host, const struct sim_moment *moment)
{
	const struct simulate_spec *spec = host->spec;
	struct atom_scaling_advice advice;
	struct scaling_decision decision;
	struct atom_error err = { 0 };
	struct atom_load load;
	struct scaling_situation situation = {
		.now_ms = moment->now_us / 1000,
		.wall_ms = spec->began_ms + moment->now_us / 1000,
		.min = spec->min,
		.max = spec->max,
		.desired = moment->desired,
		.waiting = moment->waiting,
		.room = spec->max,
		.room_limit = "max_agents",
		.measured = true,
	};
	atom_status status;

	tell(host, moment, &load);
	scaling_advice_init(&advice);
	status = spec->ops->evaluate(spec->self, &load, host->state,
				     &host->state_size, &advice, &err);
	if (host->state_size > ATOM_SCALING_STATE_MAX) {
		host->state_size = 0;
		status = ATOM_EINVAL;
	}
	scaling_advice_clean(&advice);
	scaling_decide(&host->control, &spec->settings, &situation, &advice,
		       status, 0, &decision);
	if (decision.fault != NULL)
		host->faults++;
	if (spec->watch != NULL)
		spec->watch(spec->watcher, moment->now_us, &load, &advice,
			    &decision);
	return decision.wanted;
}
