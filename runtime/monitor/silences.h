/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_SILENCES_H
#define MONITOR_SILENCES_H

/*
 * Silences: alerts that people do not want to be told of for a time.  As in
 * Alertmanager, one has matchers over an alert's labels, an author, a comment
 * and an end; it is in force while all its matchers hold.  A silenced alert
 * still fires and shows; those who tell people ask silences_find() first.
 *
 *	pending ── starts_at ──► active ── ends_at, or silences_end() ──► expired
 *
 * Kept over restarts in the store's bucket `silences`; one whose record is
 * damaged is logged and not in force, so that alerts are heard.  Expired ones
 * are shown for a day.
 */

#include <stdbool.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "core/id.h"

#define SILENCES_MAX	     200 /* the expired ones that are shown too */
#define SILENCE_MATCHERS_MAX 16
#define SILENCE_TEXT_MAX     1000 /* bytes of a comment, and of a value */
#define SILENCE_LONGEST_MS   (366 * 24 * 3600 * 1000ll)

struct silence_request {
	/* [{"name","value","regex":false,"equal":true}]; one of them at least
	 * must not hold for an empty label, or all would be silent. */
	const json_t *matchers;
	const char *comment;
	const char *created_by;
	int64_t starts_ms; /* Unix time; 0: now */
	int64_t ends_ms;
};

/* At start, before the first monitor is opened. [control] */
void silences_recall(void);
/* After the last thread. */
void silences_fini(void);

/* Once, at once or later.  ATOM_OK: `result` is the silence, as in
 * silences_list(); new.  ATOM_EINVAL: `message` says what is wrong;
 * ATOM_ENOENT; ATOM_ELIMIT: SILENCES_MAX are in force or to come; else the
 * store's. */
typedef void (*silence_done)(void *argument, atom_status status, json_t *result,
			     const char *message);
/* In force once it is durable. [control] */
void silences_create(const struct silence_request *request, silence_done done,
		     void *argument);
/* In force when it returns; `done` once it is durable.  One that has ended
 * stays as it is. [control] */
void silences_end(const char *id, silence_done done, void *argument);
/* [{"id","matchers","starts_at","ends_at","created_by","comment","state"}],
 * those in force first, then by their end; new, NULL: no memory. [any] */
json_t *silences_list(void);
/* A silence in force for an alert of these labels, an object of texts.  Of
 * several the one that lasts longest. [any] */
bool silences_find(const json_t *labels, char id_r[ID_MAX]);

#endif
