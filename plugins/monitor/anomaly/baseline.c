/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/anomaly/baseline.h"

#include <math.h>
#include <stdlib.h>

bool baseline_init(struct baseline *baseline, int days)
{
	size_t size = (size_t)days * SLOTS_A_DAY + 2 * BASELINE_SIDE + 1;

	*baseline = (struct baseline){
		.values = malloc(size * sizeof(float)),
		.size = size,
	};
	if (baseline->values == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		baseline->values[i] = NAN;
	return true;
}

void baseline_fini(struct baseline *baseline)
{
	free(baseline->values);
	*baseline = (struct baseline){ 0 };
}

static bool is_kept(const struct baseline *baseline, int64_t slot)
{
	return slot > 0 && slot <= baseline->last &&
	       slot > baseline->last - (int64_t)baseline->size;
}

void baseline_set(struct baseline *baseline, int64_t slot, double value)
{
	int64_t size = (int64_t)baseline->size;

	if (slot > baseline->last) {
		int64_t from = baseline->last + 1;

		if (from <= slot - size)
			from = slot - size + 1;
		for (; from <= slot; from++)
			baseline->values[from % size] = NAN;
		baseline->last = slot;
	}
	if (is_kept(baseline, slot))
		baseline->values[slot % size] = (float)value;
}

double baseline_get(const struct baseline *baseline, int64_t slot)
{
	if (!is_kept(baseline, slot))
		return NAN;
	return (double)baseline->values[slot % (int64_t)baseline->size];
}

size_t baseline_usual(const struct baseline *baseline, int64_t slot,
		      int least_days, double *out)
{
	size_t count = 0;
	int days = 0;

	for (int day = 1; day <= BASELINE_DAYS; day++) {
		size_t before = count;

		for (int side = -BASELINE_SIDE; side <= BASELINE_SIDE; side++) {
			double value = baseline_get(
				baseline,
				slot - (int64_t)day * SLOTS_A_DAY + side);

			if (!isnan(value))
				out[count++] = value;
		}
		if (count - before > BASELINE_SIDE)
			days++;
	}
	return days >= least_days ? count : 0;
}
