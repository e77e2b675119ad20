/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "core/memory.h"
#include "scaling/simulate_priv.h"

/* Integral of max(min, ceil(in service / concurrency)) from one change to
 * the next. */
double simulate_clairvoyant(const struct simulate_load *load, int32_t min,
			    int32_t concurrency, int64_t *end_us_r)
{
	struct agenda agenda = { 0 };
	double sum_us = 0;
	int64_t now_us = 0;
	int64_t in_service = 0;
	size_t next = 0;

	while (next < load->count || agenda.count > 0) {
		const struct event *end = agenda_first(&agenda);
		bool arrives = next < load->count &&
			       (end == NULL ||
				load->calls[next].arrival_us < end->at_us);
		int64_t at_us =
			arrives ? load->calls[next].arrival_us : end->at_us;
		int64_t needed = (in_service + concurrency - 1) / concurrency;

		sum_us += (double)(at_us - now_us) *
			  (double)(needed > min ? needed : min);
		now_us = at_us;
		if (!arrives) {
			agenda_drop_first(&agenda);
			in_service--;
			continue;
		}
		in_service++;
		if (!agenda_add(&agenda,
				(struct event){
					.at_us = at_us +
						 load->calls[next].service_us,
					.kind = EVENT_FINISH,
				})) {
			agenda_fini(&agenda);
			return -1;
		}
		next++;
	}
	agenda_fini(&agenda);
	if (load->span_us > now_us) {
		sum_us += (double)(load->span_us - now_us) * (double)min;
		now_us = load->span_us;
	}
	*end_us_r = now_us;
	return sum_us / 1e6;
}
