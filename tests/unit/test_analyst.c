/* SPDX-License-Identifier: Apache-2.0 */

/* What analysts are made of: the statistics by values worked out by hand, the
 * report made of them, and what the monitor remembers and spends. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/backend/analyst/opinion.h"
#include "plugins/backend/analyst/statistics.h"
#include "plugins/monitor/analyst/memory.h"
#include "plugins/monitor/analyst/report.h"
#include "plugins/monitor/analyst/trigger.h"

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-4 * (1 + fabs(b));
}

/* --- statistics --------------------------------------------------------------- */

Test(analyst, trend_of_a_line_and_of_ties)
{
	const double line[] = { 1, 2, 3, 4, 5 }, ties[] = { 1, 1, 2, 2 };
	const double spike[] = { 1, 2, 100, 4, 5, 6 };
	struct trend trend = trend_of(line, 5);

	/* S = 10, variance 5 4 15 / 18, z = 9 / 4.0825. */
	cr_assert(trend.s == 10);
	cr_assert(near(trend.p, 0.027486));
	cr_assert(near(trend.slope, 1));
	/* S = 4, variance (4 3 13 - 2 2 1 9) / 18, z = 3 / 2.5820. */
	trend = trend_of(ties, 4);
	cr_assert(trend.s == 4);
	cr_assert(near(trend.p, 0.245278));
	/* One value does not mislead it. */
	trend = trend_of(spike, 6);
	cr_assert(near(trend.slope, 1));
}

Test(analyst, nothing_moves_in_what_is_equal)
{
	const double same[] = { 3, 3, 3, 3, 3, 3 };
	struct trend trend = trend_of(same, 6);
	struct change change = change_of(same, 6);

	cr_assert(trend.s == 0);
	cr_assert(near(trend.p, 1));
	cr_assert(near(trend.slope, 0));
	cr_assert(change.k == 0);
	cr_assert(near(change.p, 1));
	cr_assert(near(outlier_of(same, 6, 3), 0));
	cr_assert(isinf(outlier_of(same, 6, 4)));
}

Test(analyst, change_of_a_step)
{
	const double step[] = { 1, 1, 1, 1, 1, 2, 2, 2, 2, 2 };
	struct change change = change_of(step, 10);

	/* K = 5 5; p = 2 exp(-6 625 / 1100). */
	cr_assert(change.k == 25);
	cr_assert(change.at == 5);
	cr_assert(near(change.p, 0.066141));
	cr_assert(near(change.from, 1));
	cr_assert(near(change.to, 2));
}

Test(analyst, outlier_is_the_modified_z_score)
{
	const double values[] = { 1, 2, 3, 4, 100 };

	cr_assert(near(outlier_of(values, 5, 100), 0.6745 * 97));
	cr_assert(near(outlier_of(values, 5, 1), 0.6745 * -2));
}

/* --- opinions ------------------------------------------------------------------- */

static char *report(const char *values, const char *events)
{
	static char text[16384];

	(void)snprintf(text, sizeof(text),
		       "Words before. {\"format\":\"atomd-report/1\","
		       "\"focus\":\"performance\",\"why\":{\"kind\":\"alert\","
		       "\"name\":\"slow\",\"agent\":\"echo\"},"
		       "\"step_seconds\":120,\"series\":[{\"name\":"
		       "\"mean_response_seconds\",\"agent\":\"echo\","
		       "\"detail\":\"\",\"values\":[%s]}],\"events\":[%s],"
		       "\"earlier\":[]}",
		       values, events);
	return opinion_of(text, strlen(text), 300);
}

static void says(char *text, const char *part)
{
	cr_assert(text != NULL);
	cr_assert(strstr(text, part) != NULL, "expected '%s' in: %s", part,
		  text);
}

#define TEN(a) a "," a "," a "," a "," a "," a "," a "," a "," a "," a

Test(analyst, a_change_is_told_with_what_happened_at_that_time)
{
	char *text = report(TEN("1") "," TEN("1") "," TEN("3"),
			    "{\"steps_ago\":10,\"name\":\"rollout\",\"agent\":"
			    "\"echo\",\"detail\":\"canary\"}");

	says(text, "Asked because of the alert slow of echo. "
		   "mean_response_seconds of echo went from 1 to 3 18 minutes "
		   "ago (Pettitt p = 0.0004); at that time: rollout canary.");
	free(text);
	/* Another agent's, and one long before, are no cause. */
	text = report(TEN("1") "," TEN("1") "," TEN("3"),
		      "{\"steps_ago\":9,\"name\":\"rollout\",\"agent\":"
		      "\"other\",\"detail\":\"x\"},{\"steps_ago\":20,"
		      "\"name\":\"scaling\",\"agent\":\"echo\",\"detail\":"
		      "\"1 -> 2\"}");
	cr_assert(strstr(text, "at that time") == NULL, "%s", text);
	free(text);
}

Test(analyst, an_outlier_and_nothing_are_told)
{
	char *text = report("1,2,1,2,1,2,1,2,1,2,1,2,50,1,2,1,2,null,1,2", "");

	says(text, "was 50 14 minutes ago, usually it is 2 (an outlier).");
	free(text);
	text = report("1,2,1,2,1,2,1,2,1,2,1,2", "");
	says(text, "Nothing stands out in 1 series.");
	free(text);
	text = report("1,2,null", "");
	says(text, "too few numbers");
	free(text);
}

Test(analyst, what_cannot_be_read_is_said)
{
	static const char *const bad[] = {
		"",
		"how are you?",
		"{\"format\":\"atomd-report/1\"",
		"{\"format\":\"atomd-report/1\",\"series\":5}",
		("{\"format\":\"atomd-report/1\",\"series\":[1,{\"values\":"
		 "[\"x\",1e999]}],\"step_seconds\":-1}"),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = opinion_of(bad[i], strlen(bad[i]), 0);

		cr_assert(text != NULL && *text != '\0');
		cr_assert(strstr(text, "no report of numbers") != NULL ||
			  strstr(text, "too few numbers") != NULL);
		free(text);
	}
}

Test(analyst, a_report_keeps_within_its_tokens)
{
	char *big = malloc(100000);
	size_t length;
	char *text;

	(void)snprintf(big, 100000,
		       "{\"format\":\"atomd-report/1\","
		       "\"series\":[");
	for (int i = 0; i < 40; i++) {
		length = strlen(big);
		(void)snprintf(big + length, 100000 - length,
			       "%s{\"name\":\"s%d\",\"values\":[%s,%s,%s]}",
			       i > 0 ? "," : "", i, TEN("1"), TEN("1"),
			       TEN("9"));
	}
	length = strlen(big);
	(void)snprintf(big + length, 100000 - length, "]}");
	text = opinion_of(big, strlen(big), 200);
	cr_assert(strlen(text) <= 800, "%zu", strlen(text));
	says(text, " more are left out.");
	free(text);
	text = opinion_of(big, strlen(big), 1);
	says(text, "40 more are left out.");
	free(text);
	free(big);
}

/* --- what the monitor keeps ------------------------------------------------------- */

Test(analyst, memory_keeps_the_last_and_comes_back)
{
	struct memory memory, other;
	char huge[2 * MEMORY_TEXT_MAX];
	char *saved;
	json_t *told;

	cr_assert(memory_init(&memory, 3));
	memory_add(&memory, "\xff", 1);
	memory_add(&memory, "one", 3);
	memory_add(&memory, "two", 3);
	memory_add(&memory, "three", 5);
	memset(huge, 'x', sizeof(huge));
	memcpy(huge + MEMORY_TEXT_MAX - 1, "\xe2\x82\xac", 3);
	memory_add(&memory, huge, sizeof(huge));
	told = memory_told(&memory);
	cr_assert(json_array_size(told) == 3);
	cr_assert(strcmp(json_string_value(json_array_get(told, 0)), "two") ==
		  0);
	cr_assert(json_string_length(json_array_get(told, 2)) ==
		  MEMORY_TEXT_MAX - 1);
	json_decref(told);
	saved = memory_save(&memory);
	cr_assert(memory_init(&other, 2));
	cr_assert(memory_restore(&other, "{]", 2) == false);
	cr_assert(memory_restore(&other, "{}", 2) == false);
	cr_assert(memory_restore(&other, "[1,null]", 8) == false);
	cr_assert(json_array_size(other.messages) == 0);
	cr_assert(memory_restore(&other, saved, strlen(saved)));
	cr_assert(json_array_size(other.messages) == 2);
	free(saved);
	memory_fini(&other);
	memory_fini(&memory);
}

Test(analyst, what_is_told_of_before_is_bounded)
{
	struct memory memory;
	char text[MEMORY_TEXT_MAX];
	json_t *told;

	memset(text, 'y', sizeof(text));
	cr_assert(memory_init(&memory, 200));
	for (int i = 0; i < 200; i++)
		memory_add(&memory, text, sizeof(text));
	told = memory_told(&memory);
	cr_assert(json_array_size(told) == MEMORY_TOLD_MAX / MEMORY_TEXT_MAX);
	json_decref(told);
	memory_fini(&memory);
}

Test(analyst, a_budget_fills_by_the_hour_and_believes_no_lies)
{
	struct budget budget;

	budget_init(&budget, 1000, 0);
	cr_assert(budget_take(&budget, 800, 0));
	cr_assert(budget_take(&budget, 300, 0) == false);
	/* Six minutes are a tenth of it. */
	cr_assert(budget_take(&budget, 300, 360000));
	cr_assert(near(budget.left, 0));
	/* Half of it was needed. */
	budget_settle(&budget, 300, 150);
	cr_assert(near(budget.left, 150));
	budget_settle(&budget, 100, 1e18);
	cr_assert(near(budget.left, 150 + 100 - 400));
	budget_settle(&budget, 100, -1e18);
	cr_assert(near(budget.left, -150 + 100));
	/* A clock that goes back gives nothing. */
	cr_assert(budget_take(&budget, 1, 0) == false);
	cr_assert(near(budget.left, -50));
}

static bool reason(const char *name, const char *json, enum report_focus focus,
		   struct trigger *trigger)
{
	const struct atom_strings none = { NULL, 0 };
	const struct atom_monitor_event event = {
		.struct_size = sizeof(event),
		.name = name,
		.agent = "echo",
		.details = { json, strlen(json) },
	};

	return trigger_of(&event, focus, &none, trigger);
}

Test(analyst, each_focus_has_its_reasons)
{
	struct trigger t;

	cr_assert(reason("anomaly.began", "{\"signal\":\"requests\"}",
			 FOCUS_PERFORMANCE, &t));
	cr_assert(strcmp(t.kind, "anomaly") == 0);
	cr_assert(strcmp(t.name, "requests") == 0);
	cr_assert(strcmp(t.agent, "echo") == 0);
	cr_assert(reason("anomaly.began", "{\"signal\":\"requests\"}",
			 FOCUS_ERRORS, &t) == false);
	cr_assert(reason("anomaly.began", "{\"signal\":\"errors\"}",
			 FOCUS_ERRORS, &t));
	cr_assert(reason("alert.firing", "{\"name\":\"error_rate_high\"}",
			 FOCUS_ERRORS, &t));
	cr_assert(reason("alert.firing", "{\"name\":\"audit_sink_down\"}",
			 FOCUS_SECURITY, &t));
	cr_assert(reason("alert.firing", "{\"name\":\"queue_wait_high\"}",
			 FOCUS_PERFORMANCE, &t));
	cr_assert(reason("alert.resolved", "{\"name\":\"queue_wait_high\"}",
			 FOCUS_PERFORMANCE, &t) == false);
	cr_assert(reason("scaling", "{}", FOCUS_PERFORMANCE, &t) == false);
	/* Names of a stranger's plugin. */
	cr_assert(reason("alert.firing", "{\"name\":\"a\\n\\u0007 b\"}",
			 FOCUS_PERFORMANCE, &t));
	cr_assert(strcmp(t.name, "a___b") == 0, "%s", t.name);
}

Test(analyst, what_happened_is_kept_in_words)
{
	struct happenings h = { 0 };
	const char scaled[] = "{\"from\":1,\"to\":2,\"reason\":\"secret\"}";
	struct atom_monitor_event event = {
		.struct_size = sizeof(event),
		.name = "scaling",
		.agent = "echo",
		.details = { scaled, sizeof(scaled) - 1 },
	};
	json_t *told;
	char *text;

	for (int i = 0; i < 2 * HAPPENED_MAX; i++) {
		event.time_ms = (int64_t)i * 1000;
		happenings_add(&h, &event);
	}
	event.name = "plugin.chatter";
	happenings_add(&h, &event);
	told = happenings_told(&h, 2 * HAPPENED_MAX * 1000, 1000, 5);
	text = json_dumps(told, JSON_COMPACT | JSON_SORT_KEYS);
	cr_assert(strstr(text, "[{\"agent\":\"echo\",\"detail\":\"1 -> 2\","
			       "\"name\":\"scaling\",\"steps_ago\":4}") == text,
		  "%s", text);
	cr_assert(strstr(text, "secret") == NULL);
	cr_assert(json_array_size(told) == 4);
	free(text);
	json_decref(told);
}

/* --- the numbers ---------------------------------------------------------------- */

/* A counter of each of two codes of one agent that grows by 30 a step. */
static atom_status history_read(const struct atom_host *host,
				const struct atom_history_query *query,
				atom_history_visit visit, void *argument,
				struct atom_error *err)
{
	static const char *const codes[] = { "200", "502" };
	struct atom_history_sample samples[REPORT_STEPS + 2];

	(void)host;
	(void)err;
	if (strcmp(query->name, "atomd_requests_total") != 0)
		return ATOM_OK;
	for (size_t i = 0; i < 2; i++) {
		const struct atom_history_label labels[] = {
			{ "agent", "echo" }, { "code", codes[i] }
		};
		const struct atom_history_series series = {
			.struct_size = sizeof(series),
			.type = ATOM_METRIC_COUNTER,
			.name = query->name,
			.labels = labels,
			.label_count = 2,
		};
		size_t count = 0;

		for (int64_t at = (query->from_ms + query->step_ms - 1) /
				  query->step_ms;
		     at <= query->to_ms / query->step_ms; at++) {
			cr_assert(count < REPORT_STEPS + 2);
			/* A gap of one. */
			if (at % 10 != 0)
				samples[count++] = (struct atom_history_sample){
					.time_ms = at * query->step_ms,
					.value = 30.0 * (double)at,
				};
		}
		(void)visit(argument, &series, samples, sizeof(samples[0]),
			    count);
	}
	return ATOM_OK;
}

Test(analyst, numbers_are_one_series_an_agent_and_word)
{
	const struct atom_history history = {
		.struct_size = sizeof(history),
		.read = history_read,
	};
	struct atom_error error = ATOM_ERROR_INIT;
	json_t *list, *one, *values;
	size_t known = 0;

	cr_assert(report_step_ms(3600000) == 120000);
	cr_assert(report_step_ms(300000) == 15000);
	list = report_series(NULL, &history, FOCUS_PERFORMANCE, 1000000000000,
			     3600000, &error);
	/* Both codes are one. */
	cr_assert(json_array_size(list) == 1);
	json_decref(list);
	list = report_series(NULL, &history, FOCUS_ERRORS, 1000000000000,
			     3600000, &error);
	cr_assert(json_array_size(list) == 2);
	one = json_array_get(list, 1);
	cr_assert(strcmp(json_string_value(json_object_get(one, "detail")),
			 "502") == 0);
	values = json_object_get(one, "values");
	cr_assert(json_array_size(values) == REPORT_STEPS);
	for (size_t i = 0; i < REPORT_STEPS; i++) {
		const json_t *value = json_array_get(values, i);

		if (json_is_null(value))
			continue;
		known++;
		cr_assert(near(json_number_value(value), 0.25));
	}
	/* Each gap costs the growth up to it and the growth from it. */
	cr_assert(known == REPORT_STEPS - 6, "%zu", known);
	json_decref(list);
}

/* --- without memory ------------------------------------------------------------- */

/* The linker gives calls of what is compiled in here (--wrap), jansson is told
 * to. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static unsigned int blocks_left; /* the last of them is not there */

static bool is_short(void)
{
	return blocks_left > 0 && --blocks_left == 0;
}

void *__wrap_malloc(size_t size)
{
	return is_short() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_short() ? NULL : __real_calloc(count, size);
}

static char *told_of_series(void)
{
	const struct atom_history history = {
		.struct_size = sizeof(history),
		.read = history_read,
	};
	struct atom_error error = ATOM_ERROR_INIT;
	json_t *list = report_series(NULL, &history, FOCUS_ERRORS,
				     1000000000000, 3600000, &error);
	char *text = report_text(list);

	cr_assert(list != NULL || error.message[0] != '\0');
	json_decref(list);
	return text;
}

static struct happenings kept_events;
static struct memory kept;

static char *told_of_events(void)
{
	json_t *told = happenings_told(&kept_events, 0, 60000, 30);
	char *text = report_text(told);

	json_decref(told);
	return text;
}

static char *told_of_before(void)
{
	json_t *told = memory_told(&kept);
	char *text = report_text(told);

	json_decref(told);
	return text;
}

static char *saved(void)
{
	return memory_save(&kept);
}

static char *opinion(void)
{
	return report(TEN("1") "," TEN("1") "," TEN("3"), "");
}

/* Whatever there is no memory for: no text is without a part. */
Test(analyst, a_text_is_whole_or_none)
{
	static char *(*const ways[])(void) = { opinion, told_of_series,
					       told_of_events, told_of_before,
					       saved };
	char long_text[MEMORY_TEXT_MAX];

	memset(long_text, 'x', sizeof(long_text));
	cr_assert(memory_init(&kept, 20));
	for (size_t i = 0; i < 10; i++) {
		(void)snprintf(kept_events.items[i].name, REPORT_WORD,
			       "an event of some length %zu", i);
		cr_assert(memory_add(&kept, long_text, sizeof(long_text)));
	}
	kept_events.count = 10;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char *whole = ways[i](), *text;
		unsigned int nth = 1, made = 0;

		cr_assert(whole != NULL);
		for (bool failed = true; failed; nth++) {
			blocks_left = nth;
			text = ways[i]();
			failed = blocks_left == 0;
			blocks_left = 0;
			cr_assert(text == NULL || strcmp(text, whole) == 0,
				  "%zu, %u: %s", i, nth, text);
			made += text != NULL;
			free(text);
		}
		cr_assert(nth > 2 && made > 0, "%zu: %u", i, nth);
		free(whole);
		/* Of what is written only: jansson reads beyond its own
		 * memory without any. */
		json_set_alloc_funcs(__wrap_malloc, free);
	}
	for (unsigned int nth = 1, failed = 1; failed; nth++) {
		const size_t before = json_array_size(kept.messages);

		blocks_left = nth;
		failed = !memory_add(&kept, "one", 3);
		cr_assert(failed == (blocks_left == 0));
		blocks_left = 0;
		cr_assert(json_array_size(kept.messages) == before + !failed);
	}
	memory_fini(&kept);
	json_set_alloc_funcs(malloc, free);
}
