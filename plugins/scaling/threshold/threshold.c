/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/threshold: some more above a line, some fewer below another.
 *
 * Where instances start, their share of the load is still with the others:
 * usage is judged as if they had it already, or each evaluation until they
 * are ready would start more.
 */

#include <atomd/scaling.h>

#include "plugins/scaling/formula/advice.h"
#include "plugins/scaling/formula/component.h"
#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/formula/usage.h"

struct threshold_options {
	double cpu_high_percent;
	double cpu_low_percent;
	double memory_high_percent;
	double memory_low_percent;
	int64_t step;
	double step_percent;
	int64_t window_ms;
};

#define OPTIONS struct threshold_options

static const struct atom_option threshold_options[] = {
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, cpu_high_percent, "70", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "more instances above this CPU, or slots in use "
			       "where there is no CPU"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, cpu_low_percent, "30", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "fewer below this, if memory is below its own"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, memory_high_percent, "80", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "more instances above this memory"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, memory_low_percent, "40", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "fewer below this, if CPU is below its own; "
			       "100: memory is not asked"),
	ATOM_OPTION_INT_UNIT(OPTIONS, step, "1", 1, 1000, ATOM_RELOADABLE,
			     "instances", "how many more or fewer"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, step_percent, "0", 0, 1000,
			       ATOM_RELOADABLE, "%",
			       "the same, of those in force; the larger of "
			       "the two counts"),
	ATOM_OPTION_DURATION(OPTIONS, window_ms, "15s", 1000, 600000,
			     ATOM_RELOADABLE,
			     "slots in use are averaged over this time"),
};

static atom_status check(const struct threshold_options *options,
			 struct atom_error *err)
{
	if (options->cpu_low_percent >= options->cpu_high_percent)
		return atom_fail(err, ATOM_EINVAL,
				 "`cpu_low_percent` is below "
				 "`cpu_high_percent`; found %g and %g",
				 options->cpu_low_percent,
				 options->cpu_high_percent);
	/* 100 takes memory out of the way down, whatever its upper line. */
	if (options->memory_low_percent < 100 &&
	    options->memory_low_percent >= options->memory_high_percent)
		return atom_fail(err, ATOM_EINVAL,
				 "`memory_low_percent` is below "
				 "`memory_high_percent`, or 100; found %g and "
				 "%g",
				 options->memory_low_percent,
				 options->memory_high_percent);
	return ATOM_OK;
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	atom_status status = check(options, err);

	return status ? status : component_create(host, options, self_r, err);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	atom_status status = check(options, err);

	return status ? status : component_reconfigure(self, options, err);
}

/* Both usages, -1 where there is no measurement. */
struct usage {
	double cpu;
	double memory;
	bool slots; /* stand for CPU */
};

static struct usage measure(const struct threshold_options *options,
			    const struct atom_load *load)
{
	struct usage usage = { .cpu = -1, .memory = -1 };

	(void)usage_cpu(load, options->window_ms, &usage.cpu, &usage.slots);
	(void)usage_memory(load, &usage.memory);
	return usage;
}

/* The part of `percent` that is left to each when those that start have
 * their share. */
static double shared(const struct atom_load *load, double percent)
{
	double ready = instances_counted(load->ready);
	double all = ready + (double)load->starting_count;

	return all > 0 && percent > 0 ? percent * ready / all : percent;
}

static int32_t step_of(const struct threshold_options *options, int32_t desired)
{
	int32_t part =
		instances_at_least(desired * options->step_percent / 100);

	return part > options->step ? part : (int32_t)options->step;
}

static int32_t up(const struct threshold_options *options, int32_t desired)
{
	return instances_at_least((double)desired + step_of(options, desired));
}

/* Never so far that what is there would be above the upper line at once, and
 * to none only without calls. */
static int32_t down(const struct threshold_options *options,
		    const struct atom_load *load, const struct usage *usage)
{
	int32_t desired = instances_counted(load->desired);
	int32_t wanted = desired - step_of(options, desired);
	double fit = options->cpu_high_percent > 0
			     ? desired * usage->cpu / options->cpu_high_percent
			     : desired;
	int32_t least = instances_at_least(fit);

	if (load->in_flight > 0 || load->waiting > 0)
		least = least > 1 ? least : 1;
	wanted = wanted > least ? wanted : least;
	return wanted < desired ? wanted : desired;
}

/* What memory says beside CPU. */
static const char *about_memory(const struct usage *usage, char *text,
				size_t size)
{
	if (usage->memory < 0)
		return "memory is not measured";
	(void)snprintf(text, size, "memory %.4g %%", usage->memory);
	return text;
}

static void high(const struct threshold_options *options,
		 const struct atom_load *load, const struct usage *usage,
		 bool memory, struct atom_scaling_advice *advice)
{
	char text[32];
	int32_t wanted = up(options, instances_counted(load->desired));
	struct advice_cause cause = {
		.metric = memory	 ? "memory_percent"
			  : usage->slots ? "slot_percent"
					 : "cpu_percent",
		.code = memory ? "high_memory_usage" : "high_cpu_usage",
		.value = memory ? usage->memory : usage->cpu,
	};

	if (memory)
		advice_give(advice, load, wanted, &cause,
			    "memory %.4g %% is above %.4g %% (%zu starting): "
			    "%d wanted",
			    usage->memory, options->memory_high_percent,
			    load->starting_count, (int)wanted);
	else
		advice_give(advice, load, wanted, &cause,
			    "%s %.4g %% is above %.4g %% (%zu starting; %s): "
			    "%d wanted",
			    usage->slots ? "slots in use" : "CPU", usage->cpu,
			    options->cpu_high_percent, load->starting_count,
			    about_memory(usage, text, sizeof(text)),
			    (int)wanted);
	if (memory && advice->action == ATOM_SCALE_ADD)
		advice->action = ATOM_SCALE_ADD_MEMORY;
}

static void low(const struct threshold_options *options,
		const struct atom_load *load, const struct usage *usage,
		struct atom_scaling_advice *advice)
{
	char text[32];
	int32_t wanted = down(options, load, usage);
	struct advice_cause cause = {
		.metric = usage->slots ? "slot_percent" : "cpu_percent",
		.code = "low_cpu_usage",
		.value = usage->cpu,
	};

	advice_give(advice, load, wanted, &cause,
		    "%s %.4g %% is below %.4g %% (%s): %d wanted",
		    usage->slots ? "slots in use" : "CPU", usage->cpu,
		    options->cpu_low_percent,
		    about_memory(usage, text, sizeof(text)), (int)wanted);
}

static void keep(const struct atom_load *load, const struct usage *usage,
		 struct atom_scaling_advice *advice)
{
	char text[32];
	struct advice_cause cause = {
		.metric = usage->slots ? "slot_percent" : "cpu_percent",
		.code = "steady",
		.value = usage->cpu,
	};

	advice_give(advice, load, instances_counted(load->desired), &cause,
		    "%s %.4g %%, %s: between the lines, %d stay",
		    usage->slots ? "slots in use" : "CPU", usage->cpu,
		    about_memory(usage, text, sizeof(text)),
		    (int)load->desired);
}

/* Without a measurement nothing changes. */
static void unknown(const struct atom_load *load, const char *metric,
		    struct atom_scaling_advice *advice)
{
	struct advice_cause cause = {
		.metric = metric,
		.code = "no_measurement",
		.value = -1,
	};

	advice_give(advice, load, -1, &cause,
		    "%s was not measured: nothing goes down", metric);
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct threshold_options *options = component_options(self);
	struct usage usage = measure(options, load);
	double cpu = shared(load, usage.cpu);
	double memory = shared(load, usage.memory);
	bool cpu_high = cpu > options->cpu_high_percent;
	bool memory_high = memory > options->memory_high_percent;
	bool memory_asked = options->memory_low_percent < 100;
	/* An agent without processes has no memory to ask for. */
	bool memory_missing = memory_asked && usage.memory < 0 && !usage.slots;

	(void)state;
	(void)err;
	*state_size = 0;
	if (advice_sleeper(load))
		advice_wake(advice, load);
	else if (load->ready <= 0 && load->desired <= 0)
		unknown(load, "cpu_percent", advice);
	else if (cpu_high || memory_high)
		/* Both: the one that is further above its line. */
		high(options, load, &usage,
		     memory_high &&
			     (!cpu_high ||
			      memory * options->cpu_high_percent >
				      cpu * options->memory_high_percent),
		     advice);
	else if (usage.cpu < 0)
		unknown(load, "cpu_percent", advice);
	else if (usage.cpu >= options->cpu_low_percent ||
		 (memory_asked && usage.memory >= options->memory_low_percent))
		keep(load, &usage, advice);
	else if (memory_missing)
		unknown(load, "memory_percent", advice);
	else
		low(options, load, &usage, advice);
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = component_destroy,
	.reconfigure = reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("threshold", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "threshold",
			   "more above a line of CPU or memory, fewer below "
			   "another",
			   &ops, threshold_options, struct threshold_options));
