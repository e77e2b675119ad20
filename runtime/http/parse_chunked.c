/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunked transfer coding, RFC 9112 section 7.1.
 *
 *   SIZE ---------CR--------> SIZE_LF -(size > 0)-> PAYLOAD
 *    |  \--';'--> EXTENSION-CR-^  |                   |
 *    '--' '-> SPACE-';'-^         | (size 0)      PAYLOAD_CR
 *   SIZE <--- PAYLOAD_LF <--------|-------------------'
 *                                 v
 *   .-------------------------> TRAILER --CR--> END_LF --> COMPLETE
 *   '- TRAILER_LF <- TRAILER_VALUE <- TRAILER_NAME -'(token)
 *
 * Payload goes in runs, the rest byte by byte, so that a split at any place
 * changes nothing and no byte has to be kept.
 */
#include "http/parse.h"

#include <assert.h>

#include "http/parse_priv.h"

enum {
	SIZE,
	SPACE,
	EXTENSION,
	SIZE_LF,
	PAYLOAD,
	PAYLOAD_CR,
	PAYLOAD_LF,
	TRAILER,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	COMPLETE,
};

/* 15 hexadecimal digits cannot overflow 64 bits; zeros in front count. */
#define SIZE_DIGITS 15

static enum http_parse refuse(struct http_chunked *chunked, const char *why)
{
	chunked->why = why;
	return HTTP_PARSE_REFUSED;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum http_parse size_byte(struct http_chunked *chunked, char c)
{
	int value = hex_value(c);

	if (value >= 0) {
		if (++chunked->digits > SIZE_DIGITS)
			return refuse(chunked, "chunk size too large");
		chunked->left = chunked->left * 16 + (uint64_t)value;
		return HTTP_PARSE_MORE;
	}
	if (chunked->digits == 0)
		return refuse(chunked, "bad chunk size");
	switch (c) {
	case '\r':
		chunked->state = SIZE_LF;
		return HTTP_PARSE_MORE;
	case ';':
		chunked->state = EXTENSION;
		return HTTP_PARSE_MORE;
	case ' ':
	case '\t':
		chunked->state = SPACE;
		return HTTP_PARSE_MORE;
	default:
		return refuse(chunked, "bad chunk size");
	}
}

static enum http_parse extension_byte(struct http_chunked *chunked, char c)
{
	if (++chunked->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES)
		return refuse(chunked, "chunk extensions too long");
	if (chunked->state == SPACE) {
		if (c == ';')
			chunked->state = EXTENSION;
		else if (c != ' ' && c != '\t')
			return refuse(chunked, "bad chunk size");
		return HTTP_PARSE_MORE;
	}
	if (c == '\r')
		chunked->state = SIZE_LF;
	else if (!http_is_printable(&c, 1))
		return refuse(chunked, "bad chunk extension");
	return HTTP_PARSE_MORE;
}

/* The bytes round the payload, everything but payload and trailer. */
static enum http_parse frame_byte(struct http_chunked *chunked, char c)
{
	switch (chunked->state) {
	case SIZE:
		return size_byte(chunked, c);
	case SPACE:
	case EXTENSION:
		return extension_byte(chunked, c);
	case SIZE_LF:
		if (c != '\n')
			return refuse(chunked, "bare CR after a chunk size");
		chunked->digits = 0;
		chunked->state = chunked->left ? PAYLOAD : TRAILER;
		return HTTP_PARSE_MORE;
	case PAYLOAD_CR:
		if (c != '\r')
			return refuse(chunked, "chunk longer than its size");
		chunked->state = PAYLOAD_LF;
		return HTTP_PARSE_MORE;
	default:
		assert(chunked->state == PAYLOAD_LF);
		if (c != '\n')
			return refuse(chunked, "bare CR after a chunk");
		chunked->state = SIZE;
		return HTTP_PARSE_MORE;
	}
}

/* The trailer's field lines, checked like those of a head, and dropped. */
static enum http_parse trailer_byte(struct http_chunked *chunked, char c)
{
	if (chunked->state == COMPLETE)
		return refuse(chunked, "chunked body has ended");
	if (++chunked->trailer_bytes > HTTP_TRAILER_BYTES)
		return refuse(chunked, "trailer too long");
	switch (chunked->state) {
	case TRAILER:
		if (c == '\r') {
			chunked->state = END_LF;
			return HTTP_PARSE_MORE;
		}
		if (++chunked->trailer_fields > HTTP_TRAILER_FIELDS)
			return refuse(chunked, "too many trailer fields");
		chunked->state = TRAILER_NAME;
		return http_is_token(c)
			       ? HTTP_PARSE_MORE
			       : refuse(chunked, "bad trailer field name");
	case TRAILER_NAME:
		if (c == ':')
			chunked->state = TRAILER_VALUE;
		else if (!http_is_token(c))
			return refuse(chunked, "bad trailer field name");
		return HTTP_PARSE_MORE;
	case TRAILER_VALUE:
		if (c == '\r')
			chunked->state = TRAILER_LF;
		else if (!http_is_printable(&c, 1))
			return refuse(chunked, "bad trailer field");
		return HTTP_PARSE_MORE;
	case TRAILER_LF:
		chunked->state = TRAILER;
		break;
	default:
		chunked->state = COMPLETE;
		break;
	}
	if (c != '\n')
		return refuse(chunked, "bare CR in a trailer");
	return chunked->state == COMPLETE ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

enum http_parse http_chunked_next(struct http_chunked *chunked,
				  const char *text, size_t len, size_t *used,
				  struct http_text *payload)
{
	size_t i = 0;
	enum http_parse result = HTTP_PARSE_MORE;

	*payload = (struct http_text){ text, 0 };
	while (i < len && result == HTTP_PARSE_MORE) {
		if (chunked->state == PAYLOAD) {
			size_t run = len - i;

			if (run > chunked->left)
				run = (size_t)chunked->left;
			*payload = (struct http_text){ text + i, run };
			chunked->left -= run;
			if (chunked->left == 0)
				chunked->state = PAYLOAD_CR;
			i += run;
			break;
		}
		result = chunked->state < TRAILER
				 ? frame_byte(chunked, text[i++])
				 : trailer_byte(chunked, text[i++]);
	}
	*used = i;
	return result;
}
