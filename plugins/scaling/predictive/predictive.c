/* SPDX-License-Identifier: Apache-2.0 */

/*
 * scaling/predictive: a floor by what the last days say of the next minutes,
 * under Knative's formula (../formula/kpa.h).
 *
 * A forecast never takes anything away: where it is too low the reactive part
 * answers, where it is too high somewhat more is there than is needed.  It is
 * made anew when a five-minute sample comes and kept in the state until then.
 */

#include <atomd/scaling.h>

#include "plugins/scaling/formula/advice.h"
#include "plugins/scaling/formula/cold_start.h"
#include "plugins/scaling/formula/component.h"
#include "plugins/scaling/formula/kpa.h"
#include "plugins/scaling/formula/memory.h"
#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/predictive/forecast.h"

#define HOUR_MS INT64_C(3600000)
#define WEEK_MS (168 * HOUR_MS)

/* A series whose last sample is older says nothing of now. */
#define STALE_MS (3 * SERIES_STEP_MS)

/* Less than this is nobody: an instance for it would never be stopped. */
#define QUIET_CALLS 0.1

/* A forecast is believed up to this many times what was ever seen. */
#define BELIEVED_TIMES 1.5

/* Two ends of a sample that lie closer are the same sample's. */
#define SAME_SAMPLE_MS (SERIES_STEP_MS / 5)

struct predictive_options {
	int32_t method;
	int64_t season_ms;
	int64_t ahead_ms;
	double margin;
	double target_utilization_percent;
};

static const char *const methods[] = { "best", "holt_winters", "seasonal_naive",
				       NULL };
static const char *const method_words[] = { "", "Holt-Winters", "the season",
					    "" };

#define OPTIONS struct predictive_options

static const struct atom_option predictive_options[] = {
	ATOM_OPTION_CHOICE(OPTIONS, method, "best", methods, ATOM_RELOADABLE,
			   "how to forecast; best: whose errors over the last "
			   "season are smaller"),
	ATOM_OPTION_DURATION(OPTIONS, season_ms, "24h", (double)HOUR_MS,
			     (double)WEEK_MS, ATOM_RELOADABLE,
			     "the load repeats itself after this time"),
	ATOM_OPTION_DURATION(OPTIONS, ahead_ms, "10m", 0, (double)HOUR_MS,
			     ATOM_RELOADABLE,
			     "be ready for what comes in this time, or in the "
			     "longest cold start seen"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, margin, "1", 0, 10, ATOM_RELOADABLE,
			       "errors",
			       "add so many times the forecast's usual error"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, target_utilization_percent, "70", 1,
			       100, ATOM_RELOADABLE, "%",
			       "share of an instance's concurrency that should "
			       "be in use"),
};

/* Which series and options a forecast is of. */
struct origin {
	int64_t ended_ms; /* steady time of the last sample's end */
	int64_t count;
	int64_t season;
	int64_t method;
};

struct predictive_memory {
	struct kpa_memory kpa;
	struct origin origin;
	struct forecast forecast;
};

static const struct memory_kind memory_kind = { MEMORY_WORD('p', 'r', 'e', 'd'),
						1 };

static void recall(const void *state, size_t state_size,
		   struct predictive_memory *memory)
{
	if (memory_read(&memory_kind, state, state_size, memory,
			sizeof(*memory)) &&
	    kpa_memory_sound(&memory->kpa) && forecast_sound(&memory->forecast))
		return;
	*memory = (struct predictive_memory){
		.forecast = { .method = FORECAST_NONE },
	};
}

static bool same_origin(const struct origin *a, const struct origin *b)
{
	int64_t apart_ms;

	return !__builtin_sub_overflow(a->ended_ms, b->ended_ms, &apart_ms) &&
	       apart_ms < SAME_SAMPLE_MS && apart_ms > -SAME_SAMPLE_MS &&
	       a->count == b->count && a->season == b->season &&
	       a->method == b->method;
}

/* The kept forecast, made anew where it is of another series. */
static void refresh(const struct predictive_options *options,
		    const struct atom_load *load, int64_t age_ms,
		    struct predictive_memory *memory)
{
	struct origin origin = {
		.count = (int64_t)load->five_minute_count,
		.season = options->season_ms / SERIES_STEP_MS,
		.method = options->method,
	};
	struct series series;

	if (__builtin_sub_overflow(load->steady_ms, age_ms, &origin.ended_ms))
		origin.ended_ms = 0;
	if (same_origin(&origin, &memory->origin))
		return;
	series_read(load, &series);
	forecast_make(&series, options->method, (size_t)origin.season,
		      &memory->forecast);
	memory->origin = origin;
}

struct expected {
	double calls;	    /* at once, at most, soon */
	double with_margin; /* to be ready for */
};

/* False: no forecast, or of nobody. */
static bool expect(const struct predictive_options *options,
		   const struct atom_load *load,
		   struct predictive_memory *memory,
		   struct expected *expected_r)
{
	const struct forecast *forecast = &memory->forecast;
	int64_t age_ms;

	if (!series_age(load, &age_ms) || age_ms > STALE_MS)
		return false;
	refresh(options, load, age_ms, memory);
	if (!forecast_peak(forecast, age_ms,
			   cold_start_ms(load, options->ahead_ms, HOUR_MS),
			   &expected_r->calls) ||
	    expected_r->calls < QUIET_CALLS)
		return false;
	expected_r->with_margin =
		fmin(expected_r->calls + options->margin * forecast->error,
		     BELIEVED_TIMES * forecast->most);
	return true;
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct predictive_options *options = component_options(self);
	struct kpa_settings settings =
		kpa_published(load, options->target_utilization_percent);
	struct predictive_memory memory;
	struct kpa_verdict verdict;
	struct expected expected;
	int32_t least = 0;

	(void)err;
	recall(state, *state_size, &memory);
	kpa_decide(&settings, load, &memory.kpa, &verdict);
	kpa_advise(&settings, load, &memory.kpa, &verdict, advice);
	if (expect(options, load, &memory, &expected))
		least = instances_at_least(expected.with_margin /
					   settings.target);
	memory_write(&memory_kind, &memory, sizeof(memory), state, state_size);
	/* Nothing measured: the forecast may raise, and nothing goes down. */
	if (least <= verdict.wanted ||
	    (verdict.wanted < 0 && least <= instances_counted(load->desired)))
		return ATOM_OK;

	struct advice_cause cause = {
		.metric = "forecast_calls",
		.code = "forecast",
		.value = expected.with_margin,
	};

	advice_give(
		advice, load, least, &cause,
		"%s of the last days has %.4g calls at once within %lld "
		"min, usual error %.3g, %.4g for each instance: %d at "
		"least, the calls of now need %d",
		method_words[memory.forecast.method], expected.calls,
		(long long)(cold_start_ms(load, options->ahead_ms, HOUR_MS) /
			    60000),
		memory.forecast.error, settings.target, (int)least,
		(int)(verdict.wanted < 0 ? 0 : verdict.wanted));
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("predictive", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "predictive",
			   "a floor by a forecast from the last days, under "
			   "`concurrency`",
			   &ops, predictive_options,
			   struct predictive_options));
