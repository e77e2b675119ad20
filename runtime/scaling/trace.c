/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

#define ROOM_FIRST     4096
#define LINE_MAX_BYTES 512
#define TIME_MAX_S     1e10
#define TOKENS_MAX     1e9
#define RATE_MAX       1e6

enum format {
	FORMAT_DATES,  /* TIMESTAMP,ContextTokens,GeneratedTokens */
	FORMAT_TIMES,  /* timestamp_ms,input_tokens,output_tokens */
	FORMAT_RATES,  /* seconds,requests_per_second */
	FORMAT_SECONDS /* numbers alone */
};

struct reading {
	const char *name;
	long line;
	enum format format;
	struct draw *draw;
	struct trace *trace;
	struct atom_error *err;
	double first_s; /* time of the first row; NaN: none yet */
	double last_s;	/* of a series: begin of the row before */
	double rate;	/* of a series: the row before, negative: none */
};

void trace_fini(struct trace *trace)
{
	mem_free(trace->calls);
	*trace = (struct trace){ 0 };
}

atom_status trace_add(struct trace *trace, double at_s, int64_t tokens,
		      struct atom_error *err)
{
	if (trace->count == trace->room) {
		size_t room = trace->room ? trace->room * 2 : ROOM_FIRST;
		struct trace_call *calls;

		if (trace->count >= TRACE_CALLS_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "more than %d calls: too many to "
					 "simulate at once",
					 TRACE_CALLS_MAX);
		calls = mem_realloc(trace->calls, room * sizeof(*calls));
		if (calls == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		trace->calls = calls;
		trace->room = room;
	}
	trace->calls[trace->count++] = (struct trace_call){
		.arrival_us = (int64_t)(at_s * 1e6),
		.tokens = tokens,
	};
	return ATOM_OK;
}

static int compare(const void *a, const void *b)
{
	const struct trace_call *x = a, *y = b;

	if (x->arrival_us != y->arrival_us)
		return x->arrival_us < y->arrival_us ? -1 : 1;
	return x->tokens < y->tokens ? -1 : x->tokens > y->tokens;
}

static atom_status expected(struct reading *r, const char *what,
			    const char *found)
{
	return atom_fail(
		r->err, ATOM_EINVAL, "%s:%ld: expected %s, found `%.*s`",
		r->name, r->line, what,
		(int)strcspn(found, "\r\n") < 60 ? (int)strcspn(found, "\r\n")
						 : 60,
		found);
}

/* --- one line ----------------------------------------------------------------- */

/* A number up to the next comma or the line's end. */
static bool number(const char **text, double max, double *value_r)
{
	char *end;

	if (**text != '.' && (**text < '0' || **text > '9'))
		return false;
	*value_r = strtod(*text, &end);
	if (end == *text || !(*value_r <= max) || (*end != ',' && *end != '\0'))
		return false;
	*text = *end == ',' ? end + 1 : end;
	return true;
}

/* Days from 1970-01-01 (Howard Hinnant's days_from_civil). */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year =
		(153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	       of_year - 719468;
}

/* "2023-11-16 18:17:03.9799600", with a T and an offset too. */
static bool date(const char **text, double *seconds_r)
{
	int year, month, day, hour, minute, used = 0;
	double second;
	char *end;

	if (sscanf(*text, "%4d-%2d-%2d%*1[ T]%2d:%2d:%n", &year, &month, &day,
		   &hour, &minute, &used) != 5 ||
	    used == 0 || (*text)[used] < '0' || (*text)[used] > '9')
		return false;
	second = strtod(*text + used, &end);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 ||
	    hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
	    !(second < 61))
		return false;
	if (*end == 'Z')
		end++;
	else if (*end == '+' || *end == '-')
		end += strcspn(end, ",");
	if (*end != ',')
		return false;
	*text = end + 1;
	*seconds_r = (double)days(year, month, day) * 86400 + hour * 3600 +
		     minute * 60 + second;
	return true;
}

static atom_status read_call(struct reading *r, const char *line)
{
	const char *at = line;
	double seconds, input, output;

	if (r->format == FORMAT_DATES) {
		if (!date(&at, &seconds))
			return expected(r,
					"a time YYYY-MM-DD HH:MM:SS and a "
					"comma",
					line);
	} else {
		if (!number(&at, TIME_MAX_S * 1e3, &seconds))
			return expected(r, "a time in milliseconds", line);
		seconds /= 1e3;
	}
	if (!number(&at, TOKENS_MAX, &input) ||
	    !number(&at, TOKENS_MAX, &output) || *at != '\0')
		return expected(r, "two token counts behind the time", line);
	if (isnan(r->first_s))
		r->first_s = seconds;
	return trace_add(r->trace, seconds - r->first_s, (int64_t)output,
			 r->err);
}

/* `calls` of a series at random within a time; one more for the fraction, by
 * chance. */
static atom_status add_some(struct reading *r, double at_s, double length_s,
			    double calls)
{
	int64_t whole = (int64_t)calls;
	atom_status status = ATOM_OK;

	if (draw_uniform(r->draw) < calls - (double)whole)
		whole++;
	for (int64_t i = 0; i < whole && status == ATOM_OK; i++)
		status = trace_add(r->trace,
				   at_s + length_s * draw_uniform(r->draw), 0,
				   r->err);
	return status;
}

/* The calls of a series from last_s until then, second by second. */
static atom_status add_series(struct reading *r, double until_s)
{
	double length_s = until_s - r->last_s;
	int64_t seconds = (int64_t)length_s;
	double rest_s = length_s - (double)seconds;
	atom_status status = ATOM_OK;

	if (r->rate <= 0)
		return ATOM_OK;
	for (int64_t i = 0; i < seconds && status == ATOM_OK; i++)
		status = add_some(r, r->last_s + (double)i, 1, r->rate);
	if (status == ATOM_OK && rest_s > 0)
		status =
			add_some(r, until_s - rest_s, rest_s, r->rate * rest_s);
	return status;
}

static atom_status read_rate(struct reading *r, const char *line)
{
	const char *at = line;
	double seconds = r->last_s + (r->rate >= 0 ? 1 : 0), rate;
	atom_status status = ATOM_OK;

	if (r->format == FORMAT_RATES) {
		if (!number(&at, TIME_MAX_S, &seconds))
			return expected(r, "a time in seconds", line);
		if (isnan(r->first_s))
			r->first_s = seconds;
		seconds -= r->first_s;
		if (seconds < r->last_s)
			return expected(r, "times that do not go back", line);
	}
	if (!number(&at, RATE_MAX, &rate) || *at != '\0')
		return expected(r, "a number of requests a second", line);
	if (r->rate >= 0)
		status = add_series(r, seconds);
	r->last_s = seconds;
	r->rate = rate;
	return status;
}

/* Which format begins with this line; `header_r`: the line holds no row. */
static bool recognise(const char *line, enum format *format_r, bool *header_r)
{
	static const struct {
		const char *line;
		enum format format;
	} headers[] = {
		{ "TIMESTAMP,ContextTokens,GeneratedTokens", FORMAT_DATES },
		{ "timestamp_ms,input_tokens,output_tokens", FORMAT_TIMES },
		{ "seconds,requests_per_second", FORMAT_RATES },
		{ "requests_per_second", FORMAT_SECONDS },
	};
	const char *at = line;
	double value;

	*header_r = true;
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++)
		if (strcmp(line, headers[i].line) == 0) {
			*format_r = headers[i].format;
			return true;
		}
	*header_r = false;
	*format_r = FORMAT_SECONDS;
	return number(&at, RATE_MAX, &value) && *at == '\0';
}

static atom_status read_line(struct reading *r, char *line, bool *begun)
{
	size_t length = strcspn(line, "\r");
	bool header;

	line[length] = '\0';
	if (*line == '\0' || *line == '#')
		return ATOM_OK;
	if (!*begun) {
		*begun = true;
		if (!recognise(line, &r->format, &header))
			return expected(r,
					"a known heading (TIMESTAMP,"
					"ContextTokens,GeneratedTokens; "
					"timestamp_ms,input_tokens,"
					"output_tokens; seconds,"
					"requests_per_second) or a number",
					line);
		r->trace->has_tokens =
			r->format == FORMAT_DATES || r->format == FORMAT_TIMES;
		if (header)
			return ATOM_OK;
	}
	return r->trace->has_tokens ? read_call(r, line) : read_rate(r, line);
}

/* The last row of a series holds for a second; then all is put in order, from
 * 0. */
static atom_status finish(struct reading *r)
{
	struct trace *trace = r->trace;
	double end_s = r->last_s + 1;
	int64_t first;

	if (!trace->has_tokens && r->rate >= 0) {
		atom_status status = add_series(r, end_s);

		if (status != ATOM_OK)
			return status;
		trace->span_us = (int64_t)(end_s * 1e6);
	}
	if (trace->count == 0)
		return atom_fail(r->err, ATOM_EINVAL,
				 "%s: expected calls, found none", r->name);
	qsort(trace->calls, trace->count, sizeof(*trace->calls), compare);
	first = trace->has_tokens ? trace->calls[0].arrival_us : 0;
	for (size_t i = 0; i < trace->count; i++)
		trace->calls[i].arrival_us -= first;
	if (r->format == FORMAT_DATES)
		trace->began_ms = (int64_t)(r->first_s * 1e3) + first / 1000;
	if (trace->calls[trace->count - 1].arrival_us > trace->span_us)
		trace->span_us = trace->calls[trace->count - 1].arrival_us;
	return ATOM_OK;
}

atom_status trace_parse(const char *text, size_t length, const char *name,
			struct draw *draw, struct trace *trace_r,
			struct atom_error *err)
{
	struct reading r = {
		.name = name,
		.draw = draw,
		.trace = trace_r,
		.err = err,
		.first_s = NAN,
		.rate = -1,
	};
	const char *end = text + length;
	atom_status status = ATOM_OK;
	bool begun = false;

	*trace_r = (struct trace){ 0 };
	while (text < end && status == ATOM_OK) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((stop != NULL ? stop : end) - text);
		char line[LINE_MAX_BYTES];

		r.line++;
		if (size >= sizeof(line) || memchr(text, '\0', size) != NULL) {
			status = expected(&r,
					  "a line of text of at most 511 "
					  "bytes",
					  "something else");
			break;
		}
		memcpy(line, text, size);
		line[size] = '\0';
		status = read_line(&r, line, &begun);
		text += size + (stop != NULL);
	}
	if (status == ATOM_OK)
		status = finish(&r);
	if (status != ATOM_OK)
		trace_fini(trace_r);
	return status;
}
