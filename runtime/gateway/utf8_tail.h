/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_UTF8_TAIL_H
#define GATEWAY_UTF8_TAIL_H

/*
 * Text that comes in pieces, into JSON strings.  A backend may cut its text
 * anywhere, also within a character; what has begun waits for its rest.
 * Pure. [any]
 */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"

struct utf8_tail {
	char bytes[4];
	uint8_t length;
};

/* Appends text as the inside of a JSON string; a character cut at the end
 * waits in `tail` for the next piece. */
atom_status utf8_append_json(struct utf8_tail *tail, struct buffer *out,
			     const char *bytes, size_t length);
/* The text is over: a character that was never finished becomes U+FFFD. */
atom_status utf8_end_json(struct utf8_tail *tail, struct buffer *out);

#endif
