/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ACCEPT_H
#define GATEWAY_ACCEPT_H

/* Which form of /metrics a client takes (RFC 9110, section 12.5.1). */

#include <stdbool.h>

/* Does the `Accept` value (or NULL) name OpenMetrics 1.0.0, or no version of
 * it, with at least the weight of text/plain?  Ranges with `*` say nothing: who
 * wants OpenMetrics says so. [any] */
bool accept_openmetrics(const char *accept);

#endif
