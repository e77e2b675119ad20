/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HISTORY_FIXTURE_H
#define HISTORY_FIXTURE_H

/*
 * A history in a folder of its own, sampled by a clock that the test moves,
 * and what is read of it as text.
 */

#include <stddef.h>
#include <stdint.h>

#include "core/metric.h"
#include "core/os.h"
#include "monitor/history.h"

#define START_MS 1700000100000ll /* a whole multiple of five minutes */

/* --- the daemon and its clock --------------------------------------------- */

extern struct os real_os;
extern int64_t now_ms;
extern char history_folder[96];

/* A suite's init and fini; between them the history is open. */
void set_up(void);
void tear_down(void);

/* A restart is finish() and begin(); metrics are declared anew. */
void begin(void);
void finish(void);

/* The next sample is due, and taken. */
void tick(void);

/* --- metrics -------------------------------------------------------------- */

extern const char *const agent_label[];
extern const char *const revision_labels[];

uint32_t family(int type, const char *name, const char *const *labels);
/* `b` NULL where there is one label. */
metric_id series(uint32_t number, const char *a, const char *b);

/* --- reading -------------------------------------------------------------- */

/* Series that the last read visited. */
extern size_t visited;

/* Adds what it visits to the text; for a history_read() of the test's own. */
int32_t on_series(void *argument, const struct atom_history_series *s,
		  const void *samples, size_t stride, size_t count);

/* All that is visited, as text: `NAME a=b TIME:VALUE ...` a line; times in
 * samples since START_MS.  Of rolled ones each value is followed by
 * (LOWEST,HIGHEST,MEAN).  Valid until the next read. */
const char *read_query(struct atom_history_query *q);
/* Raw samples up to now. */
const char *read_name(const char *name);

#endif
