/* SPDX-License-Identifier: Apache-2.0 */
#include "provider_body.h"

#include <stdlib.h>
#include <string.h>

#include "plugins/backend/openai/openai.h"

/* openai.c's. */
const char *const token_fields[] = { "max_tokens", "max_completion_tokens",
				     NULL };

char *provider_body(const struct atom_call_request *request,
		    unsigned int variant, size_t *length_r)
{
	static char model[] = "\"other\"";
	struct openai_options options = { .token_field = variant & 1 };
	struct openai openai = {
		.options = &options,
		.model = variant & 2 ? model : NULL,
	};
	struct call call = { .openai = &openai };
	struct request_body body;
	struct atom_error err = ATOM_ERROR_INIT;
	size_t length = 0, at = 0;
	char *text;

	/* The gateway has let it through. */
	if (request_body(&call, request, &body, &err) != ATOM_OK ||
	    body.count > REQUEST_PIECES_MAX)
		abort();
	for (size_t i = 0; i < body.count; i++)
		length += body.pieces[i].length;
	text = malloc(length + 1);
	if (text == NULL)
		abort();
	for (size_t i = 0; i < body.count; i++) {
		memcpy(text + at, body.pieces[i].bytes, body.pieces[i].length);
		at += body.pieces[i].length;
	}
	*length_r = length;
	return text;
}
