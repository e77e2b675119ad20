/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 512
#define KEEP_BYTES  4096

void bytes_init(struct bytes *bytes, size_t max)
{
	*bytes = (struct bytes){ .max = max };
}

void bytes_fini(struct bytes *bytes)
{
	free(bytes->at);
	bytes->at = NULL;
	bytes->length = bytes->capacity = 0;
}

void bytes_clear(struct bytes *bytes)
{
	bytes->length = 0;
	if (bytes->capacity > KEEP_BYTES)
		bytes_fini(bytes);
}

atom_status bytes_reserve(struct bytes *bytes, size_t more)
{
	size_t capacity = bytes->capacity;
	char *at;

	if (more > bytes->max - bytes->length)
		return ATOM_ELIMIT;
	if (more <= capacity - bytes->length)
		return ATOM_OK;
	if (capacity == 0)
		capacity = FIRST_BYTES;
	while (capacity - bytes->length < more)
		capacity *= 2;
	if (capacity > bytes->max)
		capacity = bytes->max;
	at = realloc(bytes->at, capacity);
	if (at == NULL)
		return ATOM_ENOMEM;
	bytes->at = at;
	bytes->capacity = capacity;
	return ATOM_OK;
}

atom_status bytes_append(struct bytes *bytes, const char *more, size_t length)
{
	atom_status status = bytes_reserve(bytes, length);

	if (status != ATOM_OK || length == 0)
		return status;
	memcpy(bytes->at + bytes->length, more, length);
	bytes->length += length;
	return ATOM_OK;
}
