/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/trace.h"

#include <math.h>
#include <string.h>

#define PARAMETERS_MAX 5
#define RATE_MAX       1e6

/* One parameter: its name, whether it is a time, and its default. */
struct parameter {
	const char *name;
	bool time;
	double otherwise;
};

/* The rate at a time, and the highest that it ever is. */
struct generator {
	const char *word;
	struct parameter parameters[PARAMETERS_MAX];
	double (*rate)(const double *values, double at_s);
	double (*highest)(const double *values);
};

/* The duration is the last parameter of each. */
static double poisson_rate(const double *v, double at_s)
{
	(void)at_s;
	return v[0];
}

static double poisson_highest(const double *v)
{
	return v[0];
}

static double step_rate(const double *v, double at_s)
{
	return at_s >= v[2] && at_s < v[3] ? v[1] : v[0];
}

static double flash_rate(const double *v, double at_s)
{
	return at_s >= v[2] && at_s < v[2] + v[3] ? v[1] : v[0];
}

static double higher(const double *v)
{
	return v[0] > v[1] ? v[0] : v[1];
}

/* Lowest at the beginning, as at night. */
static double diurnal_rate(const double *v, double at_s)
{
	return v[0] * (1 - v[1] * cos(6.283185307179586 * at_s / v[2]));
}

static double diurnal_highest(const double *v)
{
	return v[0] * (1 + v[1]);
}

static const struct generator generators[] = {
	{ "poisson",
	  { { "rate", false, 10 }, { "duration", true, 3600 } },
	  poisson_rate,
	  poisson_highest },
	{ "step",
	  { { "from", false, 1 },
	    { "to", false, 20 },
	    { "at", true, 600 },
	    { "until", true, 1800 },
	    { "duration", true, 3600 } },
	  step_rate,
	  higher },
	{ "flash",
	  { { "rate", false, 1 },
	    { "peak", false, 50 },
	    { "at", true, 1800 },
	    { "for", true, 60 },
	    { "duration", true, 3600 } },
	  flash_rate,
	  higher },
	{ "diurnal",
	  { { "rate", false, 5 },
	    { "swing", false, 0.8 },
	    { "period", true, 86400 },
	    { "duration", true, 172800 } },
	  diurnal_rate,
	  diurnal_highest },
};
#define GENERATORS (sizeof(generators) / sizeof(*generators))

static const struct generator *find(const char *text)
{
	size_t length = strcspn(text, ":");

	for (size_t i = 0; i < GENERATORS; i++)
		if (strlen(generators[i].word) == length &&
		    strncmp(generators[i].word, text, length) == 0)
			return &generators[i];
	return NULL;
}

bool trace_is_generator(const char *text)
{
	return find(text) != NULL;
}

static size_t count_of(const struct generator *generator)
{
	size_t count = 0;

	while (count < PARAMETERS_MAX &&
	       generator->parameters[count].name != NULL)
		count++;
	return count;
}

/* Each has a duration, as its last parameter. */
static double duration_of(const struct generator *generator,
			  const double *values)
{
	size_t count = count_of(generator);

	return count > 0 ? values[count - 1] : 0;
}

static atom_status unknown(const struct generator *generator, const char *text,
			   struct atom_error *err)
{
	char names[128] = "";
	size_t used = 0;

	for (size_t i = 0; i < count_of(generator); i++) {
		const char *name = generator->parameters[i].name;
		size_t length = strlen(name);

		if (used + length + 3 > sizeof(names))
			break;
		if (i > 0) {
			memcpy(names + used, ", ", 2);
			used += 2;
		}
		memcpy(names + used, name, length + 1);
		used += length;
	}
	return atom_fail(err, ATOM_EINVAL,
			 "%s takes NAME=NUMBER of %s, found `%.80s`",
			 generator->word, names, text);
}

/* `rate=5,duration=1h`; what is not said keeps its default. */
static atom_status parse(const struct generator *generator, const char *text,
			 double *values, struct atom_error *err)
{
	size_t count = count_of(generator);

	for (size_t i = 0; i < count; i++)
		values[i] = generator->parameters[i].otherwise;
	while (*text != '\0') {
		size_t length = strcspn(text, "=,");
		const char *end = NULL;
		size_t i = 0;

		while (i < count &&
		       (strlen(generator->parameters[i].name) != length ||
			strncmp(generator->parameters[i].name, text, length)))
			i++;
		if (i == count || text[length] != '=' ||
		    !seconds_parse(text + length + 1, &end, &values[i]))
			return unknown(generator, text, err);
		text = *end == ',' ? end + 1 : end;
	}
	if (duration_of(generator, values) <= 0)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: expected a duration above 0",
				 generator->word);
	if (generator->rate == diurnal_rate &&
	    (values[1] > 1 || values[2] <= 0))
		return atom_fail(err, ATOM_EINVAL,
				 "diurnal: expected a swing of 0 to 1 and a "
				 "period above 0");
	if (!(generator->highest(values) <= RATE_MAX))
		return atom_fail(err, ATOM_EINVAL,
				 "%s: expected at most %g calls a second",
				 generator->word, RATE_MAX);
	return ATOM_OK;
}

/* A Poisson process whose rate changes, by thinning (Lewis and Shedler
 * 1979). */
atom_status trace_generate(const char *text, struct draw *draw,
			   struct trace *trace_r, struct atom_error *err)
{
	const struct generator *generator = find(text);
	const char *parameters = text + strcspn(text, ":");
	double values[PARAMETERS_MAX] = { 0 }, duration, highest;
	atom_status status;

	*trace_r = (struct trace){ 0 };
	if (generator == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "expected poisson, step, flash or diurnal, "
				 "found `%.80s`",
				 text);
	status = parse(generator, *parameters ? parameters + 1 : "", values,
		       err);
	if (status != ATOM_OK)
		return status;
	duration = duration_of(generator, values);
	highest = generator->highest(values);
	for (double at = 0; highest > 0;) {
		at += draw_exponential(draw) / highest;
		if (at >= duration)
			break;
		if (draw_uniform(draw) * highest >= generator->rate(values, at))
			continue;
		status = trace_add(trace_r, at, 0, err);
		if (status != ATOM_OK)
			break;
	}
	if (status == ATOM_OK && trace_r->count == 0)
		status = atom_fail(err, ATOM_EINVAL, "%s: not one call came",
				   generator->word);
	if (status != ATOM_OK)
		trace_fini(trace_r);
	trace_r->span_us = status == ATOM_OK ? (int64_t)(duration * 1e6) : 0;
	return status;
}
