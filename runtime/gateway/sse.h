/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SSE_H
#define GATEWAY_SSE_H

/*
 * Server-sent events (HTML standard, section 9.2) around JSON.  Line ends
 * would end an event's line; within JSON they only stand between tokens, so
 * they become spaces.  A failed append shows in out->failed.  Pure. [any]
 */

#include <stddef.h>

#include "core/buffer.h"

/* `json` without line ends. */
void sse_append(struct buffer *out, const char *json, size_t length);
/* "data: JSON\n\n", with an "event: NAME" before it unless NULL. */
void sse_event(struct buffer *out, const char *name, const char *json,
	       size_t length);
/* ": TEXT\n\n" */
void sse_comment(struct buffer *out, const char *text, size_t length);

#endif
