/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DESCRIPTION_H
#define GATEWAY_DESCRIPTION_H

/*
 * The API told from its route table: /openapi.json for programs, /docs for
 * people.  Made once at start, then only read.
 */

#include <atomd/plugin.h>

#include "core/buffer.h"

/* [control] */
atom_status description_init(struct atom_error *err);
void description_fini(void);

/* OpenAPI 3.1, indented; the HTML page; appended.  Pure. [any] */
atom_status openapi_build(struct buffer *out, struct atom_error *err);
atom_status docs_build(struct buffer *out, struct atom_error *err);

/* Schemas of the API's bodies, as JSON texts. */
struct schema {
	const char *name;
	const char *json;
};
extern const struct schema schemas[];
extern const size_t schema_count;

/* "view_logs or view_public_logs", or "public". */
#define PERMISSION_TEXT_MAX 160
void description_permissions(uint32_t permissions,
			     char out[PERMISSION_TEXT_MAX]);

#endif
