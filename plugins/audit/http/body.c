/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/body.h"

#include <stdlib.h>
#include <string.h>

static void put(struct body *body, const char *bytes, size_t length)
{
	memcpy(body->bytes + body->length, bytes, length);
	body->length += length;
}

atom_status body_make(struct body *body, const struct pack *pack,
		      size_t records, size_t bytes, bool array,
		      struct atom_error *err)
{
	/* A line needs one more byte, its entry's head has eighty. */
	size_t needed = pack->length + 2, size;

	if (needed > body->capacity) {
		free(body->bytes);
		body->bytes = malloc(needed);
		body->capacity = body->bytes != NULL ? needed : 0;
		if (body->bytes == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
	body->length = 0;
	body->count = 0;
	body->used = 0;
	for (; body->used < pack->length && body->count < records;
	     body->used += size, body->count++) {
		struct entry entry;

		if (entry_decode(pack->bytes + body->used,
				 pack->length - body->used, &entry,
				 &size) != ATOM_OK)
			return atom_fail(err, ATOM_EINTERNAL,
					 "a damaged entry in memory");
		if (body->count > 0 && body->length + entry.line.length > bytes)
			break;
		if (body->count == 0)
			body->first = entry.sequence;
		if (array)
			put(body, body->count == 0 ? "[" : ",", 1);
		put(body, entry.line.bytes, entry.line.length);
		if (!array)
			put(body, "\n", 1);
		body->last_sequence = entry.sequence;
		body->last_ordinal = entry.ordinal;
	}
	if (array)
		put(body, "]", 1);
	return ATOM_OK;
}

void body_fini(struct body *body)
{
	free(body->bytes);
	*body = (struct body){ 0 };
}
