/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/analyst/report.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const report_focus_words[FOCUS_COUNT] = {
	[FOCUS_PERFORMANCE] = "performance",
	[FOCUS_ERRORS] = "error_tracking",
	[FOCUS_SECURITY] = "security",
};

/* --- whole or none ---------------------------------------------------------------- */

void report_add(json_t **list, json_t *item)
{
	if (json_array_append_new(*list, item) == 0)
		return;
	json_decref(*list);
	*list = NULL;
}

/* jansson goes on after a name that its text has no memory for. */
char *report_text(const json_t *value)
{
	char *text = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;

	if (text != NULL &&
	    json_dumpb(value, NULL, 0, JSON_COMPACT) != strlen(text)) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- the numbers ------------------------------------------------------------------ */

enum as {
	AS_RATE, /* of a counter, a second */
	AS_MEAN, /* of a histogram */
	AS_LEVEL /* of a gauge */
};

/* A metric, and the label beside `agent` that its series are apart by. */
struct row {
	enum report_focus focus;
	const char *name;
	const char *metric;
	const char *label;
	enum as as;
};

static const struct row rows[] = {
	{ FOCUS_PERFORMANCE, "requests_per_second", "atomd_requests_total", "",
	  AS_RATE },
	{ FOCUS_PERFORMANCE, "mean_response_seconds",
	  "atomd_request_duration_seconds", "", AS_MEAN },
	{ FOCUS_PERFORMANCE, "mean_queue_wait_seconds",
	  "atomd_queue_wait_seconds", "", AS_MEAN },
	{ FOCUS_PERFORMANCE, "instances", "atomd_instances", "state",
	  AS_LEVEL },
	{ FOCUS_PERFORMANCE, "tokens_per_second", "atomd_tokens_total",
	  "direction", AS_RATE },
	{ FOCUS_ERRORS, "requests_per_second", "atomd_requests_total", "code",
	  AS_RATE },
	{ FOCUS_ERRORS, "instance_failures_per_second",
	  "atomd_instance_failures_total", "", AS_RATE },
	{ FOCUS_ERRORS, "instances", "atomd_instances", "state", AS_LEVEL },
	{ FOCUS_SECURITY, "logins_per_second", "atomd_auth_total", "result",
	  AS_RATE },
	{ FOCUS_SECURITY, "api_errors_per_second", "atomd_api_errors_total",
	  "code", AS_RATE },
	{ FOCUS_SECURITY, "rate_limited_per_second", "atomd_rate_limited_total",
	  "limit", AS_RATE },
	{ FOCUS_SECURITY, "token_checks_per_second", "atomd_jwt_checks_total",
	  "result", AS_RATE },
};

struct line {
	char agent[REPORT_WORD];
	char detail[REPORT_WORD];
	double sum[REPORT_STEPS];
	double count[REPORT_STEPS]; /* of a mean */
	bool there[REPORT_STEPS];
};

struct gathering {
	const struct row *row;
	int64_t first_ms; /* the first step's time */
	int64_t step_ms;
	bool counts; /* what comes now is a mean's count */
	size_t count;
	struct line lines[REPORT_SERIES];
};

static const char *label_of(const struct atom_history_series *series,
			    const char *name)
{
	for (size_t i = 0; *name != '\0' && i < series->label_count; i++)
		if (strcmp(series->labels[i].name, name) == 0)
			return series->labels[i].value;
	return "";
}

static struct line *line_of(struct gathering *g,
			    const struct atom_history_series *series)
{
	const char *agent = label_of(series, "agent");
	const char *detail = label_of(series, g->row->label);
	struct line *line = g->lines;

	for (; line < g->lines + g->count; line++)
		if (strcmp(line->agent, agent) == 0 &&
		    strcmp(line->detail, detail) == 0)
			return line;
	if (g->count == REPORT_SERIES || strlen(agent) >= REPORT_WORD ||
	    strlen(detail) >= REPORT_WORD)
		return NULL;
	*line = (struct line){ 0 };
	(void)snprintf(line->agent, sizeof(line->agent), "%s", agent);
	(void)snprintf(line->detail, sizeof(line->detail), "%s", detail);
	g->count++;
	return line;
}

static int32_t visit(void *argument, const struct atom_history_series *series,
		     const void *samples, size_t stride, size_t count)
{
	struct gathering *g = argument;
	struct atom_history_sample sample, before = { 0 };
	struct line *line = line_of(g, series);

	if (line == NULL)
		return 0;
	for (size_t i = 0; i < count; i++, before = sample) {
		double value;
		int64_t step;

		memcpy(&sample, (const char *)samples + i * stride,
		       sizeof(sample));
		step = (sample.time_ms - g->first_ms) / g->step_ms;
		if (sample.time_ms < g->first_ms || step >= REPORT_STEPS)
			continue;
		value = sample.mean;
		if (g->row->as != AS_LEVEL) {
			if (i == 0 ||
			    before.time_ms != sample.time_ms - g->step_ms)
				continue;
			value = sample.value - before.value;
		}
		if (g->counts) {
			line->count[step] += value;
			continue;
		}
		line->sum[step] += value;
		line->there[step] = true;
	}
	return 0;
}

static atom_status read_family(const struct atom_host *host,
			       const struct atom_history *history,
			       struct gathering *g, const char *suffix,
			       struct atom_error *err)
{
	char name[128];
	const struct atom_history_query query = {
		.struct_size = sizeof(query),
		.resolution = ATOM_HISTORY_BEST,
		.name = name,
		/* One step more: growth needs the one before. */
		.from_ms = g->first_ms - 2 * g->step_ms + 1,
		.to_ms = g->first_ms + (REPORT_STEPS - 1) * g->step_ms,
		.step_ms = g->step_ms,
	};

	(void)snprintf(name, sizeof(name), "%s%s", g->row->metric, suffix);
	return history->read(host, &query, visit, g, err);
}

/* Four digits say enough. */
static json_t *number(double value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.4g", value);
	return isfinite(value) ? json_real(strtod(text, NULL)) : json_null();
}

static json_t *values_of(const struct gathering *g, const struct line *line)
{
	json_t *values = json_array();

	for (size_t i = 0; i < REPORT_STEPS; i++) {
		double value = line->sum[i];

		if (g->row->as == AS_MEAN)
			value = line->count[i] > 0 ? value / line->count[i]
						   : (double)NAN;
		else if (g->row->as == AS_RATE)
			value /= (double)g->step_ms / 1000;
		report_add(&values,
			   line->there[i] ? number(value) : json_null());
	}
	return values;
}

int64_t report_step_ms(int64_t window_ms)
{
	const int64_t raw_ms = 15000;
	int64_t step_ms = window_ms / REPORT_STEPS;

	return (step_ms + raw_ms - 1) / raw_ms * raw_ms;
}

json_t *report_series(const struct atom_host *host,
		      const struct atom_history *history,
		      enum report_focus focus, int64_t now_ms,
		      int64_t window_ms, struct atom_error *err)
{
	struct gathering *g = calloc(1, sizeof(*g));
	json_t *list = json_array();
	atom_status status = ATOM_OK;

	if (g == NULL || list == NULL) {
		(void)atom_fail(err, ATOM_ENOMEM, "out of memory");
		goto failed;
	}
	g->step_ms = report_step_ms(window_ms);
	g->first_ms = (now_ms / g->step_ms - REPORT_STEPS + 1) * g->step_ms;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].focus != focus)
			continue;
		g->row = &rows[i];
		g->count = 0;
		g->counts = false;
		status = read_family(host, history, g,
				     g->row->as == AS_MEAN ? "_sum" : "", err);
		if (status == ATOM_OK && g->row->as == AS_MEAN) {
			g->counts = true;
			status = read_family(host, history, g, "_count", err);
		}
		if (status != ATOM_OK)
			goto failed;
		for (size_t j = 0;
		     j < g->count && json_array_size(list) < REPORT_SERIES; j++)
			report_add(&list,
				   json_pack("{s:s,s:s,s:s,s:o}", "name",
					     g->row->name, "agent",
					     g->lines[j].agent, "detail",
					     g->lines[j].detail, "values",
					     values_of(g, &g->lines[j])));
	}
	if (list == NULL)
		(void)atom_fail(err, ATOM_ENOMEM, "out of memory");
	free(g);
	return list;
failed:
	free(g);
	json_decref(list);
	return NULL;
}
