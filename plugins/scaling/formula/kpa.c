/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/kpa.h"

#include "plugins/scaling/formula/advice.h"
#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/formula/window.h"

/* Evaluations are a tick apart, or closer.  More than this is a process that
 * stood still. */
#define JUMP_TICKS	10
#define TICK_DEFAULT_MS 2000
#define TICK_MAX_MS	60000

double kpa_target(const struct atom_load *load, double target,
		  double utilization_percent)
{
	double concurrency = load->concurrency > 0 ? load->concurrency
						   : KPA_CONCURRENCY_DEFAULT;

	if (!(target > 0))
		target = concurrency * utilization_percent / 100;
	return number_within(target, KPA_TARGET_MIN, KPA_TARGET_MAX);
}

struct kpa_settings kpa_published(const struct atom_load *load,
				  double utilization_percent)
{
	return (struct kpa_settings){
		.target = kpa_target(load, 0, utilization_percent),
		.stable_ms = 60000,
		.panic_ms = 6000,
		.panic_threshold = 2,
		.up_rate = 1000,
		.down_rate = 2,
		.activation = 1,
	};
}

bool kpa_memory_sound(const struct kpa_memory *memory)
{
	return memory->panic_left_ms >= 0 && number_known(memory->panic_peak) &&
	       memory->panic_peak <= INSTANCES_MAX;
}

/* Since the last evaluation; a jump counts as one tick. */
static int64_t passed_ms(const struct atom_load *load,
			 const struct kpa_memory *memory)
{
	int64_t tick_ms = load->tick_ms > 0 ? load->tick_ms : TICK_DEFAULT_MS;
	int64_t passed;

	if (tick_ms > TICK_MAX_MS)
		tick_ms = TICK_MAX_MS;
	if (__builtin_sub_overflow(load->steady_ms, memory->evaluated_ms,
				   &passed) ||
	    passed < 0 || passed > JUMP_TICKS * tick_ms)
		return tick_ms;
	return passed;
}

/* Means of both windows.  Before the first sample what is there now stands
 * for them, if anything is: a load that begins is no missing measurement. */
static bool measure(const struct kpa_settings *settings,
		    const struct atom_load *load, struct kpa_verdict *verdict)
{
	if (!window_calls(load, settings->stable_ms, &verdict->stable_calls)) {
		if (load->in_flight < 0 || load->waiting < 0 ||
		    (load->in_flight == 0 && load->waiting == 0))
			return false;
		verdict->stable_calls =
			(double)load->in_flight + (double)load->waiting;
	}
	if (!window_calls(load, settings->panic_ms, &verdict->panic_calls))
		verdict->panic_calls = verdict->stable_calls;
	return true;
}

/* From the calls of a window to instances, within what one evaluation may
 * change. */
static double bounded(const struct kpa_settings *settings, double exact,
		      double ready)
{
	double most = ceil(settings->up_rate * ready);
	double least = floor(ready / settings->down_rate);

	double wanted = fmin(fmax(exact, least), most);

	return exact > 0 ? fmax(wanted, settings->activation) : wanted;
}

/* Panic begins, goes on or ends. */
static void watch_panic(const struct kpa_settings *settings,
			const struct atom_load *load, struct kpa_memory *memory,
			bool over, double ready)
{
	bool first = memory->known == 0;

	if (memory->panic_left_ms > 0) {
		int64_t passed = passed_ms(load, memory);

		memory->panic_left_ms = memory->panic_left_ms > passed
						? memory->panic_left_ms - passed
						: 0;
	}
	if (over)
		memory->panic_left_ms = settings->stable_ms;
	if (memory->panic_left_ms > settings->stable_ms)
		memory->panic_left_ms = settings->stable_ms;
	if (memory->panic_left_ms == 0)
		memory->panic_peak = 0;

	/* A strategy that knows no past keeps what it finds for a window. */
	if (first && ready > 1) {
		memory->panic_left_ms = settings->stable_ms;
		memory->panic_peak = ready;
	}
}

void kpa_decide(const struct kpa_settings *settings,
		const struct atom_load *load, struct kpa_memory *memory,
		struct kpa_verdict *verdict)
{
	double ready = instances_counted(load->ready);
	double base = fmax(ready, 1);

	*verdict = (struct kpa_verdict){ .wanted = -1 };
	if (!measure(settings, load, verdict))
		return;

	double stable =
		instances_at_least(verdict->stable_calls / settings->target);
	double panic =
		instances_at_least(verdict->panic_calls / settings->target);
	bool over = panic / base >= settings->panic_threshold;

	watch_panic(settings, load, memory, over, ready);
	memory->evaluated_ms = load->steady_ms;
	memory->known = 1;

	double wanted = bounded(settings, stable, base);

	verdict->deciding_calls = verdict->stable_calls;
	verdict->panicking = memory->panic_left_ms > 0;
	if (verdict->panicking) {
		double hasty = bounded(settings, panic, base);

		if (hasty > wanted) {
			wanted = hasty;
			verdict->deciding_calls = verdict->panic_calls;
		}
		if (wanted < memory->panic_peak)
			wanted = memory->panic_peak;
		memory->panic_peak = fmin(wanted, INSTANCES_MAX);
	}
	/* The activator's part: a call that is there needs somebody. */
	if (wanted < 1 && (load->waiting > 0 || load->in_flight > 0))
		wanted = fmax(settings->activation, 1);
	verdict->wanted = instances_at_least(wanted);
}

void kpa_advise(const struct kpa_settings *settings,
		const struct atom_load *load, const struct kpa_memory *memory,
		const struct kpa_verdict *verdict,
		struct atom_scaling_advice *advice)
{
	struct advice_cause cause = {
		.metric = "concurrency",
		.value = verdict->deciding_calls,
	};
	double stable_s = (double)settings->stable_ms / 1000;
	double panic_s = (double)settings->panic_ms / 1000;

	advice->hold_ms = 0; /* scale-down-delay: the windows hold enough */
	if (verdict->wanted < 0) {
		cause.value = -1;
		cause.code = "no_measurement";
		advice_give(advice, load, -1, &cause,
			    "calls at once were not measured in the last "
			    "%g s: nothing changes",
			    stable_s);
		return;
	}
	if (verdict->panicking) {
		cause.code = "panic";
		advice_give(advice, load, verdict->wanted, &cause,
			    "%.4g calls at once over %g s and %.4g over %g s, "
			    "%.4g for each instance: %d wanted; panic for "
			    "%.0f s more, nothing goes down",
			    verdict->stable_calls, stable_s,
			    verdict->panic_calls, panic_s, settings->target,
			    (int)verdict->wanted,
			    (double)memory->panic_left_ms / 1000);
		return;
	}
	cause.code = verdict->wanted > load->desired   ? "high_concurrency"
		     : verdict->wanted < load->desired ? "low_concurrency"
						       : "steady";
	advice_give(advice, load, verdict->wanted, &cause,
		    "%.4g calls at once over %g s, %.4g for each instance: "
		    "%d wanted, %d are ready",
		    verdict->stable_calls, stable_s, settings->target,
		    (int)verdict->wanted, (int)load->ready);
}
