/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOG_PRIV_H
#define CORE_LOG_PRIV_H

/*
 * The three rooms behind log.h: log.c makes lines, log_secret.c knows what
 * they must not show, log_output.c takes them out of the process and
 * log_kept.c keeps the last of them.
 */

#include <stdbool.h>
#include <stddef.h>

#define LOG_NO_SECRET SIZE_MAX

/* Offset of the first registered secret in `text` and its length, or
 * LOG_NO_SECRET. */
size_t log_find_secret(const char *text, size_t length, size_t *found_length_r);
void log_forget_secrets(void);

/* One line with its '\n'; line[-1] is '\n' too (see log_output.c).  Counts it
 * as dropped when it cannot go out at once. */
void log_output(int level, const char *event, const char *line, size_t length);
void log_close_output(void);

/* The line, without '\n'. */
void log_keep(int level, const char *json, size_t length);
void log_forget_kept(void);

#endif
