/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/anomaly/score.h"

#include <math.h>
#include <stdlib.h>

#define MAD_TO_DEVIATION  1.4826
#define MEAN_TO_DEVIATION 1.2533

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return count % 2 == 1 ? values[count / 2]
			      : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct spread spread_of(double *values, size_t count, double floor)
{
	struct spread spread = { .middle = median(values, count) };
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		values[i] = fabs(values[i] - spread.middle);
		sum += values[i];
	}
	spread.scale = MAD_TO_DEVIATION * median(values, count);
	if (spread.scale == 0)
		spread.scale = MEAN_TO_DEVIATION * sum / (double)count;
	spread.scale = fmax(spread.scale, floor);
	return spread;
}

double robust_z(const struct spread *spread, double value)
{
	return (value - spread->middle) / spread->scale;
}

static void calm_down(struct course *course)
{
	course->unusual = false;
	course->calm = 0;
}

enum course_change course_step(struct course *course, double z, double limit,
			       double ewma_limit)
{
	double cut = fmax(-SCORE_CLIP, fmin(SCORE_CLIP, z));
	bool twice = fabs(z) >= limit && fabs(course->last_z) >= limit &&
		     (z > 0) == (course->last_z > 0);

	course->ewma = SCORE_LAMBDA * cut + (1 - SCORE_LAMBDA) * course->ewma;
	course->last_z = z;
	course->lost = 0;
	if (!course->unusual) {
		if (!twice && fabs(course->ewma) < ewma_limit)
			return COURSE_SAME;
		course->unusual = true;
		course->calm = 0;
		return COURSE_BEGAN;
	}
	if (fabs(z) >= limit / 2 || fabs(course->ewma) >= ewma_limit / 2) {
		course->calm = 0;
		return COURSE_SAME;
	}
	if (++course->calm < SCORE_CALM)
		return COURSE_SAME;
	calm_down(course);
	return COURSE_ENDED;
}

enum course_change course_miss(struct course *course)
{
	bool was = course->unusual;

	/* Two values with a gap between them are not in a row. */
	course->last_z = 0;
	if (++course->lost < SCORE_LOST)
		return COURSE_SAME;
	*course = (struct course){ .lost = SCORE_LOST };
	return was ? COURSE_ENDED : COURSE_SAME;
}

double course_score(const struct course *course, double limit,
		    double ewma_limit)
{
	double slow = course->ewma * limit / ewma_limit;

	return fabs(slow) > fabs(course->last_z) ? slow : course->last_z;
}
