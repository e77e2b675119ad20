/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 1024

/* A short count is what the file keeps as its error. */
static ssize_t append(void *cookie, const char *bytes, size_t length)
{
	struct text *text = cookie;
	const size_t needed = text->length + length + 1;

	if (needed > text->room) {
		size_t room = text->room * 2 > needed ? text->room * 2 : needed;
		char *more = realloc(text->bytes, room);

		if (more == NULL) {
			errno = ENOMEM;
			return 0;
		}
		text->bytes = more;
		text->room = room;
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = '\0';
	return (ssize_t)length;
}

FILE *text_open(struct text *text)
{
	FILE *file;

	*text = (struct text){ .bytes = calloc(1, ROOM_FIRST),
			       .room = ROOM_FIRST };
	if (text->bytes == NULL)
		return NULL;
	file = fopencookie(text, "w",
			   (cookie_io_functions_t){ .write = append });
	if (file == NULL)
		free(text->bytes);
	return file;
}

char *text_close(struct text *text, FILE *file)
{
	const bool failed = ferror(file) != 0;

	if (fclose(file) == 0 && !failed)
		return text->bytes;
	free(text->bytes);
	return NULL;
}
