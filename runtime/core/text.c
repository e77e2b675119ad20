/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "core/memory.h"

bool text_is_name(const char *text)
{
	size_t length = strlen(text);

	if (length < 1 || length > 63)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!word && (i == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return true;
}

/* --- the nearest word ---------------------------------------------------- */

#define WORD_MAX 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Restricted Damerau-Levenshtein distance ("optimal string alignment"):
 * insertions, deletions, replacements and swaps of neighbours. */
static size_t distance(const char *a, size_t a_length, const char *b,
		       size_t b_length)
{
	size_t rows[3][WORD_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_length; j++)
		above[j] = before[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			bool same = a[i - 1] == b[j - 1];
			size_t best = above[j - 1] + (same ? 0 : 1);

			best = least(best, above[j] + 1);
			best = least(best, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				best = least(best, before[j - 2] + 1);
			row[j] = best;
		}

		size_t *oldest = before;

		before = above;
		above = row;
		row = oldest;
	}
	return above[b_length];
}

/* `timeout` for `timeout_ms`: the unit behind the name was forgotten. */
static bool lacks_unit(const char *wrong, size_t length, const char *word)
{
	return strncmp(wrong, word, length) == 0 && word[length] == '_' &&
	       strchr(word + length + 1, '_') == NULL;
}

const char *text_nearest(const char *wrong, const char *const *words)
{
	const size_t length = strlen(wrong);
	const char *nearest = NULL, *whole = NULL;
	size_t limit = length / 3 > 1 ? length / 3 : 1;

	if (length > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t word_length = strlen(*words);

		if (word_length > WORD_MAX)
			continue;

		size_t d = distance(wrong, length, *words, word_length);

		/* The first of equals stays. */
		if (d < limit || (d == limit && !nearest)) {
			nearest = *words;
			limit = d;
		}
		if (!whole && lacks_unit(wrong, length, *words))
			whole = *words;
	}
	return nearest ? nearest : whole;
}

/* --- UTF-8 --------------------------------------------------------------- */

static inline bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Unicode 15, table 3-7. */
size_t text_utf8_length(const char *text, size_t left)
{
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return left >= 2 && is_tail(s[1]) ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if (left < 3 || !is_tail(s[1]) || !is_tail(s[2]))
			return 0;
		if (s[0] == 0xe0 && s[1] < 0xa0) /* overlong */
			return 0;
		return s[0] == 0xed && s[1] > 0x9f ? 0 : 3; /* surrogates */
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if (left < 4 || !is_tail(s[1]) || !is_tail(s[2]) ||
		    !is_tail(s[3]))
			return 0;
		if (s[0] == 0xf0 && s[1] < 0x90) /* overlong */
			return 0;
		return s[0] == 0xf4 && s[1] > 0x8f ? 0 : 4; /* too large */
	}
	return 0;
}

/* --- bytes as text ------------------------------------------------------- */

static void mend(char *text, size_t size, bool controls)
{
	size_t left, length;

	text[size - 1] = '\0';
	left = strlen(text);
	for (; left > 0; text += length, left -= length) {
		bool control = (unsigned char)*text < 0x20 || *text == 0x7f;

		length = text_utf8_length(text, left);
		if (length == 0 || (control && !controls)) {
			length = 1;
			*text = '?';
		}
	}
}

void text_make_printable(char *text, size_t size)
{
	mend(text, size, false);
}

void text_make_utf8(char *text, size_t size)
{
	mend(text, size, true);
}

void text_to_hex(const void *bytes, size_t length, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *b = bytes;

	for (size_t i = 0; i < length; i++) {
		*out++ = digits[b[i] >> 4];
		*out++ = digits[b[i] & 15];
	}
	*out = '\0';
}

size_t text_base64(const void *bytes, size_t length, char *out, size_t out_size)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *b = bytes;
	size_t at = 0;

	/* (length + 2) / 3 * 4 < out_size, without wrapping. */
	if (out_size == 0 || length > (out_size - 1) / 4 * 3)
		return 0;
	for (; length >= 3; length -= 3, b += 3) {
		out[at++] = digits[b[0] >> 2];
		out[at++] = digits[(b[0] & 3) << 4 | b[1] >> 4];
		out[at++] = digits[(b[1] & 15) << 2 | b[2] >> 6];
		out[at++] = digits[b[2] & 63];
	}
	if (length) {
		unsigned int second = length == 2 ? b[1] : 0;

		out[at++] = digits[b[0] >> 2];
		out[at++] = digits[(b[0] & 3u) << 4 | second >> 4];
		out[at++] = length == 2 ? digits[(second & 15) << 2] : '=';
		out[at++] = '=';
	}
	out[at] = '\0';
	return at;
}

bool text_equal_constant_time(const void *a, const void *b, size_t length)
{
	/* volatile: or the compiler may leave at the first difference. */
	const volatile unsigned char *x = a;
	const volatile unsigned char *y = b;
	unsigned int difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= x[i] ^ y[i];
	return difference == 0;
}

/* --- addresses ----------------------------------------------------------- */

/* Both families as 16 bytes, IPv4 in its mapped form (RFC 4291, 2.5.5.2), so
 * that ::ffff:10.0.0.1 is in 10.0.0.0/8.  Returns the bits that a prefix of
 * this family's text counts from, or -1. */
static int parse_address(const char *text, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (inet_pton(AF_INET, text, out + 12) == 1) {
		memcpy(out, mapped, sizeof(mapped));
		return 96;
	}
	return inet_pton(AF_INET6, text, out) == 1 ? 0 : -1;
}

bool text_in_cidr(const char *address, const char *cidr)
{
	const char *slash = strchr(cidr, '/');
	size_t length = slash ? (size_t)(slash - cidr) : strlen(cidr);
	char network_text[INET6_ADDRSTRLEN];
	unsigned char network[16], host[16];
	int64_t bits = 128;

	if (length >= sizeof(network_text))
		return false;
	memcpy(network_text, cidr, length);
	network_text[length] = '\0';

	int skipped = parse_address(network_text, network);

	if (skipped < 0 || parse_address(address, host) < 0)
		return false;
	if (slash) {
		if (!text_to_int(slash + 1, &bits) || bits < 0 ||
		    bits > 128 - skipped)
			return false;
		bits += skipped;
	}

	size_t whole = (size_t)bits / 8;
	unsigned int rest = (unsigned int)bits % 8;

	if (memcmp(network, host, whole) != 0)
		return false;
	return rest == 0 || (network[whole] ^ host[whole]) >> (8 - rest) == 0;
}

bool text_is_loopback_url(const char *url)
{
	const char *at = strstr(url, "://");
	const char *end, *host;
	char name[INET6_ADDRSTRLEN];
	size_t length;

	host = at != NULL ? at + 3 : url;
	end = host + strcspn(host, "/?#\\");
	/* A name or a password may hold what looks like a host. */
	while ((at = memchr(host, '@', (size_t)(end - host))) != NULL)
		host = at + 1;
	length = (size_t)(end - host);
	at = memchr(host, *host == '[' ? ']' : ':', length);
	if (*host == '[') {
		if (at == NULL || (at + 1 < end && at[1] != ':'))
			return false;
		host++;
	}
	if (at != NULL)
		length = (size_t)(at - host);
	if (length >= sizeof(name))
		return false;
	memcpy(name, host, length);
	name[length] = '\0';
	return strcasecmp(name, "localhost") == 0 ||
	       text_in_cidr(name, "127.0.0.0/8") || text_in_cidr(name, "::1");
}
