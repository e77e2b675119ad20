/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_LOG_FILTER_H
#define GATEWAY_LOG_FILTER_H

/*
 * Which lines of the log somebody may see, and how much of them.  Pure.
 * [any]
 */

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"

#define LOG_FILTER_WORD 160

struct log_filter {
	char agent[LOG_FILTER_WORD];   /* "" = any */
	char request[LOG_FILTER_WORD]; /* "" = any */
	bool only_public;	       /* without users, addresses and texts */
};

/* Does the line (one JSON object) fit?  Then it is appended with its line
 * end. */
bool log_filter_append(const struct log_filter *filter, const char *line,
		       size_t length, struct buffer *out);

#endif
