/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MESSAGES_H
#define GATEWAY_MESSAGES_H

/*
 * A chat's `messages` array: is it sound, who speaks in it, and the array
 * that a model shall see (system prompt, what the session remembers, the
 * caller's own), spliced from the caller's bytes.  Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>

#include "core/buffer.h"
#include "core/json_scan.h"

/* Messages of one request. */
#define MESSAGES_MAX 10000

struct message_list {
	size_t count;
	bool has_system;	    /* a `system` or `developer` one */
	struct json_span last_user; /* content of the last `user` one, or of
				       kind JSON_SPAN_NONE */
};

/* Judges the value of `messages`.  ATOM_EINVAL with a sentence in `why`. */
atom_status messages_read(const struct json_span *array,
			  struct message_list *list_r, char *why,
			  size_t why_size);

/* "[system?,session...,array...]", appended.  `session` are objects joined by
 * ',' and may be empty; `array` NULL for none. */
atom_status messages_splice(struct buffer *out, const char *system_prompt,
			    const struct buffer *session,
			    const struct json_span *array);

/* What a session shall remember of the caller's messages: all but the system
 * ones, joined by ','; *count_r is raised by their number. */
atom_status messages_append_new(struct buffer *out,
				const struct json_span *array, size_t *count_r);

/* A content in parts that are all text, as one JSON string; ATOM_ENOTSUP when
 * it is anything else (nothing is appended then). */
atom_status messages_flatten(const struct json_span *content,
			     struct buffer *out);

#endif
