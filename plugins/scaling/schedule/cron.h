/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_SCHEDULE_CRON_H
#define SCALING_SCHEDULE_CRON_H

/*
 * Cron expressions of five fields, as crontab(5) of Vixie cron has them:
 * minute 0-59, hour 0-23, day of month 1-31, month 1-12 or jan-dec, day of
 * week 0-7 (0 and 7 are Sunday) or sun-sat.  A field is a list, by commas, of
 * `*`, a number or name, a range `a-b`; a step `/n` may follow `*` and a
 * range.  Where both day fields are restricted (do not begin with `*`) a day
 * matches when either does.  A range that ends in `sun` ends in 7.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/plugin.h>

struct cron {
	uint64_t minutes; /* bit i: minute i */
	uint32_t hours;
	uint32_t month_days; /* bits 1 to 31 */
	uint32_t months;     /* bits 1 to 12 */
	uint32_t weekdays;   /* bits 0 to 6 */
	bool either_day;     /* both day fields are restricted */
};

/* ATOM_EINVAL says what is wrong, in which field; that the expression never
 * comes true (the 30th of February) is wrong, too. */
atom_status cron_parse(const char *text, struct cron *cron_r,
		       struct atom_error *err);

/* The last minute at or before `minute` at which the expression is true, both
 * in minutes of local time since 1970, looking back `most` minutes at the
 * most (0: only at `minute`).  False: there is none. */
bool cron_last(const struct cron *cron, int64_t minute, int64_t most,
	       int64_t *minute_r);

#endif
