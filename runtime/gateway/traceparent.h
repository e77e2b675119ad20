/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TRACEPARENT_H
#define GATEWAY_TRACEPARENT_H

/*
 * The header of W3C Trace Context, level 1: passed on when it is sound, as if
 * it were absent otherwise (section 3.2.2.3).  Pure. [any]
 */

#include <stdbool.h>

#define TRACEPARENT_LENGTH 55

/* "00-<32 hex>-<16 hex>-<2 hex>", lower case, neither id all zero. */
bool traceparent_valid(const char *text);

#endif
