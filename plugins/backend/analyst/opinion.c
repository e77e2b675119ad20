/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/backend/analyst/opinion.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "plugins/backend/analyst/statistics.h"

#define FORMAT	      "{\"format\":\"atomd-report/1\""
#define SERIES_MAX    64
#define EVENTS_MAX    64
#define SENTENCE_MAX  400
#define WORD_MAX      64
#define SURE	      0.01 /* p of what is told */
#define WORTH	      0.1  /* of the old value: less is no change */
#define NEAR	      2	   /* steps between a change and its cause */
#define OUTLIER	      3.5
#define BYTES_A_TOKEN 4
#define TOKENS_MAX    2000
#define AROUND_MAX    512 /* bytes of what stands around the findings */

struct finding {
	double weight;
	char text[SENTENCE_MAX];
};

struct series {
	char name[WORD_MAX];
	char subject[4 * WORD_MAX]; /* "requests_per_second of echo (200)" */
	char agent[WORD_MAX];
	double values[STATISTICS_MAX];
	size_t step[STATISTICS_MAX]; /* of which step of the report each is */
	size_t count;
	size_t steps;
};

/* --- reading ---------------------------------------------------------------------- */

/* A name of the report as it may stand in a sentence: what is no printable
 * ASCII is left out. */
static void copy_word(char *out, size_t size, const json_t *word)
{
	const char *text = json_string_value(word);
	size_t n = 0;

	for (; text != NULL && *text != '\0' && n + 1 < size; text++)
		if (*text >= ' ' && *text < 127)
			out[n++] = *text;
	out[n] = '\0';
}

static void read_series(const json_t *row, struct series *s)
{
	const json_t *values = json_object_get(row, "values");
	char detail[WORD_MAX];

	*s = (struct series){ 0 };
	copy_word(s->name, sizeof(s->name), json_object_get(row, "name"));
	copy_word(s->agent, sizeof(s->agent), json_object_get(row, "agent"));
	copy_word(detail, sizeof(detail), json_object_get(row, "detail"));
	(void)snprintf(s->subject, sizeof(s->subject), "%s%s%s%s%s%s", s->name,
		       s->agent[0] != '\0' ? " of " : "", s->agent,
		       detail[0] != '\0' ? " (" : "", detail,
		       detail[0] != '\0' ? ")" : "");
	s->steps = json_array_size(values);
	for (size_t i = 0; i < s->steps && s->count < STATISTICS_MAX; i++) {
		const json_t *value = json_array_get(values, i);

		if (!json_is_number(value) ||
		    !isfinite(json_number_value(value)))
			continue;
		s->values[s->count] = json_number_value(value);
		s->step[s->count++] = i;
	}
}

/* --- saying ------------------------------------------------------------------------- */

static void ago(char *out, size_t size, size_t steps, double step_seconds)
{
	double seconds = (double)steps * step_seconds;

	if (seconds >= 5400)
		(void)snprintf(out, size, "%.1f hours", seconds / 3600);
	else if (seconds >= 90)
		(void)snprintf(out, size, "%.0f minutes", seconds / 60);
	else
		(void)snprintf(out, size, "%.0f seconds", seconds);
}

/* What happened within NEAR steps of `steps_ago`, before it if there is a
 * choice; "" = nothing. */
static void cause_of(const json_t *events, const struct series *s,
		     size_t steps_ago, char *out, size_t size)
{
	const json_t *best = NULL;
	size_t distance = NEAR + 1;
	char name[WORD_MAX], agent[WORD_MAX], detail[WORD_MAX];

	out[0] = '\0';
	for (size_t i = 0; i < json_array_size(events) && i < EVENTS_MAX; i++) {
		const json_t *event = json_array_get(events, i);
		json_int_t when =
			json_integer_value(json_object_get(event, "steps_ago"));
		size_t off;

		copy_word(name, sizeof(name), json_object_get(event, "name"));
		copy_word(agent, sizeof(agent),
			  json_object_get(event, "agent"));
		if ((strcmp(name, "scaling") != 0 &&
		     strcmp(name, "rollout") != 0) ||
		    (s->agent[0] != '\0' && strcmp(agent, s->agent) != 0) ||
		    when < 0 || when > STATISTICS_MAX)
			continue;
		off = (size_t)llabs((long long)when - (long long)steps_ago);
		if (off < distance) {
			distance = off;
			best = event;
		}
	}
	if (best == NULL)
		return;
	copy_word(name, sizeof(name), json_object_get(best, "name"));
	copy_word(detail, sizeof(detail), json_object_get(best, "detail"));
	(void)snprintf(out, size, "; at that time: %s %s", name, detail);
}

static const char *proposal_of(const struct series *s, bool rose)
{
	static const struct {
		const char *part;
		bool rose;
		const char *text;
	} rows[] = {
		{ "queue_wait", true,
		  " Look at instances.max and the backend's own times." },
		{ "response_seconds", true,
		  " Look at the backend's own times, and at the last "
		  "deployment." },
		{ "failures", true,
		  " Look at the log of the agent's instances." },
		{ "logins", true,
		  " Search the audit log for login.failed and its addresses." },
		{ "api_errors", true,
		  " Search the audit log for access.denied." },
		{ "rate_limited", true,
		  " Look whether a key needs another limit or is misused." },
		{ "requests", false,
		  " Look whether callers still reach the daemon." },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].rose == rose &&
		    strstr(s->name, rows[i].part) != NULL)
			return rows[i].text;
	return "";
}

/* By how many times its old self it has changed. */
static double worth_of(double from, double to)
{
	double base = fmax(fabs(from), 1e-9);

	return fmin(1e6, fabs(to - from) / base);
}

static bool find_change(const json_t *events, double step_seconds,
			const struct series *s, struct finding *f)
{
	struct change change = change_of(s->values, s->count);
	double worth = worth_of(change.from, change.to);
	size_t steps_ago = s->steps - 1 - s->step[change.at];
	char when[32], cause[3 * WORD_MAX];

	if (change.p > SURE || worth < WORTH)
		return false;
	ago(when, sizeof(when), steps_ago, step_seconds);
	cause_of(events, s, steps_ago, cause, sizeof(cause));
	f->weight = 2 + log1p(worth);
	(void)snprintf(f->text, sizeof(f->text),
		       "%s went from %.3g to %.3g %s ago (Pettitt p = %.1g)%s."
		       "%s",
		       s->subject, change.from, change.to, when, change.p,
		       cause, proposal_of(s, change.to > change.from));
	return true;
}

static bool find_trend(double step_seconds, const struct series *s,
		       struct finding *f)
{
	struct trend trend = trend_of(s->values, s->count);
	double total = trend.slope * (double)(s->count - 1);
	double part[STATISTICS_MAX];
	double worth;

	memcpy(part, s->values, s->count * sizeof(*part));
	worth = worth_of(middle_of(part, s->count),
			 middle_of(part, s->count) + total);
	if (trend.p > SURE || worth < WORTH)
		return false;
	f->weight = 1 + log1p(worth);
	(void)snprintf(f->text, sizeof(f->text),
		       "%s %s steadily by %.3g a minute (Theil-Sen; "
		       "Mann-Kendall p = %.1g).%s",
		       s->subject, trend.slope > 0 ? "rises" : "falls",
		       fabs(trend.slope) * 60 / step_seconds, trend.p,
		       proposal_of(s, trend.slope > 0));
	return true;
}

static bool find_outlier(double step_seconds, const struct series *s,
			 struct finding *f)
{
	double part[STATISTICS_MAX], middle, worst = 0;
	size_t at = 0;
	char when[32];

	for (size_t i = 0; i < s->count; i++) {
		double z = outlier_of(s->values, s->count, s->values[i]);

		if (fabs(z) > fabs(worst)) {
			worst = z;
			at = i;
		}
	}
	memcpy(part, s->values, s->count * sizeof(*part));
	middle = middle_of(part, s->count);
	if (fabs(worst) < OUTLIER || worth_of(middle, s->values[at]) < 1)
		return false;
	ago(when, sizeof(when), s->steps - 1 - s->step[at], step_seconds);
	f->weight = log1p(worth_of(middle, s->values[at])) / 2;
	(void)snprintf(f->text, sizeof(f->text),
		       "%s was %.3g %s ago, usually it is %.3g (an outlier).",
		       s->subject, s->values[at], when, middle);
	return true;
}

/* What stands out most in one series, if anything does.  A change explains a
 * trend and an outlier, and a trend an outlier. */
static bool look_at(const json_t *report, double step_seconds,
		    const struct series *s, struct finding *f)
{
	if (s->count < STATISTICS_LEAST)
		return false;
	return find_change(json_object_get(report, "events"), step_seconds, s,
			   f) ||
	       find_trend(step_seconds, s, f) ||
	       find_outlier(step_seconds, s, f);
}

/* --- saying it -------------------------------------------------------------------- */

/* Of a size that is known before: what is said is whole. */
struct saying {
	char *text;
	size_t length, size;
};

ATOM_PRINTF(2, 3)
static void say(struct saying *s, const char *format, ...)
{
	const size_t room = s->size - s->length;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(s->text + s->length, room, format, args);
	va_end(args);
	if (length > 0)
		s->length += (size_t)length < room ? (size_t)length : room - 1;
}

static int by_weight(const void *a, const void *b)
{
	const struct finding *x = a, *y = b;

	return (x->weight < y->weight) - (x->weight > y->weight);
}

static void say_why(struct saying *out, const json_t *report)
{
	const json_t *why = json_object_get(report, "why");
	char kind[WORD_MAX], name[WORD_MAX], agent[WORD_MAX];

	copy_word(kind, sizeof(kind), json_object_get(why, "kind"));
	copy_word(name, sizeof(name), json_object_get(why, "name"));
	copy_word(agent, sizeof(agent), json_object_get(why, "agent"));
	if (strcmp(kind, "schedule") != 0 && kind[0] != '\0')
		say(out, "Asked because of the %s %s%s%s. ", kind, name,
		    agent[0] != '\0' ? " of " : "", agent);
}

/* False: no memory. */
static bool say_report(struct saying *out, const json_t *report, size_t room)
{
	const json_t *list = json_object_get(report, "series");
	double step =
		json_number_value(json_object_get(report, "step_seconds"));
	struct finding *found = calloc(SERIES_MAX, sizeof(*found));
	size_t told = 0, looked = 0, count = 0;
	struct series s;

	if (found == NULL)
		return false;
	if (!(step > 0 && step < 1e9))
		step = 60;
	say_why(out, report);
	for (size_t i = 0; i < json_array_size(list) && i < SERIES_MAX; i++) {
		read_series(json_array_get(list, i), &s);
		looked += s.count >= STATISTICS_LEAST;
		count += look_at(report, step, &s, &found[count]);
	}
	if (count > 0)
		qsort(found, count, sizeof(*found), by_weight);
	for (; told < count; told++) {
		size_t length = strlen(found[told].text) + 1;

		if (length > room)
			break;
		room -= length;
		say(out, "%s ", found[told].text);
	}
	if (looked == 0)
		say(out, "There are too few numbers to say anything.");
	else if (count == 0)
		say(out, "Nothing stands out in %zu series.", looked);
	else if (told < count)
		say(out, "%zu more are left out.", count - told);
	else
		say(out, "Nothing else stands out in %zu series.", looked);
	free(found);
	return true;
}

char *opinion_of(const char *question, size_t length, long long max_tokens)
{
	const char *at = memmem(question, length, FORMAT, strlen(FORMAT));
	struct saying out = { NULL, 0, 0 };
	json_t *report = NULL;
	size_t room;
	bool said = true;

	if (max_tokens <= 0 || max_tokens > TOKENS_MAX)
		max_tokens = TOKENS_MAX;
	room = (size_t)max_tokens * BYTES_A_TOKEN;
	out.size = room + AROUND_MAX;
	out.text = malloc(out.size);
	if (out.text == NULL)
		return NULL;
	room = room > 160 ? room - 160 : 0; /* for what stands around */
	if (at != NULL)
		report = json_loadb(at, length - (size_t)(at - question),
				    JSON_DISABLE_EOF_CHECK, NULL);
	if (json_is_object(report))
		said = say_report(&out, report, room);
	else
		say(&out, "There is no report of numbers in the question: "
			  "expected JSON that begins with " FORMAT ".");
	json_decref(report);
	if (said)
		return out.text;
	free(out.text);
	return NULL;
}
