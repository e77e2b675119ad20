/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Until something was measured. */
#define MEAN_UNKNOWN_S	     1.0
#define COLD_START_UNKNOWN_S 2.0f
#define COUNT_MIN	     5
#define MEAN_MIN_S	     0.01
#define TARGET_MIN_S	     0.001f
#define DAY_S		     86400.0f

static const double phase_ends_at[PHASES] = { 0.5, 0.9, 1.0 };

static void set_phase(struct service *service, int phase, double share,
		      double mean_s)
{
	double ends = 1 - exp(-1 / mean_s);

	service->share[phase] = (float)share;
	service->ends[phase] = (float)ends;
	service->stays[phase] = (float)(mean_s * ends);
	service->stay += (float)(share * mean_s * ends);
}

static void all_alike(struct service *service, double mean_s)
{
	for (int i = 0; i < PHASES; i++)
		set_phase(service, i, 1.0 / PHASES, mean_s);
	service->mean_s = (float)mean_s;
}

/* Cuts the histogram at the shares of `phase_ends_at`. */
static void cut(const struct atom_histogram *histogram, struct service *service)
{
	double count[PHASES] = { 0 }, sum[PHASES] = { 0 };
	double all = (double)histogram->count, seen = 0;
	int phase = 0;

	for (uint32_t i = 0; i < histogram->bucket_count; i++) {
		bool last = i + 1 == histogram->bucket_count;
		double low = i > 0 ? histogram->bounds[i - 1] : 0;
		double middle = last ? low : (low + histogram->bounds[i]) / 2;
		double left = (double)histogram->counts[i];

		while (left > 0) {
			double room = phase_ends_at[phase] * all - seen;
			bool fits = left < room || phase == PHASES - 1;
			double taken = fits ? left : room;

			count[phase] += taken;
			sum[phase] += taken * middle;
			seen += taken;
			left -= taken;
			if (!fits)
				phase++;
		}
	}
	for (int i = 0; i < PHASES; i++) {
		double mean = count[i] > 0 ? sum[i] / count[i] : MEAN_MIN_S;

		if (mean < MEAN_MIN_S)
			mean = MEAN_MIN_S;
		set_phase(service, i, count[i] / all, mean);
	}
	service->mean_s = (float)fmax(histogram->sum / all, MEAN_MIN_S);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The upper quartile of the last ones: one slow start is no rule. */
static float cold_start(const struct atom_load *load)
{
	double seen[32];
	size_t count = load->cold_start_count;

	if (count == 0)
		return COLD_START_UNKNOWN_S;
	if (count > sizeof(seen) / sizeof(*seen))
		count = sizeof(seen) / sizeof(*seen);
	memcpy(seen, load->cold_starts_s + (load->cold_start_count - count),
	       count * sizeof(*seen));
	qsort(seen, count, sizeof(*seen), compare);
	return (float)seen[(count * 3) / 4];
}

static float bounded(float seconds, float low)
{
	if (!(seconds > low)) /* NaN too */
		return low;
	return seconds < DAY_S ? seconds : DAY_S;
}

void service_measure(const struct atom_load *load, struct service *service_r)
{
	memset(service_r, 0, sizeof(*service_r));
	if (load->service.count < COUNT_MIN || load->service.bucket_count < 2)
		all_alike(service_r, MEAN_UNKNOWN_S);
	else
		cut(&load->service, service_r);
	service_r->cold_start_s = bounded(cold_start(load), 0);
	service_r->target_s =
		bounded((float)(load->target_wait_ms / 1000), TARGET_MIN_S);
}
