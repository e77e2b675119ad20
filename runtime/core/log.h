/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

/*
 * The daemon's log: one JSON object a line on standard error (or to the
 * journal), and the last lines in memory for `atomctl logs`.
 *
 *	{"time":"2026-01-02T03:04:05.678Z","level":"info","event":"ready",
 *	 "message":"...","agent":"echo"}
 *
 * `event` is a stable lower-case word that scripts may match.  Lines are cut
 * at 8 KiB (and say `"cut":true`), control bytes escaped, secrets that were registered replaced by
 * `***`.  A line is written with one write(2).  When standard error cannot
 * take it at once the line is dropped and counted (never blocks a loop).
 * [any] throughout.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "core/buffer.h"

#define LOG_LINE_MAX 8192

/* Fields of lines.  A NULL text is shown as "". */
static inline const char *log_field_text(const char *text)
{
	return text ? text : "";
}
#define LOG_TEXT(name, text)                    \
	{                                       \
		(name), log_field_text(text), 0 \
	}
#define LOG_NUMBER(name, number)                \
	{                                       \
		(name), NULL, (int64_t)(number) \
	}

/* log_line(ATOM_LOG_INFO, "listening", "accepting connections",
 *	    LOG_TEXT("address", a), LOG_NUMBER("loops", n)); */
#define log_line(level, event, message, ...)                             \
	do {                                                             \
		if (log_enabled(level)) {                                \
			const struct atom_log_field fields_[] = {        \
				__VA_ARGS__                              \
			};                                               \
			log_write(level, event, message, fields_,        \
				  sizeof(fields_) / sizeof(fields_[0])); \
		}                                                        \
	} while (0)

/* One line without fields, with a formatted message. */
ATOM_PRINTF(3, 4)
void log_printf(int level, const char *event, const char *format, ...);
void log_write(int level, const char *event, const char *message,
	       const struct atom_log_field *fields, size_t field_count);
bool log_enabled(int level);
void log_set_level(int level);
/* "error" "warn" "info" "debug" -> level, or -1. */
int log_level_of(const char *word);
const char *log_level_name(int level);
/* Where lines go: a descriptor (default 2), -1 = memory only.  A pipe or
 * terminal is opened anew where that is allowed, so that only our own writes
 * do not block.  This and log_use_journal(): while no other thread logs. */
void log_set_descriptor(int fd);
/* Send lines to systemd's journal socket instead. */
atom_status log_use_journal(struct atom_error *err);

/* Secrets of at least 6 bytes (shorter: ATOM_EINVAL, nothing is hidden) that
 * no line may show, as they are and as JSON escapes them.  Up to 4,096:
 * ATOM_ELIMIT.  They stay until log_fini(). */
atom_status log_add_secret(const char *secret);
/* Replaces registered secrets in place (never longer than before). */
size_t log_redact(char *text);

/* Lines dropped because they could not be written. */
uint64_t log_dropped(void);

/* A line in memory; the last 4,096 or 4 MiB are kept. */
struct log_kept {
	uint64_t sequence; /* rises by one a line */
	int level;
	const char *json; /* one line, no '\n' */
	size_t length;
};
/* Visits kept lines with sequence > after in order; visit returns false to
 * end, and may log: no lock is held.  Returns the last sequence there is. */
uint64_t log_visit(uint64_t after,
		   bool (*visit)(void *argument, const struct log_kept *line),
		   void *argument);
/* Frees what the log holds; only at the end of the process. */
void log_fini(void);

#endif
