/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_JUDGE_H
#define FUZZ_JUDGE_H

/*
 * jansson's verdict on what a target made; each aborts unless it is sound.  A
 * file of its own: jansson and the plugins' JSON have names in common.
 */
#include <stddef.h>

/* A value of any kind.  Passed over: what jansson refuses beyond RFC 8259,
 * numbers that its types do not hold and names with a NUL. */
void must_be_json(const char *text, size_t length);
/* UTF-8. */
void must_be_utf8(const char *text, size_t length);

#endif
