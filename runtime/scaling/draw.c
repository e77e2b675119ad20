/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 1e9

double draw_uniform(struct draw *draw)
{
	uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return ((double)(z >> 11) + 0.5) * 0x1p-53;
}

double draw_exponential(struct draw *draw)
{
	return -log(draw_uniform(draw));
}

double draw_normal(struct draw *draw)
{
	double radius = sqrt(2 * draw_exponential(draw));

	return radius * cos(6.283185307179586 * draw_uniform(draw));
}

/* --- service times -------------------------------------------------------------- */

static const struct {
	const char *word;
	int kind;
	double shape_above; /* negative: the kind has no shape */
	double shape;	    /* when none is said */
} kinds[] = {
	{ "tokens", SERVICE_TOKENS, -1, 0 },
	{ "constant", SERVICE_CONSTANT, -1, 0 },
	{ "exponential", SERVICE_EXPONENTIAL, -1, 0 },
	{ "uniform", SERVICE_UNIFORM, -1, 0 },
	{ "lognormal", SERVICE_LOGNORMAL, 0, 1 },
	{ "pareto", SERVICE_PARETO, 1, 1.5 },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

bool seconds_parse(const char *text, const char **end_r, double *seconds_r)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "ms", 1e-3 }, { "s", 1 },     { "m", 60 },
		      { "h", 3600 },  { "d", 86400 }, { "", 1 } };
	char *end;
	double value;

	if (*text < '0' || *text > '9')
		return false;
	value = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t length = strlen(units[i].unit);

		if (strncmp(end, units[i].unit, length) != 0 ||
		    (end[length] != '\0' && end[length] != ','))
			continue;
		value *= units[i].seconds;
		if (!(value <= SECONDS_MAX))
			return false;
		*end_r = end + length;
		*seconds_r = value;
		return true;
	}
	return false;
}

static atom_status parse_shape(const char *text, size_t kind,
			       struct service_time *time_r,
			       struct atom_error *err)
{
	char *end;

	if (kinds[kind].shape_above < 0)
		return atom_fail(err, ATOM_EINVAL,
				 "%s has a mean and no shape, found `%.40s`",
				 kinds[kind].word, text);
	time_r->shape = strtod(text, &end);
	if (end == text || *end != '\0' ||
	    !(time_r->shape > kinds[kind].shape_above) ||
	    !(time_r->shape <= 100))
		return atom_fail(err, ATOM_EINVAL,
				 "expected a shape above %g for %s, found "
				 "`%.40s`",
				 kinds[kind].shape_above, kinds[kind].word,
				 text);
	return ATOM_OK;
}

atom_status service_time_parse(const char *text, struct service_time *time_r,
			       struct atom_error *err)
{
	size_t length = strcspn(text, ":");
	const char *end;

	for (size_t i = 0; i < KINDS; i++) {
		if (strlen(kinds[i].word) != length ||
		    strncmp(kinds[i].word, text, length) != 0)
			continue;
		time_r->kind = kinds[i].kind;
		time_r->shape = kinds[i].shape;
		if (text[length] != ':' ||
		    !seconds_parse(text + length + 1, &end, &time_r->mean_s) ||
		    time_r->mean_s == 0)
			return atom_fail(err, ATOM_EINVAL,
					 "expected %s:TIME with a time such "
					 "as 0.02s or 500ms, found `%.80s`",
					 kinds[i].word, text);
		return *end == '\0' ? ATOM_OK
				    : parse_shape(end + 1, i, time_r, err);
	}
	return atom_fail(err, ATOM_EINVAL,
			 "expected tokens, constant, exponential, uniform, "
			 "lognormal or pareto, found `%.80s`",
			 text);
}

double service_time_draw(const struct service_time *time, int64_t tokens,
			 struct draw *draw)
{
	double mean = time->mean_s, shape = time->shape;

	switch (time->kind) {
	case SERVICE_TOKENS:
		return mean * (double)tokens;
	case SERVICE_EXPONENTIAL:
		return mean * draw_exponential(draw);
	case SERVICE_UNIFORM:
		return 2 * mean * draw_uniform(draw);
	case SERVICE_LOGNORMAL:
		return mean *
		       exp(shape * draw_normal(draw) - shape * shape / 2);
	case SERVICE_PARETO:
		return mean * (shape - 1) / shape *
		       pow(draw_uniform(draw), -1 / shape);
	default:
		return mean;
	}
}
