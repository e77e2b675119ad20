/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Samples never lie on the ends of a range.  Prometheus' documentation
 * (Querying > Functions: rate, increase, delta; "the calculation extrapolates
 * to the ends of the time range") takes the growth between first and last
 * sample and stretches it: to an end that is nearer than 1.1 mean distances of
 * samples wholly, else by half a distance, for the series has begun or ended
 * there.  A counter is not stretched below zero.
 */

#include "plugins/monitor/alerts/function.h"

#define NEAR 1.1

static double stretch(double gap, double distance)
{
	return gap < distance * NEAR ? gap : distance / 2;
}

bool extrapolated_growth(const struct expr_sample *samples, size_t count,
			 int64_t from_ms, int64_t to_ms, bool counter,
			 double *growth_r)
{
	double growth, before, after, span, distance;

	if (count < 2)
		return false;
	growth = samples[count - 1].value - samples[0].value;
	for (size_t i = 1; counter && i < count; i++)
		if (samples[i].value < samples[i - 1].value)
			growth += samples[i - 1].value;
	before = (double)(samples[0].time_ms - from_ms) / 1000;
	after = (double)(to_ms - samples[count - 1].time_ms) / 1000;
	span = (double)(samples[count - 1].time_ms - samples[0].time_ms) / 1000;
	distance = span / (double)(count - 1);
	if (counter && growth > 0 && samples[0].value >= 0) {
		double zero = span * (samples[0].value / growth);

		if (zero < before)
			before = zero;
	}
	*growth_r =
		growth *
		((span + stretch(before, distance) + stretch(after, distance)) /
		 span);
	return true;
}
