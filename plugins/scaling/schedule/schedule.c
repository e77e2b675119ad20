/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/schedule: so many instances at least in windows of the calendar.
 *
 * A strategy sees no other strategy, so what holds outside the windows, and
 * above their numbers, is Knative's formula with its published defaults
 * (../formula/kpa.h), or `min`.
 */

#include <stdlib.h>

#include <atomd/scaling.h>

#include "plugins/scaling/formula/advice.h"
#include "plugins/scaling/formula/cold_start.h"
#include "plugins/scaling/formula/kpa.h"
#include "plugins/scaling/formula/memory.h"
#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/schedule/cron.h"

#define MINUTE_MS	INT64_C(60000)
#define HOUR_MS		INT64_C(3600000)
#define DAY_MS		INT64_C(86400000)
#define DURATION_MAX_MS (31 * DAY_MS)
#define EARLY_MAX_MS	HOUR_MS
#define WINDOWS_MAX	64
/* Some 30,000 years around 1970: a clock beyond is broken. */
#define CLOCK_MAX_MS INT64_C(1000000000000000)

struct window_options {
	const char *cron;
	int64_t duration_ms;
	int64_t instances;
};

struct schedule_options {
	struct atom_groups windows; /* of struct window_options */
	int64_t early_ms;
	int32_t base;
	double target_utilization_percent;
};

enum {
	BASE_CONCURRENCY,
	BASE_NONE
};

static const char *const bases[] = { "concurrency", "none", NULL };

#define WINDOW	struct window_options
#define OPTIONS struct schedule_options

static const struct atom_option window_table[] = {
	ATOM_OPTION_STRING(WINDOW, cron, "", ATOM_REQUIRED | ATOM_RELOADABLE,
			   "when it begins, in local time: minute, hour, day "
			   "of month, month, day of week"),
	ATOM_OPTION_DURATION(WINDOW, duration_ms, "1h", (double)MINUTE_MS,
			     (double)DURATION_MAX_MS, ATOM_RELOADABLE,
			     "how long it lasts"),
	ATOM_OPTION_INT_UNIT(WINDOW, instances, "1", 0, INSTANCES_MAX,
			     ATOM_RELOADABLE, "instances",
			     "at least so many in it"),
};

static const struct atom_option schedule_table[] = {
	ATOM_OPTION_GROUPS(OPTIONS, windows, WINDOW, window_table, 0,
			   WINDOWS_MAX, ATOM_RELOADABLE,
			   "windows of the calendar; where several hold, the "
			   "largest number counts"),
	ATOM_OPTION_DURATION(OPTIONS, early_ms, "0", 0, (double)EARLY_MAX_MS,
			     ATOM_RELOADABLE,
			     "windows begin so much earlier, or earlier by the "
			     "longest cold start seen"),
	ATOM_OPTION_CHOICE(OPTIONS, base, "concurrency", bases, ATOM_RELOADABLE,
			   "above and outside the windows: by calls at once "
			   "as scaling/concurrency, or `min`"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, target_utilization_percent, "70", 1,
			       100, ATOM_RELOADABLE, "%",
			       "of base `concurrency`: share of an instance's "
			       "concurrency that should be in use"),
};

static const struct memory_kind memory_kind = { MEMORY_WORD('s', 'c', 'h', 'e'),
						1 };

struct schedule {
	const struct schedule_options *options;
	struct cron crons[WINDOWS_MAX]; /* of the options' windows */
};

static const struct window_options *window_at(
	const struct schedule_options *options, size_t i)
{
	const char *items = options->windows.items;

	return (const void *)(items + i * options->windows.stride);
}

static atom_status parse(const struct schedule_options *options,
			 struct cron *crons, struct atom_error *err)
{
	for (size_t i = 0; i < options->windows.count; i++) {
		atom_status status =
			cron_parse(window_at(options, i)->cron, &crons[i], err);

		if (status)
			return status;
	}
	return ATOM_OK;
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));
	atom_status status;

	(void)host;
	if (schedule == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	schedule->options = options;
	status = parse(schedule->options, schedule->crons, err);
	if (status) {
		free(schedule);
		return status;
	}
	*self_r = schedule;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct schedule *schedule = self;
	struct cron crons[WINDOWS_MAX];
	atom_status status = parse(options, crons, err);

	if (status)
		return status;
	schedule->options = options;
	for (size_t i = 0; i < schedule->options->windows.count; i++)
		schedule->crons[i] = crons[i];
	return ATOM_OK;
}

/* --- windows ------------------------------------------------------------ */

/* The window that holds and asks for most. */
struct floor {
	const struct window_options *window; /* NULL: none holds */
	int64_t ends_ms;		     /* local time */
};

static int64_t floor_of(int64_t value, int64_t unit)
{
	int64_t quotient = value / unit;

	return value % unit < 0 ? quotient - 1 : quotient;
}

static int64_t local_ms(const struct atom_load *load)
{
	int64_t offset_ms = (int64_t)load->utc_offset_s * 1000;
	int64_t now_ms = load->now_ms;

	if (now_ms > CLOCK_MAX_MS || now_ms < -CLOCK_MAX_MS)
		now_ms = 0;
	if (offset_ms > DAY_MS || offset_ms < -DAY_MS)
		offset_ms = 0;
	return now_ms + offset_ms;
}

static struct floor floor_now(const struct schedule *schedule,
			      const struct atom_load *load)
{
	const struct schedule_options *options = schedule->options;
	struct floor floor = { 0 };
	int64_t now_ms = local_ms(load);
	/* Earlier than its time, so that its instances are ready by then. */
	int64_t begins_ms =
		now_ms + cold_start_ms(load, options->early_ms, EARLY_MAX_MS);

	for (size_t i = 0; i < options->windows.count; i++) {
		const struct window_options *window = window_at(options, i);
		int64_t minute;
		int64_t back =
			(begins_ms - now_ms + window->duration_ms) / MINUTE_MS +
			1;

		if (!cron_last(&schedule->crons[i],
			       floor_of(begins_ms, MINUTE_MS), back, &minute))
			continue;

		int64_t ends_ms = minute * MINUTE_MS + window->duration_ms;

		if (ends_ms <= now_ms ||
		    (floor.window != NULL &&
		     window->instances <= floor.window->instances))
			continue;
		floor.window = window;
		floor.ends_ms = ends_ms;
	}
	return floor;
}

/* --- advice ------------------------------------------------------------- */

/* What holds when no window asks for more; -1: not known. */
static int32_t base(const struct schedule_options *options,
		    const struct atom_load *load, void *state,
		    size_t *state_size, struct atom_scaling_advice *advice)
{
	struct kpa_settings settings =
		kpa_published(load, options->target_utilization_percent);
	struct kpa_memory memory = { 0 };
	struct kpa_verdict verdict;

	if (options->base == BASE_CONCURRENCY) {
		if (!memory_read(&memory_kind, state, *state_size, &memory,
				 sizeof(memory)) ||
		    !kpa_memory_sound(&memory))
			memory = (struct kpa_memory){ 0 };
		kpa_decide(&settings, load, &memory, &verdict);
		memory_write(&memory_kind, &memory, sizeof(memory), state,
			     state_size);
		kpa_advise(&settings, load, &memory, &verdict, advice);
		return verdict.wanted;
	}

	struct advice_cause cause = {
		.metric = "schedule",
		.code = "no_window",
		.value = 0,
	};
	int32_t wanted = instances_counted(load->min);

	*state_size = 0;
	if (wanted == 0 && (load->waiting > 0 || load->in_flight > 0))
		wanted = 1;
	advice_give(advice, load, wanted, &cause,
		    "no window holds: %d wanted, the agent's `min` or one "
		    "while there are calls",
		    (int)wanted);
	return wanted;
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct schedule *schedule = self;
	struct floor floor = floor_now(schedule, load);
	int32_t wanted =
		base(schedule->options, load, state, state_size, advice);

	(void)err;
	advice->hold_ms = 0;
	if (floor.window == NULL)
		return ATOM_OK;

	int32_t least = (int32_t)floor.window->instances;
	int64_t minute = floor_of(floor.ends_ms, MINUTE_MS) % 1440;
	struct advice_cause cause = {
		.metric = "schedule",
		.code = "window",
		.value = least,
	};

	/* Nothing measured: the window may raise, and nothing goes down. */
	if (least <= wanted ||
	    (wanted < 0 && least <= instances_counted(load->desired)))
		return ATOM_OK;
	minute += minute < 0 ? 1440 : 0;
	advice_give(advice, load, least, &cause,
		    "the window `%.60s` holds until %02d:%02d local time: %d "
		    "at least, the calls would need %d",
		    floor.window->cron, (int)(minute / 60), (int)(minute % 60),
		    (int)least, (int)(wanted < 0 ? 0 : wanted));
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("schedule", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "schedule",
			   "so many at least in windows of the calendar", &ops,
			   schedule_table, struct schedule_options));
