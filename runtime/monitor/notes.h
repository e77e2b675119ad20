/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_NOTES_H
#define MONITOR_NOTES_H

/*
 * Notes of monitors for people, beside an agent or an alert: the newest
 * NOTES_MAX are kept in memory and, a record each, over restarts in the store's
 * bucket `annotations`; each is logged and recorded in the audit log.  A note
 * is stored within a second: a crash costs the last ones, no more.
 * What a note says comes from a stranger, often from a model: its text is cut
 * to ATOM_ANNOTATION_MAX bytes of printable UTF-8, and nothing is done by it.
 */

#include <jansson.h>

#include <atomd/monitor.h>

#define NOTES_MAX 200

/* At start, before the first monitor is opened: what was kept. What does not
 * read as a note is told, by one line for all, and left out. [control] */
void notes_recall(void);
/* [any] `monitor`: the component, "monitor/analyst". */
void notes_add(const char *monitor, const struct atom_annotation *note);
/* [any] The newest `limit`, newest first, of an agent or of all (""):
 * [{"time","subject","agent","alert","monitor","text","prompt_hash"}]. NULL
 * without memory. */
json_t *notes_describe(const char *agent, size_t limit);
/* [any] The newest beside that alert of that agent ("" = none), as one of the
 * rows above; NULL: there is none that was made at `since_ms`, Unix time, or
 * later. */
json_t *notes_newest(const char *alert, const char *agent, int64_t since_ms);
/* After the last thread. */
void notes_fini(void);

#endif
