/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/concurrency: as many instances as keep each at a share of the calls
 * that it can take at once.  Knative's pod autoscaler with its published
 * defaults; the formula is in ../formula/kpa.h.
 */

#include <atomd/scaling.h>

#include "plugins/scaling/formula/component.h"
#include "plugins/scaling/formula/kpa.h"
#include "plugins/scaling/formula/memory.h"

struct concurrency_options {
	double target_utilization_percent;
	double target;
	int64_t stable_window_ms;
	double panic_window_percent;
	double panic_threshold_percent;
	double max_scale_up_rate;
	double max_scale_down_rate;
	int64_t activation_scale;
};

#define OPTIONS struct concurrency_options

static const struct atom_option concurrency_options[] = {
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, target_utilization_percent, "70", 1,
			       100, ATOM_RELOADABLE, "%",
			       "share of an instance's concurrency that should "
			       "be in use"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, target, "0", 0, 1000000,
			       ATOM_RELOADABLE, "calls",
			       "calls at once that one instance should have; "
			       "0: the share above"),
	ATOM_OPTION_DURATION(OPTIONS, stable_window_ms, "60s", 6000, 600000,
			     ATOM_RELOADABLE,
			     "calls at once are averaged over this time"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, panic_window_percent, "10", 1, 100,
			       ATOM_RELOADABLE, "%",
			       "share of the stable window that is looked at "
			       "for panic"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, panic_threshold_percent, "200", 110,
			       1000, ATOM_RELOADABLE, "%",
			       "panic begins when so much of what is ready is "
			       "wanted"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_scale_up_rate, "1000", 1.01,
			       1000000, ATOM_RELOADABLE, "times",
			       "growth at most in one evaluation"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_scale_down_rate, "2", 1.01, 1000000,
			       ATOM_RELOADABLE, "times",
			       "shrinking at most in one evaluation"),
	ATOM_OPTION_INT_UNIT(OPTIONS, activation_scale, "1", 1, 100000,
			     ATOM_RELOADABLE, "instances",
			     "at least so many when any are wanted"),
};

static const struct memory_kind memory_kind = { MEMORY_WORD('c', 'o', 'n', 'c'),
						1 };

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct concurrency_options *options = component_options(self);
	struct kpa_settings settings = {
		.target = kpa_target(load, options->target,
				     options->target_utilization_percent),
		.stable_ms = options->stable_window_ms,
		.panic_ms = (int64_t)((double)options->stable_window_ms *
				      options->panic_window_percent / 100),
		.panic_threshold = options->panic_threshold_percent / 100,
		.up_rate = options->max_scale_up_rate,
		.down_rate = options->max_scale_down_rate,
		.activation = (int32_t)options->activation_scale,
	};
	struct kpa_memory memory = { 0 };
	struct kpa_verdict verdict;

	(void)err;
	if (!memory_read(&memory_kind, state, *state_size, &memory,
			 sizeof(memory)) ||
	    !kpa_memory_sound(&memory))
		memory = (struct kpa_memory){ 0 };
	kpa_decide(&settings, load, &memory, &verdict);
	memory_write(&memory_kind, &memory, sizeof(memory), state, state_size);
	kpa_advise(&settings, load, &memory, &verdict, advice);
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("concurrency", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "concurrency",
			   "instances by calls at once, with panic (Knative's "
			   "KPA)",
			   &ops, concurrency_options,
			   struct concurrency_options));
