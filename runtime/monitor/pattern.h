/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_PATTERN_H
#define MONITOR_PATTERN_H

/*
 * The regular expressions of matchers: POSIX extended ones over the whole
 * value, from people whom a costly one must not serve.  What has no bound in
 * the C library is refused: back references, which search exponentially;
 * counts {n,m}, and repetitions of repetitions, whose trees it copies (each
 * level of (a+)+ doubles it); and repetitions of what may be empty, such as
 * (a*|b)+, whose circles it follows along every way when it compiles.  What is
 * left is compiled in microseconds and run in time that grows with the value
 * alone.  [any]
 */

#include <regex.h>

#include <atomd/plugin.h>

#define PATTERN_MAX	256 /* bytes */
#define PATTERN_NESTING 3   /* repetitions within each other */

/* `label` is for the message of ATOM_EINVAL.  The caller regfree()s what was
 * compiled; regexec() needs nothing but the value. */
atom_status pattern_compile(const char *label, const char *value,
			    regex_t *pattern_r, struct atom_error *err);

#endif
