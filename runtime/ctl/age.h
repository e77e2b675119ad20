/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times and durations as people say them: `3m`, `in 30d`, `340ms`.
 */
#ifndef CTL_AGE_H
#define CTL_AGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGE_TEXT_MAX 32

/* RFC 3339 (`2026-01-31T12:00:00.250Z`, or with an offset) to milliseconds
 * since 1970. False when it is not such a time; `time_ms_r` is then left. */
bool age_parse_time(const char *text, int64_t *time_ms_r);

/* How long ago `time_ms` was at `now_ms`, one unit: `45s` `3m` `5h` `12d`; a
 * time to come reads `in 30d`. */
void age_format(char out[AGE_TEXT_MAX], int64_t time_ms, int64_t now_ms);

/* A measured duration, two or three figures: `0.8ms` `340ms` `1.20s` `75s`. */
void age_format_duration(char out[AGE_TEXT_MAX], double duration_ms);

/* The wall clock in milliseconds since 1970. */
int64_t age_now_ms(void);

#endif
