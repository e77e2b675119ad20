/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of HTTP: which may stand where, tokens, lists, host names.
 *
 * Names and targets are checked byte by byte against a class table; values,
 * the bulk of a head, eight bytes at a time for control bytes.
 */
#include "http/parse_priv.h"

/* clang-format off */
const unsigned char http_class[256] = {
	['!'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	['#'] = HTTP_TOK,
	['$'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	['%'] = HTTP_TOK | HTTP_QUERY,
	['&'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	['\''] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	['('] = HTTP_PATH | HTTP_QUERY,
	[')'] = HTTP_PATH | HTTP_QUERY,
	['*'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	['+'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY,
	[','] = HTTP_PATH | HTTP_QUERY,
	['-'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST,
	['.'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST | HTTP_IP6,
	['/'] = HTTP_PATH | HTTP_QUERY,
	['0' ... '9'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST | HTTP_IP6,
	[':'] = HTTP_PATH | HTTP_QUERY | HTTP_IP6,
	[';'] = HTTP_PATH | HTTP_QUERY,
	['='] = HTTP_PATH | HTTP_QUERY,
	['?'] = HTTP_QUERY,
	['@'] = HTTP_PATH | HTTP_QUERY,
	['A' ... 'F'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST | HTTP_IP6,
	['G' ... 'Z'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST,
	['['] = HTTP_QUERY,
	['\\'] = HTTP_QUERY,
	[']'] = HTTP_QUERY,
	['^'] = HTTP_TOK | HTTP_QUERY,
	['_'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST,
	['`'] = HTTP_TOK | HTTP_QUERY,
	['a' ... 'f'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST | HTTP_IP6,
	['g' ... 'z'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST,
	['{'] = HTTP_QUERY,
	['|'] = HTTP_TOK | HTTP_QUERY,
	['}'] = HTTP_QUERY,
	['~'] = HTTP_TOK | HTTP_PATH | HTTP_QUERY | HTTP_HOST,
};
/* clang-format on */

bool http_all_of(const char *text, size_t len, unsigned char class)
{
	for (size_t i = 0; i < len; i++)
		if (!(http_class[(unsigned char)text[i]] & class))
			return false;
	return true;
}

/*
 * No control bytes but tabs: field-content of RFC 9110 section 5.5. Eight
 * bytes at a time, by the zero-byte test of "Bit Twiddling Hacks": a byte
 * below 32 or equal to 127 sends the word to the exact check.
 */
bool http_is_printable(const char *text, size_t len)
{
	const uint64_t ones = ~(uint64_t)0 / 255;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t word, del;

		memcpy(&word, text + i, sizeof(word));
		del = word ^ (ones * 127);
		if (((word - ones * 32) & ~word & (ones * 128)) |
		    ((del - ones) & ~del & (ones * 128)))
			break;
	}
	for (; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c < 32 && c != '\t') || c == 127)
			return false;
	}
	return true;
}

bool http_text_is(struct http_text text, const char *word)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char a = (unsigned char)text.at[i];
		unsigned char b = (unsigned char)word[i];

		if (a >= 'A' && a <= 'Z')
			a |= 0x20;
		if (b >= 'A' && b <= 'Z')
			b |= 0x20;
		if (a != b || !b)
			return false;
	}
	return word[text.len] == '\0';
}

struct http_text http_trim(struct http_text text)
{
	while (text.len && (*text.at == ' ' || *text.at == '\t')) {
		text.at++;
		text.len--;
	}
	while (text.len &&
	       (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
		text.len--;
	return text;
}

bool http_list_next(struct http_text *list, struct http_text *element)
{
	while (list->len) {
		const char *comma = memchr(list->at, ',', list->len);
		size_t len = comma ? (size_t)(comma - list->at) : list->len;
		struct http_text found =
			http_trim((struct http_text){ list->at, len });

		if (comma)
			len++;
		list->at += len;
		list->len -= len;
		if (found.len) {
			*element = found;
			return true;
		}
	}
	return false;
}

/* ":port" or nothing. An empty port is legal (RFC 3986 section 3.2.3). */
static bool port_ok(const char *text, size_t len)
{
	unsigned port = 0;

	if (len == 0)
		return true;
	if (text[0] != ':' || len > 6)
		return false;
	for (size_t i = 1; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	return port <= 65535;
}

/*
 * A host with an optional port. Narrower than RFC 3986, which allows "," and
 * percent-encoding in names: no such host exists, and they confuse lists.
 */
bool http_host_ok(const char *text, size_t len)
{
	size_t name = 0;

	if (len && text[0] == '[') {
		const char *end = memchr(text, ']', len);

		if (!end || end == text + 1)
			return false;
		name = (size_t)(end - text) + 1;
		return http_all_of(text + 1, name - 2, HTTP_IP6) &&
		       port_ok(text + name, len - name);
	}
	while (name < len && http_class[(unsigned char)text[name]] & HTTP_HOST)
		name++;
	return name > 0 && port_ok(text + name, len - name);
}
