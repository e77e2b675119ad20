/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sse.h"

#include <string.h>

void sse_append(struct buffer *out, const char *json, size_t length)
{
	size_t from = out->length;

	if (buffer_append(out, json, length) != ATOM_OK)
		return;
	if (memchr(json, '\n', length) == NULL &&
	    memchr(json, '\r', length) == NULL)
		return;
	for (size_t i = from; i < out->length; i++)
		if (out->bytes[i] == '\n' || out->bytes[i] == '\r')
			out->bytes[i] = ' ';
}

void sse_event(struct buffer *out, const char *name, const char *json,
	       size_t length)
{
	if (name != NULL) {
		buffer_append_text(out, "event: ");
		buffer_append_text(out, name);
		buffer_append_char(out, '\n');
	}
	buffer_append(out, "data: ", 6);
	sse_append(out, json, length);
	buffer_append(out, "\n\n", 2);
}

void sse_comment(struct buffer *out, const char *text, size_t length)
{
	buffer_append(out, ": ", 2);
	sse_append(out, text, length);
	buffer_append(out, "\n\n", 2);
}
