/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANALYST_OPINION_H
#define ANALYST_OPINION_H

/*
 * A report on the numbers that monitor/analyst sends, as text: for each series
 * what stands out most (a change, a trend, an outlier), what happened within
 * two steps of it, and what might be looked at; the gravest first.  Pure.
 */

#include <stddef.h>

/* `question`: any text with the numbers in it ("{"format":"atomd-report/1"...).
 * At most about `max_tokens` tokens (0 = 2,000): what is less grave is left
 * out, whole sentences at a time.  malloc()ed; NULL: no memory.  Never
 * fails otherwise: what cannot be read is said. */
char *opinion_of(const char *question, size_t length, long long max_tokens);

#endif
