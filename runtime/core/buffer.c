/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buffer.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define FIRST_CAPACITY 64

void buffer_init(struct buffer *b, size_t max_bytes)
{
	*b = (struct buffer)BUFFER_INIT(max_bytes);
}

void buffer_fini(struct buffer *b)
{
	mem_free(b->bytes);
	*b = (struct buffer)BUFFER_INIT(b->max);
}

void buffer_clear(struct buffer *b)
{
	b->length = 0;
	b->failed = false;
	if (b->bytes)
		b->bytes[0] = '\0';
}

static atom_status fail(struct buffer *b, atom_status status)
{
	b->failed = true;
	return status;
}

atom_status buffer_reserve(struct buffer *b, size_t more)
{
	/* With capacity 0 there is no room for the NUL either. */
	if (b->capacity && more <= b->capacity - b->length)
		return ATOM_OK;
	if (more > b->max - b->length || b->max == 0)
		return fail(b, ATOM_ELIMIT);

	size_t need = b->length + more;
	size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;

	while (capacity < need && capacity <= b->max / 2)
		capacity *= 2;
	if (capacity < need || capacity > b->max)
		capacity = b->max;

	char *bytes = capacity < SIZE_MAX ? mem_realloc(b->bytes, capacity + 1)
					  : NULL;

	if (!bytes)
		return fail(b, ATOM_ENOMEM);
	if (!b->bytes)
		bytes[0] = '\0';
	b->bytes = bytes;
	b->capacity = capacity;
	return ATOM_OK;
}

atom_status buffer_append(struct buffer *b, const void *bytes, size_t length)
{
	atom_status status = buffer_reserve(b, length);

	if (status)
		return status;
	if (length)
		memcpy(b->bytes + b->length, bytes, length);
	b->length += length;
	b->bytes[b->length] = '\0';
	return ATOM_OK;
}

atom_status buffer_append_text(struct buffer *b, const char *text)
{
	return buffer_append(b, text, strlen(text));
}

atom_status buffer_append_char(struct buffer *b, char c)
{
	return buffer_append(b, &c, 1);
}

atom_status buffer_printf(struct buffer *b, const char *format, ...)
{
	atom_status status = buffer_reserve(b, 0);
	va_list args;

	if (status)
		return status;

	/* bytes has room for capacity + 1, so the NUL always fits. */
	size_t room = b->capacity - b->length;

	va_start(args, format);
	int length = vsnprintf(b->bytes + b->length, room + 1, format, args);
	va_end(args);

	if (length >= 0 && (size_t)length > room) {
		status = buffer_reserve(b, (size_t)length);
		if (!status) {
			va_start(args, format);
			length = vsnprintf(b->bytes + b->length,
					   (size_t)length + 1, format, args);
			va_end(args);
		}
	}
	if (length < 0)
		status = fail(b, ATOM_EINVAL);
	if (!status)
		b->length += (size_t)length;
	b->bytes[b->length] = '\0';
	return status;
}

atom_status buffer_append_u64(struct buffer *b, unsigned long long value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return buffer_append(b, digits + at, sizeof(digits) - at);
}

void buffer_consume(struct buffer *b, size_t length)
{
	if (length >= b->length) {
		b->length = 0;
	} else {
		b->length -= length;
		memmove(b->bytes, b->bytes + length, b->length);
	}
	if (b->bytes)
		b->bytes[b->length] = '\0';
}

char *buffer_take(struct buffer *b, size_t *length_r)
{
	char *bytes = b->bytes ? b->bytes : mem_strdup("");

	if (!bytes)
		return NULL;
	if (length_r)
		*length_r = b->length;
	*b = (struct buffer)BUFFER_INIT(b->max);
	return bytes;
}
