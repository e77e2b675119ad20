/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

/*
 * jansson with our limits: depth 64 checked before jansson sees the text,
 * duplicate names refused, strict UTF-8.  For requests on the call path use
 * json_scan.h, which does not allocate.  [any]
 */

#include <jansson.h>

#include <atomd/plugin.h>

#include "core/buffer.h"

#define JSON_DEPTH_MAX 64

/* Whole text to a new reference; ATOM_EINVAL with a sentence that says
 * where. */
atom_status json_decode(const char *text, size_t length, json_t **value_r,
			struct atom_error *err);
/* Compact, appended. */
atom_status json_encode(const json_t *value, struct buffer *out);
/* json_dumps(), which leaves out what its text has no memory for; then NULL.
 * The caller's, to be freed by free(). */
char *json_write(const json_t *value, size_t flags);
/* A member's text, or `fallback`. */
const char *json_text(const json_t *object, const char *name,
		      const char *fallback);

/* Allocations of JSON values that have failed on this thread, ever: what was
 * built while the number did not change is whole. */
unsigned int json_failures(void);

#endif
