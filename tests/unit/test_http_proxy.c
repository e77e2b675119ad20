/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY v2 header: what is read, how far, and what is refused.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#include "http/proxy.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.7:1000 to 198.51.100.1:443 */
#define TCP4 "\xc0\x00\x02\x07\xc6\x33\x64\x01\x03\xe8\x01\xbb"

struct bytes {
	const char *at;
	size_t length;
};
#define BYTES(literal)                         \
	(struct bytes)                         \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}

/* As a connection does: piece by piece, never more than is wanted. */
static enum http_parse read_in_pieces(struct bytes text, size_t piece,
				      struct http_proxy *out)
{
	size_t have = 0;
	enum http_parse result =
		http_proxy_parse((const uint8_t *)text.at, 0, out);

	while (result == HTTP_PARSE_MORE && have < text.length) {
		size_t want = out->size - have;

		if (want > piece)
			want = piece;
		if (want > text.length - have)
			want = text.length - have;
		have += want;
		result = http_proxy_parse((const uint8_t *)text.at, have, out);
	}
	return result;
}

static enum http_parse parse(struct bytes text, struct http_proxy *out)
{
	struct http_proxy slow;
	enum http_parse result = read_in_pieces(text, SIZE_MAX, out);

	cr_assert_eq(read_in_pieces(text, 1, &slow), result);
	cr_assert_eq(slow.family, out->family);
	cr_assert_arr_eq(slow.address, out->address, sizeof(slow.address));
	return result;
}

Test(http_proxy, the_client_of_tcp_over_ipv4_and_ipv6_is_read)
{
	static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x09 };
	struct http_proxy header;

	cr_assert_eq(parse(BYTES(SIGNATURE "\x21\x11\x00\x0c" TCP4
					   "GET / HTTP/1.1\r\n"),
			   &header),
		     HTTP_PARSE_DONE);
	cr_assert_eq(header.family, AF_INET);
	cr_assert_eq(memcmp(header.address, "\xc0\x00\x02\x07", 4), 0);
	cr_assert_eq(header.size, 28, "and nothing of what follows");

	cr_assert_eq(parse(BYTES(SIGNATURE
				 "\x21\x21\x00\x24"
				 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
				 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
				 "\x03\xe8\x01\xbb"),
			   &header),
		     HTTP_PARSE_DONE);
	cr_assert_eq(header.family, AF_INET6);
	cr_assert_arr_eq(header.address, v6, sizeof(v6));
}

Test(http_proxy, local_and_unspecified_name_nobody)
{
	static const struct bytes cases[] = {
		/* A health check, with and without what is to be ignored. */
		{ SIGNATURE "\x20\x00\x00\x00", 16 },
		{ SIGNATURE "\x20\x11\x00\x0c" TCP4, 28 },
		{ SIGNATURE "\x20\x99\x00\x03?!?", 19 },
		{ SIGNATURE "\x21\x00\x00\x00", 16 },
		{ SIGNATURE "\x21\x00\x00\x04\x04\x00\x01x", 20 },
	};
	struct http_proxy header;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(cases[i], &header), HTTP_PARSE_DONE, "%zu",
			     i);
		cr_assert_eq(header.family, AF_UNSPEC, "%zu", i);
	}
}

Test(http_proxy, what_is_not_well_formed_is_refused)
{
	static const struct {
		const char *what;
		struct bytes text;
	} cases[] = {
		{ "HTTP", { "GET / HTTP/1.1\r\n", 16 } },
		{ "version 1", { "PROXY TCP4 1.2.3.4", 16 } },
		{ "TLS",
		  { "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11 } },
		{ "one wrong byte", { "\r\n\r\n\0\r\nQUIX", 11 } },
		{ "version 3", { SIGNATURE "\x31\x11\x00\x0c" TCP4, 28 } },
		{ "command 2", { SIGNATURE "\x22\x11\x00\x0c" TCP4, 28 } },
		{ "UDP", { SIGNATURE "\x21\x12\x00\x0c" TCP4, 28 } },
		{ "no such family", { SIGNATURE "\x21\x41\x00\x0c" TCP4, 28 } },
		{ "cut addresses", { SIGNATURE "\x21\x11\x00\x0b" TCP4, 27 } },
		{ "IPv4 as IPv6", { SIGNATURE "\x21\x21\x00\x0c" TCP4, 28 } },
		{ "too long", { SIGNATURE "\x21\x11\xff\xff", 16 } },
		{ "a TLV's head is cut",
		  { SIGNATURE "\x21\x11\x00\x0e" TCP4 "\x04\x00", 30 } },
		{ "a TLV is too long",
		  { SIGNATURE "\x21\x11\x00\x10" TCP4 "\x04\x00\x02x", 32 } },
		{ "a wrong checksum",
		  { SIGNATURE "\x21\x11\x00\x13" TCP4 "\x03\x00\x04\1\2\3\4",
		    35 } },
		{ "a short checksum",
		  { SIGNATURE "\x21\x11\x00\x12" TCP4 "\x03\x00\x03\1\2\3",
		    34 } },
	};
	struct http_proxy header;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(cases[i].text, &header), HTTP_PARSE_REFUSED,
			     "%s", cases[i].what);
		cr_assert_gt(strlen(header.why), 0);
	}
}

/* CRC-32C (Castagnoli) over the header with the field zeroed, computed by
 * another program. */
Test(http_proxy, a_sound_checksum_is_taken_and_every_flipped_bit_is_told)
{
	char text[] = SIGNATURE "\x21\x11\x00\x13" TCP4 "\x03\x00\x04"
				"\xe7\x92\xb3\x07";
	struct http_proxy header;
	size_t length = sizeof(text) - 1;

	/* It is of the bytes behind it as well. */
	cr_assert_eq(parse(BYTES(SIGNATURE "\x21\x11\x00\x17" TCP4
					   "\x03\x00\x04\x04\x17\x77\x58"
					   "\x04\x00\x01x"),
			   &header),
		     HTTP_PARSE_DONE, "%s", header.why);
	cr_assert_eq(parse((struct bytes){ text, length }, &header),
		     HTTP_PARSE_DONE, "%s", header.why);
	for (size_t bit = 8 * 16; bit < 8 * length; bit++) {
		/* As another type it is no checksum. */
		if (bit / 8 == 28)
			continue;
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
		cr_assert_neq(parse((struct bytes){ text, length }, &header),
			      HTTP_PARSE_DONE, "bit %zu", bit);
		text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
	}
}
