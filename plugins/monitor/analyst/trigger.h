/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANALYST_TRIGGER_H
#define ANALYST_TRIGGER_H

/*
 * What an analyst is asked because of, and what happened meanwhile: of an
 * event only its name, its agent and words and numbers that the daemon or a
 * configuration chose.  Pure.
 */

#include <stdbool.h>

#include <jansson.h>

#include <atomd/monitor.h>

#include "plugins/monitor/analyst/report.h"

#define HAPPENED_MAX 32

struct trigger {
	char kind[16]; /* "anomaly" "alert" "schedule"; "" = none */
	char name[REPORT_WORD];
	char agent[128];
};

struct happened {
	int64_t time_ms;
	char name[REPORT_WORD];
	char agent[128];
	char detail[REPORT_WORD];
};

/* The newest, oldest first from `first`. */
struct happenings {
	struct happened items[HAPPENED_MAX];
	size_t first, count;
};

/* Does this event concern an analyst of that focus?  Then *trigger_r. `parts`:
 * of alerts' names; without any, what the focus says: errors and failures, what
 * has to do with keys and audit, and the others for performance. */
bool trigger_of(const struct atom_monitor_event *event, enum report_focus focus,
		const struct atom_strings *parts, struct trigger *trigger_r);

/* Alerts, anomalies, rollouts and scaling; others are not kept. */
void happenings_add(struct happenings *happenings,
		    const struct atom_monitor_event *event);
/* [{"steps_ago","name","agent","detail"}] of the last `steps`.  NULL: no memory. */
json_t *happenings_told(const struct happenings *happenings, int64_t now_ms,
			int64_t step_ms, int64_t steps);

#endif
