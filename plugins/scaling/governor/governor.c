/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/governor: the fewest instances that keep the chance of waiting
 * longer than `target_wait_ms` below a set share.
 *
 * Theory gives rules (offered load and its square root, the backlog, a hold,
 * a fixed size), and which of them is cheapest depends on how bursty calls
 * are, how long they take and how slowly instances start.  So all rules are
 * rehearsed on the load as it is measured (rehearsal.h), and the cheapest one
 * that would have kept the share is followed.
 *
 * A rehearsal sees a fluid; real calls come in lumps and wait more.  How much
 * more is measured: late calls that there were, to those that were foreseen;
 * where a start takes long only in seconds when as many were ready as in the
 * rehearsal, for until they are it says nothing of the calls to come.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomd/scaling.h>

#include "rehearsal.h"

/* Another rule is chosen so often at most, and not before an instance could
 * have started ... */
#define CHOOSE_EACH_MS 10000.0f
/* ... after so many calls; more where a start takes long, for then a wrong
 * choice costs long. */
#define CALLS_MIN      30
#define CALLS_MIN_SLOW 200
/* The rule in force stays unless another is this much cheaper. */
#define STAY 0.98f
/* By how much a rule's cost counts more for each share of late calls beyond
 * the set one, and again by the square: one that keeps the share at twice the
 * cost of one that nearly does is no bargain, one far beyond never is. */
#define EXCESS_WEIGHT 0.3f
/* Late calls assumed before any were counted, so that the first few do not
 * decide. */
#define PRIOR_CALLS    20.0f
#define CORRECTION_MIN 0.5f
#define CORRECTION_MAX 5.0f
#define ALLOWANCE_MIN  0.33f
#define ALLOWANCE_MAX  1.5f
/* After the beginning every rule is late: nothing was started yet. */
#define SETTLE_S 10.0f
/* More than this in a second is no measurement. */
#define ARRIVED_MAX 1e7f
#define CALLS_MAX   1e9f
/* More than the host takes for advice. */
#define INSTANCES_MAX 100000.0f
/* Rounding that shall not cost an instance. */
#define NEARLY	0.001f
#define HOUR_MS 3600000.0f
/* An instance that is spare stays for as long as another would take to start
 * (ski rental: at worst twice the cost of one who knows the future), but not
 * longer than two ticks. */
#define HOLD_MAX_S 4.0f
/* An instance that is missing is more than rounding. */
#define HALF 0.5
/* Arrived calls by which an empty agent is not taken for one. */
#define SOME 1e-6f

struct governor_options {
	double late_share;
	int64_t memory;
};

static const struct atom_option governor_options[] = {
	ATOM_OPTION_FLOAT(struct governor_options, late_share, "0.05", 0.0001,
			  0.9, ATOM_RELOADABLE,
			  "share of calls that may wait longer than the "
			  "agent's target_wait_ms"),
	ATOM_OPTION_DURATION(struct governor_options, memory, "1h", 60000,
			     604800000, ATOM_RELOADABLE,
			     "how long a second of the past counts when rules "
			     "are compared (it fades to 1/e)"),
};

struct governor {
	const struct governor_options *options;
};

/* Kept by the host between two evaluations. */
struct memory {
	uint32_t layout; /* sizeof of this: another build begins anew */
	int32_t concurrency;
	int64_t began_ms; /* steady */
	int64_t played_ms;
	int64_t chosen_ms;
	int32_t chosen;
	float arrived; /* calls, faded */
	float late;    /* of them, as they were */
	float seen;    /* of those, where `foreseen` can be compared */
	float foreseen;
	struct stage stage;
};

_Static_assert(sizeof(struct memory) <= ATOM_SCALING_STATE_MAX,
	       "the rehearsals fit into the state");

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct governor *governor = calloc(1, sizeof(*governor));

	(void)host;
	if (governor == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	governor->options = options;
	*self_r = governor;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct governor *governor = self;

	(void)err;
	governor->options = options;
	return ATOM_OK;
}

static float clamp(float value, float low, float high)
{
	return value > high ? high : value >= low ? value : low; /* NaN: low */
}

static void begin(struct memory *memory, const struct atom_load *load,
		  const struct service *service)
{
	memset(memory, 0, sizeof(*memory));
	memory->layout = sizeof(*memory);
	memory->concurrency = load->concurrency;
	memory->began_ms = load->steady_ms;
	memory->played_ms = INT64_MIN;
	memory->chosen_ms = load->steady_ms;
	memory->chosen = rule_first(service->cold_start_s, service->target_s);
	for (int i = 0; i < RULES; i++)
		memory->stage.of[i].ready = (float)load->ready;
}

/* Is the state one that this build left for this agent? */
static bool sound(const struct memory *memory, size_t size,
		  const struct atom_load *load)
{
	return size == sizeof(*memory) && memory->layout == sizeof(*memory) &&
	       memory->concurrency == load->concurrency &&
	       memory->began_ms <= load->steady_ms && memory->chosen >= 0 &&
	       memory->chosen < RULES && isfinite(memory->arrived) &&
	       isfinite(memory->late) && isfinite(memory->seen) &&
	       isfinite(memory->foreseen) && isfinite(memory->stage.load) &&
	       isfinite(memory->stage.unit);
}

/* Does a start take much longer than a call may wait? */
static bool starts_slowly(const struct service *service)
{
	return service->cold_start_s > 4 * service->target_s;
}

/* --- looking back ------------------------------------------------------------- */

/* a - b; what does not fit is the nearest that does. */
static int64_t difference(int64_t a, int64_t b)
{
	if (b < 0 && a > INT64_MAX + b)
		return INT64_MAX;
	if (b > 0 && a < INT64_MIN + b)
		return INT64_MIN;
	return a - b;
}

static void play_second(const struct governor *governor, struct memory *memory,
			const struct atom_load *load,
			const struct service *service,
			const struct atom_load_sample *sample, int64_t at_ms)
{
	float memory_s = (float)governor->options->memory / 1000;
	float keep = expf(-clamp((float)sample->interval_ms, 0, HOUR_MS) /
			  1000 / memory_s);
	float arrived = clamp((float)sample->arrived, 0, ARRIVED_MAX);
	struct rehearsal *chosen = &memory->stage.of[memory->chosen];
	float before = chosen->late, late;
	bool counts = (float)difference(at_ms, memory->began_ms) / 1000 >
		      service->cold_start_s + SETTLE_S;

	stage_play(&memory->stage, load, service, arrived, keep, counts);
	memory->arrived *= keep;
	memory->late *= keep;
	memory->seen *= keep;
	memory->foreseen *= keep;
	if (!counts)
		return;
	memory->arrived += arrived * keep;
	if (!ATOM_HAS(sample, late) || sample->late < 0)
		return;
	late = clamp((float)sample->late, 0, ARRIVED_MAX) * keep;
	memory->late += late;
	if (starts_slowly(service) &&
	    sample->ready < (double)chosen->ready - HALF)
		return;
	memory->seen += late;
	memory->foreseen += chosen->late - before * keep;
}

static void play_new(const struct governor *governor, struct memory *memory,
		     const struct atom_load *load,
		     const struct service *service)
{
	for (size_t i = 0; i < load->second_count; i++) {
		const struct atom_load_sample *sample =
			atom_load_second(load, i);
		/* Samples are told by a clock that may step. */
		int64_t at_ms =
			difference(load->steady_ms,
				   difference(load->now_ms, sample->time_ms));

		if (at_ms <= memory->played_ms)
			continue;
		memory->played_ms = at_ms;
		play_second(governor, memory, load, service, sample, at_ms);
	}
}

/* --- choosing ----------------------------------------------------------------- */

/* By how much more calls were late than foreseen. */
static float error_of(const struct memory *memory)
{
	return (memory->seen + PRIOR_CALLS) / (memory->foreseen + PRIOR_CALLS);
}

/* The share that a rehearsal may foresee, so that in the end the set share
 * is kept. */
static float share_to_foresee(const struct governor *governor,
			      const struct memory *memory)
{
	float share = (float)governor->options->late_share;
	float so_far = (memory->late + PRIOR_CALLS * share) /
		       (memory->arrived + PRIOR_CALLS);
	float allowance = so_far > 0 ? share / so_far : ALLOWANCE_MAX;

	/* Nothing late, or nobody who counts: nothing to correct by. */
	if (memory->late + memory->foreseen < SOME)
		return share;
	return share / clamp(error_of(memory), CORRECTION_MIN, CORRECTION_MAX) *
	       clamp(allowance, ALLOWANCE_MIN, ALLOWANCE_MAX);
}

static float price(const struct memory *memory, int index, float share)
{
	const struct rehearsal *r = &memory->stage.of[index];
	float excess = r->late / memory->arrived / share - 1;
	float cost = r->cost_s;

	if (index == memory->chosen)
		cost *= STAY;
	if (excess > 0)
		cost *= 1 + EXCESS_WEIGHT * excess * (1 + excess);
	return cost;
}

static void choose(const struct governor *governor, struct memory *memory,
		   const struct atom_load *load, const struct service *service)
{
	bool slow = starts_slowly(service);
	float pause_ms = fmaxf(CHOOSE_EACH_MS, service->cold_start_s * 1000);
	float share, least = INFINITY;
	int best = memory->chosen;
	/* More than can be corrected: then a queue that stands is not one
	 * that calls get through in time. */
	bool deceived = error_of(memory) > CORRECTION_MAX;

	if (memory->arrived < (float)(slow ? CALLS_MIN_SLOW : CALLS_MIN)) {
		memory->chosen =
			rule_first(service->cold_start_s, service->target_s);
		return;
	}
	if (difference(load->steady_ms, memory->chosen_ms) < (int64_t)pause_ms)
		return;
	memory->chosen_ms = load->steady_ms;
	share = share_to_foresee(governor, memory);
	for (int i = 0; i < RULES; i++) {
		float cost = price(memory, i, share);

		if (deceived && rule_at(i).patience > 0)
			continue;
		if (cost < least) {
			least = cost;
			best = i;
		}
	}
	memory->chosen = best;
}

/* Whom nobody has called for ten minutes and more, and of whom too little is
 * known to hold something for its own sake. */
static bool never_called(const struct memory *memory)
{
	const struct stage *stage = &memory->stage;

	return memory->arrived < CALLS_MIN &&
	       stage->seconds > (uint32_t)rule_hold_s[RULE_HOLDS - 1] &&
	       stage->peak[RULE_HOLDS - 1] < SOME &&
	       stage->peak_before[RULE_HOLDS - 1] < SOME;
}

/* --- saying so ---------------------------------------------------------------- */

static const char *code_of(const struct atom_load *load,
			   const struct rule *rule, float slots, float now)
{
	if (load->waiting > 0)
		return "backlog";
	if (rule->floor > 0)
		return "steady_size";
	return slots > now + (float)load->concurrency / 2 ? "held_or_spare"
							  : "in_service";
}

static void explain(const struct governor *governor,
		    const struct memory *memory, const struct atom_load *load,
		    const struct service *service, const struct rule *rule,
		    float slots, struct atom_scaling_advice *advice)
{
	const struct rehearsal *r = &memory->stage.of[memory->chosen];
	float now = (float)load->in_flight + (float)load->waiting;
	float foreseen = memory->arrived > SOME ? r->late / memory->arrived : 0;
	float late =
		memory->arrived > SOME ? memory->late / memory->arrived : 0;

	advice->action = advice->wanted > load->desired	  ? ATOM_SCALE_ADD
			 : advice->wanted < load->desired ? ATOM_SCALE_REMOVE
							  : ATOM_SCALE_NONE;
	advice->value = slots;
	(void)snprintf(advice->metric, sizeof(advice->metric), "slots_needed");
	(void)snprintf(advice->reason_code, sizeof(advice->reason_code), "%s",
		       code_of(load, rule, slots, now));
	if (rule->floor > 0)
		(void)snprintf(
			advice->reason, sizeof(advice->reason),
			"load %.1f, calls %.2f s, start %.1f s: a steady "
			"%.0f is cheapest; late %.1f %% foreseen, %.1f "
			"%% so far, %.1f %% may be",
			(double)memory->stage.load, (double)service->mean_s,
			(double)service->cold_start_s, (double)rule->floor,
			(double)foreseen * 100, (double)late * 100,
			governor->options->late_share * 100);
	else
		(void)snprintf(
			advice->reason, sizeof(advice->reason),
			"%lld at work, %lld wait, load %.1f, calls %.2f s, "
			"start %.1f s: %.1f slots, spare %.1f x sqrt(load), "
			"held %d s; late %.1f %% foreseen, %.1f %% so far, "
			"%.1f %% may be",
			(long long)load->in_flight, (long long)load->waiting,
			(double)memory->stage.load, (double)service->mean_s,
			(double)service->cold_start_s, (double)slots,
			(double)rule->spare, rule_hold_s[rule->hold],
			(double)foreseen * 100, (double)late * 100,
			governor->options->late_share * 100);
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct governor *governor = self;
	struct memory *memory = state;
	struct service service;
	struct rule rule;
	float slots, wanted;

	(void)err;
	/* An agent without slots: nothing to say, and the host keeps what is. */
	if (load->concurrency < 1) {
		*state_size = 0;
		(void)snprintf(advice->metric, sizeof(advice->metric),
			       "concurrency");
		(void)snprintf(advice->reason_code, sizeof(advice->reason_code),
			       "no_slots");
		(void)snprintf(advice->reason, sizeof(advice->reason),
			       "a concurrency of %d leaves nothing to say",
			       load->concurrency);
		return ATOM_OK;
	}
	service_measure(load, &service);
	if (!sound(memory, *state_size, load))
		begin(memory, load, &service);
	*state_size = sizeof(*memory);
	play_new(governor, memory, load, &service);
	choose(governor, memory, load, &service);

	rule = rule_at(memory->chosen);
	if (never_called(memory))
		rule.spare = 0;
	slots = stage_slots(&memory->stage, &rule, &service,
			    clamp((float)load->in_flight, 0, CALLS_MAX),
			    clamp((float)load->waiting, 0, CALLS_MAX));
	wanted = ceilf(slots / (float)load->concurrency - NEARLY);
	if (wanted < rule.floor)
		wanted = rule.floor;
	if (load->waiting > 0 && wanted < 1)
		wanted = 1;
	wanted = clamp(wanted, (float)load->min, (float)load->max);
	advice->wanted = (int32_t)clamp(wanted, 0, INSTANCES_MAX);
	/* Longer than this only a rule holds, where it pays. */
	advice->hold_ms =
		(int32_t)(clamp(service.cold_start_s, 0, HOLD_MAX_S) * 1000);
	explain(governor, memory, load, &service, &rule, slots, advice);
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("governor", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "governor",
			   "the fewest instances that keep waits below the "
			   "target, learnt by rehearsing on the measured load",
			   &ops, governor_options, struct governor_options));
