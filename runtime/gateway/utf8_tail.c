/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/utf8_tail.h"

#include <string.h>

/* How many bytes at the end begin a character that they do not finish. */
static size_t cut_tail(const char *bytes, size_t length)
{
	for (size_t back = 1; back <= 3 && back <= length; back++) {
		unsigned char c = (unsigned char)bytes[length - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if ((c & 0xc0) == 0x80)
			continue;
		return c >= 0xc2 && c <= 0xf4 && need > back ? back : 0;
	}
	return 0;
}

atom_status utf8_append_json(struct utf8_tail *tail, struct buffer *out,
			     const char *bytes, size_t length)
{
	size_t cut;

	/* What began in the last piece ends in this one, byte by byte. */
	while (tail->length > 0 && length > 0) {
		if (((unsigned char)*bytes & 0xc0) == 0x80) {
			tail->bytes[tail->length++] = *bytes++;
			length--;
			if (cut_tail(tail->bytes, tail->length) > 0)
				continue;
		}
		buffer_append_json(out, tail->bytes, tail->length);
		tail->length = 0;
	}
	cut = cut_tail(bytes, length);
	buffer_append_json(out, bytes, length - cut);
	if (cut > 0) {
		memcpy(tail->bytes, bytes + length - cut, cut);
		tail->length = (uint8_t)cut;
	}
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

atom_status utf8_end_json(struct utf8_tail *tail, struct buffer *out)
{
	size_t length = tail->length;

	tail->length = 0;
	return length > 0 ? buffer_append_json(out, tail->bytes, length)
			  : ATOM_OK;
}
