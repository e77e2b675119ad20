/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_reserve(struct text *text, size_t more)
{
	if (more > text->max || text->length > text->max - more)
		return false;
	size_t need = text->length + more + 1;
	if (need <= text->capacity)
		return true;
	size_t capacity = text->capacity ? text->capacity : 64;
	while (capacity < need)
		capacity *= 2;
	char *bytes = realloc(text->bytes, capacity);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->capacity = capacity;
	return true;
}

bool text_append(struct text *text, const char *bytes, size_t length)
{
	if (!text_reserve(text, length))
		return false;
	if (length)
		memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
	return true;
}

bool text_append_string(struct text *text, const char *string)
{
	return text_append(text, string, strlen(string));
}

bool text_append_format(struct text *text, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0 || !text_reserve(text, (size_t)length))
		return false;
	va_start(arguments, format);
	vsnprintf(text->bytes + text->length, (size_t)length + 1, format,
		  arguments);
	va_end(arguments);
	text->length += (size_t)length;
	return true;
}

void text_clear(struct text *text)
{
	text->length = 0;
	if (text->bytes)
		text->bytes[0] = '\0';
}

const char *text_string(const struct text *text)
{
	return text->bytes ? text->bytes : "";
}

void text_fini(struct text *text)
{
	free(text->bytes);
	text->bytes = NULL;
	text->length = 0;
	text->capacity = 0;
}
