/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_BODY_H
#define AUDIT_HTTP_BODY_H

/*
 * The body of a request, made of the first entries of a pack: their lines,
 * each ended by "\n" (application/x-ndjson), or as one JSON array.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/audit/http/entry.h"

struct body {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t count;	/* entries in it */
	size_t used;	/* bytes of the pack that they take */
	uint64_t first; /* sequence of the first entry */
	uint64_t last_sequence;
	uint64_t last_ordinal;
};

/* At most `records` entries and, but for the first, `bytes` of lines.  Reuses
 * what `body` holds; body_fini() frees it. */
atom_status body_make(struct body *body, const struct pack *pack,
		      size_t records, size_t bytes, bool array,
		      struct atom_error *err);
void body_fini(struct body *body);

#endif
