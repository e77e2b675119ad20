/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/cold_start.h"

#include "plugins/scaling/formula/number.h"

int64_t cold_start_ms(const struct atom_load *load, int64_t least_ms,
		      int64_t most_ms)
{
	double longest = (double)least_ms;

	for (size_t i = 0; i < load->cold_start_count; i++)
		if (number_known(load->cold_starts_s[i]))
			longest = fmax(longest, load->cold_starts_s[i] * 1000);
	return longest < (double)most_ms ? (int64_t)longest : most_ms;
}
