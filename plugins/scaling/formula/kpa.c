/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/kpa.h"

#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/formula/window.h"

/* Evaluations are a tick apart, or closer.  More than this is the clock's
 * doing, or a daemon's that stood still. */
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
	return number_within(target, KPA_TARGET_MIN, INSTANCES_MAX);
}

bool kpa_memory_sound(const struct kpa_memory *memory)
{
	return memory->evaluated_ms >= 0 && memory->panic_left_ms >= 0 &&
	       number_known(memory->panic_peak) &&
	       memory->panic_peak <= INSTANCES_MAX;
}

/* Since the last evaluation; a jump counts as one tick. */
static int64_t passed_ms(const struct atom_load *load,
			 const struct kpa_memory *memory)
{
	int64_t tick_ms = load->tick_ms > 0 ? load->tick_ms : TICK_DEFAULT_MS;

	if (tick_ms > TICK_MAX_MS)
		tick_ms = TICK_MAX_MS;
	if (load->now_ms < memory->evaluated_ms ||
	    load->now_ms - memory->evaluated_ms > JUMP_TICKS * tick_ms)
		return tick_ms;
	return load->now_ms - memory->evaluated_ms;
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
	bool first = memory->evaluated_ms == 0;

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
	memory->evaluated_ms = load->now_ms > 0 ? load->now_ms : 1;

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
