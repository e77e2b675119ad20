/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/target: keeps a measurement at its target, by the formula of
 * Kubernetes' horizontal pod autoscaler (HPA): instances x measurement /
 * target, rounded up.  Source: the Kubernetes documentation, "Horizontal Pod
 * Autoscaling", "Algorithm details".
 */

#include <atomd/scaling.h>

#include "plugins/scaling/formula/advice.h"
#include "plugins/scaling/formula/component.h"
#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/target/metric.h"

struct aim {
	int32_t metric; /* enum metric_id */
	double target;
};

struct target_options {
	int32_t metric;
	double target;
	struct atom_groups more_metrics; /* of struct aim */
	double tolerance_percent;
	int64_t window_ms;
};

#define OPTIONS	   struct target_options
#define TARGET_MIN 0.001
#define TARGET_MAX 1e9
/* HPA's default stabilisation window of scaling down. */
#define HOLD_MS		 300000
#define MORE_METRICS_MAX 8

static const struct atom_option aim_options[] = {
	ATOM_OPTION_CHOICE(struct aim, metric, "cpu_percent", metric_names,
			   ATOM_RELOADABLE, "what is measured"),
	ATOM_OPTION_FLOAT(struct aim, target, "80", TARGET_MIN, TARGET_MAX,
			  ATOM_RELOADABLE, "what it should be"),
};

static const struct atom_option target_options[] = {
	ATOM_OPTION_CHOICE(OPTIONS, metric, "slot_percent", metric_names,
			   ATOM_RELOADABLE,
			   "what is measured: percent of each instance, or "
			   "calls and arrivals of all, which instances share"),
	ATOM_OPTION_FLOAT(OPTIONS, target, "80", TARGET_MIN, TARGET_MAX,
			  ATOM_RELOADABLE, "what it should be, each instance"),
	ATOM_OPTION_GROUPS(OPTIONS, more_metrics, struct aim, aim_options, 0,
			   MORE_METRICS_MAX, ATOM_RELOADABLE,
			   "further ones; the largest answer counts"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, tolerance_percent, "10", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "so far off the target nothing changes"),
	ATOM_OPTION_DURATION(OPTIONS, window_ms, "15s", 1000, 600000,
			     ATOM_RELOADABLE,
			     "slots, calls and arrivals are averaged over "
			     "this time"),
};

/* What one metric asks for. */
struct answer {
	const struct metric *metric;
	double target;
	double value;
	int32_t wanted; /* negative: not measured */
	bool stands_in;
};

static bool near(double ratio, double tolerance)
{
	return fabs(ratio - 1) <= tolerance + CEILING_SLACK;
}

/* A measurement of each instance.  Those that start have none yet: going up
 * they count as unused, going down they are left out, and they never turn the
 * direction. */
static int32_t by_mean(const struct atom_load *load, double ratio,
		       double tolerance)
{
	int32_t desired = instances_counted(load->desired);
	double ready = instances_counted(load->ready);
	double starting = (double)load->starting_count;

	if (ratio > 1 && starting > 0) {
		double diluted = ratio * ready / (ready + starting);

		if (diluted < 1 || near(diluted, tolerance))
			return desired;
	} else if (near(ratio, tolerance)) {
		return desired;
	}

	int32_t wanted = instances_at_least(ratio * ready);

	return ratio > 1 && wanted < desired ? desired : wanted;
}

/* A measurement of the agent, which its instances share. */
static int32_t by_share(const struct atom_load *load, double value,
			double target, double tolerance)
{
	int32_t desired = instances_counted(load->desired);

	if (desired > 0 && near(value / (target * desired), tolerance))
		return desired;
	return instances_at_least(value / target);
}

static struct answer ask(const struct target_options *options,
			 const struct atom_load *load, int32_t id,
			 double target)
{
	struct answer answer = {
		.metric = metric_of(id),
		.target = target,
		.wanted = -1,
	};
	double tolerance = options->tolerance_percent / 100;

	if (!metric_read(load, id, options->window_ms, &answer.value,
			 &answer.stands_in))
		return answer;
	if (!answer.metric->each)
		answer.wanted = by_share(load, answer.value, target, tolerance);
	else if (load->ready > 0 && load->desired > 0)
		answer.wanted = by_mean(load, answer.value / target, tolerance);
	return answer;
}

static void give(const struct atom_load *load, const struct answer *best,
		 const struct answer *missing,
		 struct atom_scaling_advice *advice)
{
	struct advice_cause cause = {
		.metric = best->metric->name,
		.value = best->wanted < 0 ? -1 : best->value,
		.code = best->wanted > load->desired   ? best->metric->high
			: best->wanted < load->desired ? best->metric->low
						       : "steady",
	};
	const char *stand =
		best->stands_in ? " (slots in use: there is no CPU)" : "";

	if (missing != NULL && best->wanted <= load->desired) {
		cause.metric = missing->metric->name;
		cause.code = "no_measurement";
		cause.value = -1;
		advice_give(advice, load, -1, &cause,
			    "%s was not measured and nothing else asks for "
			    "more: nothing changes",
			    missing->metric->name);
		return;
	}
	advice_give(advice, load, best->wanted, &cause,
		    "%s is %.4g%s, %.4g is the target%s: %d wanted, %d ready "
		    "and %zu starting of %d",
		    best->metric->name, best->value, stand, best->target,
		    best->metric->each ? "" : " for each instance",
		    (int)best->wanted, (int)load->ready, load->starting_count,
		    (int)load->desired);
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct target_options *options = component_options(self);
	const char *more = options->more_metrics.items;
	struct answer best =
		ask(options, load, options->metric, options->target);
	struct answer missing = best;
	bool some_missing = best.wanted < 0;

	(void)state;
	(void)err;
	*state_size = 0;
	advice->hold_ms = HOLD_MS;
	for (size_t i = 0; i < options->more_metrics.count; i++) {
		const struct aim *aim =
			(const void *)(more + i * options->more_metrics.stride);
		struct answer answer =
			ask(options, load, aim->metric, aim->target);

		if (answer.wanted < 0 && !some_missing) {
			missing = answer;
			some_missing = true;
		}
		if (answer.wanted > best.wanted)
			best = answer;
	}
	if (best.wanted < 1 && advice_sleeper(load)) {
		advice_wake(advice, load);
		return ATOM_OK;
	}
	/* Calls in service keep the last instance. */
	if (best.wanted == 0 && (load->in_flight > 0 || load->waiting > 0))
		best.wanted = 1;
	give(load, &best, some_missing ? &missing : NULL, advice);
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("target", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "target",
			   "keeps measurements at their targets (Kubernetes' "
			   "HPA)",
			   &ops, target_options, struct target_options));
