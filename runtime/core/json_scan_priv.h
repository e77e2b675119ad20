/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_JSON_SCAN_PRIV_H
#define CORE_JSON_SCAN_PRIV_H

/*
 * What the validator (json_scan.c) and the readers of its spans
 * (json_span.c) share.  Nobody else includes this.
 */

#include "core/json_scan.h"

static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Four hexadecimal digits, or -1. */
int json_hex4(const char *digits);

/* Do two sound strings read the same, once decoded? */
bool json_strings_equal(const struct json_span *a, const struct json_span *b);

#endif
