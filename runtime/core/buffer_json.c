/* SPDX-License-Identifier: Apache-2.0 */

/* Text into JSON strings: buffer.h's other half. */

#include <stdint.h>
#include <string.h>

#include "core/buffer.h"
#include "core/text.h"

/* Bytes that go out as they stand, without a look at what follows. */
static inline bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Eight at a time: each term marks bytes by their high bit ("Bit Twiddling
 * Hacks"), and a false mark costs a look, no more. */
size_t buffer_json_plain(const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text;
	const uint64_t ones = ~(uint64_t)0 / 255;
	size_t at = 0;

	for (; length - at >= 8; at += 8) {
		uint64_t word;

		memcpy(&word, s + at, sizeof(word));
		if ((word | (word - ones * 32) | ((word ^ ones * '"') - ones) |
		     ((word ^ ones * '\\') - ones) |
		     ((word ^ ones * 0x7f) - ones)) &
		    ones * 128)
			break;
	}
	while (at < length && is_plain(s[at]))
		at++;
	return at;
}

/* Writes what stands for `c` and returns its end. */
static char *escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	/* By control byte: the letter of its short form. */
	static const char letters[32] = { ['\b'] = 'b',
					  ['\f'] = 'f',
					  ['\n'] = 'n',
					  ['\r'] = 'r',
					  ['\t'] = 't' };

	if (c >= 0x80)
		return (char *)memcpy(out, "\xef\xbf\xbd", 3) + 3;
	*out++ = '\\';
	if (c == '"' || c == '\\') {
		*out++ = (char)c;
	} else if (c < 32 && letters[c]) {
		*out++ = letters[c];
	} else {
		memcpy(out, "u00", 3);
		out[3] = hex[c >> 4];
		out[4] = hex[c & 15];
		out += 5;
	}
	return out;
}

/* One walk for both passes: counts when `out` is NULL, else writes. */
static size_t walk(char *out, const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text;
	char *const first = out;
	size_t count = 0;
	size_t run = 0; /* where the bytes not yet taken begin */
	size_t at = 0;
	char scratch[6];

	while (at < length) {
		if (is_plain(s[at])) {
			at++;
			continue;
		}

		size_t whole =
			s[at] < 0x80 ? 0
				     : text_utf8_length(text + at, length - at);

		if (whole) {
			at += whole;
			continue;
		}
		if (out) {
			memcpy(out, s + run, at - run);
			out = escape(out + (at - run), s[at]);
		} else {
			count += at - run;
			count += (size_t)(escape(scratch, s[at]) - scratch);
		}
		run = ++at;
	}
	if (!out)
		return count + (length - run);
	memcpy(out, s + run, length - run);
	return (size_t)(out + (length - run) - first);
}

atom_status buffer_append_json(struct buffer *b, const char *text,
			       size_t length)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = buffer_json_plain(text, length);

	if (at == length)
		return buffer_append(b, text, length);

	/* Counted first, so that a failure changes nothing. */
	atom_status status =
		buffer_reserve(b, at + walk(NULL, text + at, length - at));

	if (status)
		return status;
	memcpy(b->bytes + b->length, s, at);
	b->length += at;
	b->length += walk(b->bytes + b->length, text + at, length - at);
	b->bytes[b->length] = '\0';
	return ATOM_OK;
}

atom_status buffer_append_json_string(struct buffer *b, const char *text)
{
	const size_t start = b->length;
	atom_status status = buffer_append_char(b, '"');

	if (!status)
		status = buffer_append_json(b, text, strlen(text));
	if (!status)
		status = buffer_append_char(b, '"');
	if (status && b->bytes) {
		b->length = start;
		b->bytes[start] = '\0';
	}
	return status;
}
