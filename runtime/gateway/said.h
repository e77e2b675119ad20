/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SAID_H
#define GATEWAY_SAID_H

/*
 * What an agent said, kept to be compared or graded once its caller has it: a
 * completion with a bound of its own, and what a reader has of it.
 *
 * Nothing that a caller sees depends on it: what cannot be kept is cut, and
 * that is remembered.  [one thread]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/json_scan.h"
#include "gateway/completion.h"

#define SAID_MAX ((size_t)64 * 1024) /* bytes kept of an answer */

/* Takes what was emitted, as completion_add() does.  Beyond SAID_MAX, or
 * without memory, *cut is set and nothing of it is kept. */
void said_keep(struct completion *c, bool *cut, bool whole, int32_t kind,
	       const char *bytes, size_t length);

struct answer {
	struct buffer output; /* JSON */
	struct buffer text;   /* what a reader has */
	struct json_span json;
	bool is_json; /* an object or an array */
};

/* Of one of at most `max` bytes.  False: there is none, or no memory.
 * answer_fini() in any case. */
bool answer_read(struct completion *c, size_t max, struct answer *answer_r);
void answer_fini(struct answer *answer);

#endif
