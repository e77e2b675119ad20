/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_CAPACITY ((size_t)64 * 1024)

static bool make_room(struct bytes *b, size_t more)
{
	size_t capacity = b->capacity > 0 ? b->capacity : 512;
	char *at;

	if (b->failed)
		return false;
	while (capacity - b->length < more && capacity <= SIZE_MAX / 4)
		capacity *= 2;
	if (capacity == b->capacity)
		return true;
	at = capacity - b->length < more ? NULL : realloc(b->at, capacity);
	if (at == NULL) {
		b->failed = true;
		return false;
	}
	b->at = at;
	b->capacity = capacity;
	return true;
}

void bytes_append(struct bytes *b, const char *more, size_t length)
{
	if (length == 0 || !make_room(b, length))
		return;
	memcpy(b->at + b->length, more, length);
	b->length += length;
}

void bytes_append_text(struct bytes *b, const char *text)
{
	bytes_append(b, text, strlen(text));
}

void bytes_append_number(struct bytes *b, int64_t number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%" PRId64, number);

	bytes_append(b, text, (size_t)length);
}

void bytes_append_string(struct bytes *b, const char *text)
{
	bytes_append_text(b, "\"");
	while (*text != '\0') {
		size_t plain = 0;
		unsigned char c;
		char escape[8];

		while ((c = (unsigned char)text[plain]) >= 0x20 && c != '"' &&
		       c != '\\')
			plain++;
		bytes_append(b, text, plain);
		text += plain;
		if (*text == '\0')
			break;
		(void)snprintf(escape, sizeof(escape), "\\u%04x",
			       (unsigned int)c);
		bytes_append_text(b, escape);
		text++;
	}
	bytes_append_text(b, "\"");
}

void bytes_append_json(struct bytes *b, const char *json, size_t length)
{
	size_t from = b->length;

	bytes_append(b, json, length);
	/* Within strings these bytes are escaped: here they are blanks. */
	for (size_t i = from; i < b->length; i++)
		if (b->at[i] == '\n' || b->at[i] == '\r')
			b->at[i] = ' ';
}

void bytes_consume(struct bytes *b, size_t length)
{
	b->length -= length;
	if (b->length == 0)
		bytes_clear(b);
	else if (length > 0)
		memmove(b->at, b->at + length, b->length);
}

void bytes_clear(struct bytes *b)
{
	b->length = 0;
	b->failed = false;
	if (b->capacity > KEEP_CAPACITY)
		bytes_fini(b);
}

void bytes_fini(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){ .at = NULL };
}
