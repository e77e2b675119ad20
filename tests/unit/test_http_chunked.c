/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder of chunked bodies: verdicts and payload, at once and split at
 * every byte.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "http/parse.h"

struct raw_case {
	const char *name;
	const char *text;
	size_t len;
	enum http_parse result;
	const char *payload; /* what must have come out until then */
	size_t behind;	     /* bytes that belong to the next message */
};

#define DONE HTTP_PARSE_DONE
#define MORE HTTP_PARSE_MORE
#define BAD  HTTP_PARSE_REFUSED
#define RAW(name, result, payload, behind, text)                      \
	{                                                             \
		name, text, sizeof(text) - 1, result, payload, behind \
	}

/* clang-format off */
static const struct raw_case cases[] = {
	RAW("empty body", DONE, "", 0, "0\r\n\r\n"),
	RAW("one chunk", DONE, "abc", 0, "3\r\nabc\r\n0\r\n\r\n"),
	RAW("two chunks", DONE, "abcde", 0, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
	RAW("the next message stays", DONE, "a", 3, "1\r\na\r\n0\r\n\r\nGET"),
	RAW("digits in both cases", DONE, "0123456789", 0, "0000a\r\n0123456789\r\n0\r\n\r\n"),
	RAW("capital digit", DONE, "0123456789", 0, "A\r\n0123456789\r\n0\r\n\r\n"),
	RAW("several zeros end it", DONE, "", 0, "000\r\n\r\n"),
	RAW("extension", DONE, "a", 0, "1;x=y\r\na\r\n0;z\r\n\r\n"),
	RAW("quoted extension", DONE, "a", 0, "1 ; x=\"a;b\"\r\na\r\n0\r\n\r\n"),
	RAW("white space before an extension", DONE, "a", 0, "1 \t ;x\r\na\r\n0\r\n\r\n"),
	RAW("crlf as payload", DONE, "\r\n0\r\n\r\n", 0, "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
	RAW("trailer", DONE, "a", 0, "1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n"),
	RAW("unfinished size", MORE, "", 0, "1"),
	RAW("unfinished chunk", MORE, "ab", 0, "3\r\nab"),
	RAW("unfinished end", MORE, "abc", 0, "3\r\nabc\r\n0\r\n"),
	RAW("unfinished trailer", MORE, "", 0, "0\r\nX: y\r\n"),
	RAW("no size", BAD, "", 0, "\r\nabc\r\n"),
	RAW("letters as size", BAD, "", 0, "xyz\r\n"),
	RAW("negative size", BAD, "", 0, "-1\r\n"),
	RAW("size with prefix", BAD, "", 0, "0x3\r\nabc\r\n"),
	RAW("size with space in front", BAD, "", 0, " 3\r\nabc\r\n"),
	RAW("size with space behind", BAD, "", 0, "3 \r\nabc\r\n"),
	RAW("size with two numbers", BAD, "", 0, "3 3\r\nabc\r\n"),
	RAW("size of 16 digits", BAD, "", 0, "1000000000000000\r\n"),
	RAW("size of endless zeros", BAD, "", 0, "00000000000000000000"),
	RAW("size of 64 bits and more", BAD, "", 0, "FFFFFFFFFFFFFFFFF\r\n"),
	RAW("bare lf after the size", BAD, "", 0, "3\nabc\r\n"),
	RAW("bare cr after the size", BAD, "", 0, "3\rabc\r\n"),
	RAW("bare lf after an extension", BAD, "", 0, "3;a\nabc\r\n"),
	RAW("nul in an extension", BAD, "", 0, "3;a\0\r\nabc\r\n"),
	RAW("cr in an extension", BAD, "", 0, "3;a\rb\r\nabc\r\n"),
	RAW("chunk too long", BAD, "abc", 0, "3\r\nabcd\r\n"),
	RAW("bare lf after a chunk", BAD, "abc", 0, "3\r\nabc\n0\r\n\r\n"),
	RAW("bare cr after a chunk", BAD, "abc", 0, "3\r\nabc\r0\r\n\r\n"),
	RAW("nothing after a chunk", BAD, "abc", 0, "3\r\nabc0\r\n\r\n"),
	RAW("trailer without colon", BAD, "", 0, "0\r\nabc\r\n\r\n"),
	RAW("trailer with space before colon", BAD, "", 0, "0\r\na : b\r\n\r\n"),
	RAW("folded trailer", BAD, "", 0, "0\r\na: b\r\n c\r\n\r\n"),
	RAW("trailer without name", BAD, "", 0, "0\r\n: c\r\n\r\n"),
	RAW("nul in a trailer", BAD, "", 0, "0\r\na: \0\r\n\r\n"),
	RAW("bare lf in a trailer", BAD, "", 0, "0\r\na: b\n\r\n"),
	RAW("bare cr in a trailer", BAD, "", 0, "0\r\na: b\rc\r\n\r\n"),
	RAW("bare lf as end", BAD, "", 0, "0\r\n\n"),
	RAW("bare cr as end", BAD, "", 0, "0\r\n\rX"),
};
/* clang-format on */

/* Decodes in pieces of step bytes; answers what is left undecoded. */
static enum http_parse decode(const char *text, size_t len, size_t step,
			      char *out, size_t *out_len, size_t *behind)
{
	struct http_chunked chunked = { 0 };
	enum http_parse result = MORE;
	size_t at = 0;

	*out_len = 0;
	while (at < len && result == MORE) {
		size_t end = at + step < len ? at + step : len;

		while (at < end && result == MORE) {
			struct http_text run;
			size_t used;

			result = http_chunked_next(&chunked, text + at,
						   end - at, &used, &run);
			cr_assert(used > 0 && used <= end - at);
			memcpy(out + *out_len, run.at, run.len);
			*out_len += run.len;
			at += used;
		}
	}
	cr_expect_eq(result == BAD, chunked.why != NULL);
	*behind = result == DONE ? len - at : 0;
	return result;
}

Test(http_chunked, bodies_are_decoded_or_refused_however_they_are_split)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct raw_case *raw = &cases[i];

		for (size_t step = 1; step <= raw->len; step++) {
			char out[64];
			size_t out_len, behind;
			enum http_parse got = decode(raw->text, raw->len, step,
						     out, &out_len, &behind);

			cr_expect_eq(got, raw->result, "%s by %zu: got %d",
				     raw->name, step, got);
			cr_expect(out_len == strlen(raw->payload) &&
					  !memcmp(out, raw->payload, out_len),
				  "%s by %zu: payload \"%.*s\"", raw->name,
				  step, (int)out_len, out);
			cr_expect_eq(behind, raw->behind, "%s", raw->name);
		}
	}
}

static enum http_parse feed(struct http_chunked *chunked, const char *text,
			    size_t len)
{
	enum http_parse result = MORE;

	while (len && result == MORE) {
		struct http_text run;
		size_t used;

		result = http_chunked_next(chunked, text, len, &used, &run);
		text += used;
		len -= used;
	}
	return result;
}

Test(http_chunked, extensions_are_bounded_over_the_whole_body)
{
	struct http_chunked chunked = { 0 };
	static const char chunk[] = "1;0123456789abcdef0123456789abc\r\na\r\n";
	unsigned n = 0;

	while (feed(&chunked, chunk, sizeof(chunk) - 1) == MORE)
		cr_assert(++n < 10000);
	cr_expect_eq(n, HTTP_CHUNK_EXTENSION_BYTES / 30);
	cr_expect_str_eq(chunked.why, "chunk extensions too long");
}

Test(http_chunked, the_trailer_is_bounded_in_bytes_and_fields)
{
	struct http_chunked chunked = { 0 };
	unsigned n = 0;

	cr_assert_eq(feed(&chunked, "0\r\n", 3), MORE);
	while (feed(&chunked, "a: b\r\n", 6) == MORE)
		cr_assert(++n < 10000);
	cr_expect_eq(n, HTTP_TRAILER_FIELDS);

	chunked = (struct http_chunked){ 0 };
	n = 0;
	cr_assert_eq(feed(&chunked, "0\r\na:", 5), MORE);
	while (feed(&chunked, "b", 1) == MORE)
		cr_assert(++n < 10000);
	cr_expect_eq(n, HTTP_TRAILER_BYTES - 2);
}

Test(http_chunked, a_body_that_has_ended_takes_nothing_more)
{
	struct http_chunked chunked = { 0 };

	cr_assert_eq(feed(&chunked, "0\r\n\r\n", 5), DONE);
	cr_expect_eq(feed(&chunked, "0", 1), BAD);
}
