/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANALYST_REPORT_H
#define ANALYST_REPORT_H

/*
 * What an analyst is given: the numbers of its focus over the last window, one
 * series an agent and word of configuration, as JSON.  No prompt, no answer,
 * no user, no address is in it, for the history has none.
 *
 *	{"format":"atomd-report/1","focus":"performance",
 *	 "why":{"kind":"anomaly","name":"requests","agent":"echo"},
 *	 "step_seconds":120,
 *	 "series":[{"name":"requests_per_second","agent":"echo","detail":"",
 *	            "values":[1.2,null,3.4]}],
 *	 "events":[{"steps_ago":3,"name":"scaling","agent":"echo",
 *	            "detail":"1 -> 2"}],
 *	 "earlier":["..."]}
 */

#include <jansson.h>

#include <atomd/history.h>

#define REPORT_STEPS  30 /* values of a series */
#define REPORT_SERIES 40 /* at most; those that are first */
#define REPORT_WORD   64

enum report_focus {
	FOCUS_PERFORMANCE = 0,
	FOCUS_ERRORS = 1,
	FOCUS_SECURITY = 2,
	FOCUS_COUNT = 3
};

/* "performance", "error_tracking", "security" */
extern const char *const report_focus_words[FOCUS_COUNT];

/* Adds to a list that is whole or none: without memory it is freed and NULL,
 * and so is what is made of it.  Takes the item. */
void report_add(json_t **list, json_t *item);
/* As text, malloc()ed; NULL: no memory, or no value. */
char *report_text(const json_t *value);

/* [pool] The step that a window has, in milliseconds. */
int64_t report_step_ms(int64_t window_ms);

/* [pool] [{"name","agent","detail","values"}] of the window up to `now_ms`.
 * NULL and `err`: the history could not be read, or no memory. */
json_t *report_series(const struct atom_host *host,
		      const struct atom_history *history,
		      enum report_focus focus, int64_t now_ms,
		      int64_t window_ms, struct atom_error *err);

#endif
