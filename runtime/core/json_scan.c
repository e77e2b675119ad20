/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The validator behind json_scan.h.
 *
 * One pass, no recursion: the kinds of the open containers are bits of a
 * 64-bit word, which is what bounds the depth.  Strings are most of a body;
 * their plain ASCII goes sixteen bytes at a time.
 */
#include "core/json_scan.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/json_scan_priv.h"

struct scan {
	const char *at;
	const char *end;
	const char *what; /* of the failure */
	bool limit;	  /* it is a limit, not a mistake */
	bool halves;	  /* escapes of lone surrogates pass */
	unsigned int depth_max;
};

static bool fail(struct scan *s, const char *what)
{
	s->what = what;
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && json_is_space(*s->at))
		s->at++;
}

/* The next byte, or 0, which is legal nowhere outside a string. */
static char peek(const struct scan *s)
{
	return s->at < s->end ? *s->at : '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Four hexadecimal digits at s->at, or -1. */
static int scan_hex4(struct scan *s)
{
	int value;

	if (s->end - s->at < 4)
		return -1;
	value = json_hex4(s->at);
	if (value >= 0)
		s->at += 4;
	return value;
}

/* Behind a backslash. */
static bool scan_escape(struct scan *s)
{
	const char *behind;
	int high, low;

	switch (peek(s)) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		s->at++;
		return true;
	case 'u':
		s->at++;
		break;
	default:
		return fail(s, "invalid escape");
	}
	high = scan_hex4(s);
	if (high < 0)
		return fail(s, "invalid \\u escape");
	if (high < 0xd800 || high > 0xdfff)
		return true;
	behind = s->at;
	if (high <= 0xdbff && s->end - s->at >= 6 && s->at[0] == '\\' &&
	    s->at[1] == 'u') {
		s->at += 2;
		low = scan_hex4(s);
		if (low >= 0xdc00 && low <= 0xdfff)
			return true;
	}
	/* What follows a half is looked at for its own sake. */
	if (s->halves)
		s->at = behind;
	return s->halves || fail(s, "escape of a lone surrogate");
}

/* One character beyond ASCII: the well-formed sequences of Unicode's table
 * 3-7, which leaves out overlong forms and surrogates. */
static bool scan_utf8(struct scan *s)
{
	const unsigned char *c = (const unsigned char *)s->at;
	size_t left = (size_t)(s->end - s->at);
	unsigned char low = 0x80, high = 0xbf;
	size_t more;

	if (c[0] >= 0xc2 && c[0] <= 0xdf) {
		more = 1;
	} else if (c[0] >= 0xe0 && c[0] <= 0xef) {
		more = 2;
		if (c[0] == 0xe0)
			low = 0xa0;
		else if (c[0] == 0xed)
			high = 0x9f;
	} else if (c[0] >= 0xf0 && c[0] <= 0xf4) {
		more = 3;
		if (c[0] == 0xf0)
			low = 0x90;
		else if (c[0] == 0xf4)
			high = 0x8f;
	} else {
		return fail(s, "invalid UTF-8");
	}
	if (left <= more || c[1] < low || c[1] > high)
		return fail(s, "invalid UTF-8");
	for (size_t i = 2; i <= more; i++)
		if (c[i] < 0x80 || c[i] > 0xbf)
			return fail(s, "invalid UTF-8");
	s->at += more + 1;
	return true;
}

/* A byte that is itself in a string, and nothing else. */
static bool is_plain(char c)
{
	return c >= ' ' && c != '"' && c != '\\' && (unsigned char)c < 0x80;
}

/* Over plain ASCII, sixteen bytes at a time where the processor can. */
static void skip_plain(struct scan *s)
{
	const char *at = s->at;

#ifdef __SSE2__
	for (; s->end - at >= (ptrdiff_t)sizeof(__m128i);
	     at += sizeof(__m128i)) {
		__m128i block =
			_mm_loadu_si128((const __m128i *)(const void *)at);
		/* As signed bytes: what is not ASCII is less than a blank. */
		__m128i low = _mm_cmplt_epi8(block, _mm_set1_epi8(' '));
		__m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
		__m128i back = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
		int marks = _mm_movemask_epi8(
			_mm_or_si128(low, _mm_or_si128(quote, back)));

		if (marks != 0) {
			s->at = at + __builtin_ctz((unsigned int)marks);
			return;
		}
	}
#endif
	while (at < s->end && is_plain(*at))
		at++;
	s->at = at;
}

/* s->at is at the opening quote. */
static bool scan_string(struct scan *s, struct json_span *span)
{
	span->at = s->at++;
	span->kind = JSON_SPAN_STRING;
	span->escaped = false;
	for (;;) {
		skip_plain(s);
		if (s->at == s->end)
			return fail(s, "string without end");
		if (*s->at == '"')
			break;
		if (*s->at == '\\') {
			span->escaped = true;
			s->at++;
			if (!scan_escape(s))
				return false;
		} else if ((unsigned char)*s->at < 32) {
			return fail(s, "control character in a string");
		} else if (!scan_utf8(s)) {
			return false;
		}
	}
	s->at++;
	span->length = (size_t)(s->at - span->at);
	return true;
}

static bool scan_digits(struct scan *s)
{
	if (!is_digit(peek(s)))
		return fail(s, "invalid number");
	while (is_digit(peek(s)))
		s->at++;
	return true;
}

static bool scan_number(struct scan *s, struct json_span *span)
{
	span->at = s->at;
	span->kind = JSON_SPAN_NUMBER;
	if (peek(s) == '-')
		s->at++;
	if (peek(s) == '0')
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (peek(s) == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->at++;
		if (peek(s) == '+' || peek(s) == '-')
			s->at++;
		if (!scan_digits(s))
			return false;
	}
	span->length = (size_t)(s->at - span->at);
	return true;
}

static bool scan_word(struct scan *s, const char *word,
		      enum json_span_kind kind, struct json_span *span)
{
	size_t length = strlen(word);

	if ((size_t)(s->end - s->at) < length ||
	    memcmp(s->at, word, length) != 0)
		return fail(s, "invalid value");
	span->at = s->at;
	span->length = length;
	span->kind = kind;
	s->at += length;
	return true;
}

/* A value that holds no others. */
static bool scan_scalar(struct scan *s, struct json_span *span)
{
	span->escaped = false;
	switch (peek(s)) {
	case '"':
		return scan_string(s, span);
	case 't':
		return scan_word(s, "true", JSON_SPAN_TRUE, span);
	case 'f':
		return scan_word(s, "false", JSON_SPAN_FALSE, span);
	case 'n':
		return scan_word(s, "null", JSON_SPAN_NULL, span);
	case '-':
	case '0' ... '9':
		return scan_number(s, span);
	default:
		return fail(s, s->at == s->end ? "value missing"
					       : "invalid value");
	}
}

/* `"name" :` of a member. */
static bool scan_name(struct scan *s, struct json_span *name)
{
	skip_space(s);
	if (peek(s) != '"')
		return fail(s, "member name expected");
	if (!scan_string(s, name))
		return false;
	skip_space(s);
	if (peek(s) != ':')
		return fail(s, "colon expected");
	s->at++;
	skip_space(s);
	return true;
}

/*
 * Any value, `depth` levels of containers being open around it.  Bit n of
 * objects tells whether the n-th container opened here is an object.
 *
 *	begin value --scalar, or an empty container--> value ended
 *	     ^ '--opening bracket (first name)--> begin value
 *	     '--comma (next name)-- value ended --closing bracket--> value ended
 */
static bool scan_any(struct scan *s, unsigned int depth, struct json_span *span)
{
	const char *begin = s->at;
	uint64_t objects = 0;
	unsigned int open = 0;
	struct json_span inner;

	for (;;) {
		char c = peek(s);

		if (c == '{' || c == '[') {
			if (depth + open >= s->depth_max) {
				s->limit = true;
				return fail(s, "nested too deeply");
			}
			objects = objects << 1 | (c == '{');
			open++;
			s->at++;
			skip_space(s);
			if (peek(s) != (c == '{' ? '}' : ']')) {
				if (c == '{' && !scan_name(s, &inner))
					return false;
				continue;
			}
		} else {
			if (!scan_scalar(s, open ? &inner : span))
				return false;
			if (open == 0)
				return true;
			skip_space(s);
		}
		/* A value has ended inside a container. */
		while (peek(s) == (objects & 1 ? '}' : ']')) {
			s->at++;
			objects >>= 1;
			if (--open == 0) {
				span->at = begin;
				span->length = (size_t)(s->at - begin);
				span->kind = *begin == '{' ? JSON_SPAN_OBJECT
							   : JSON_SPAN_ARRAY;
				span->escaped = false;
				return true;
			}
			skip_space(s);
		}
		if (peek(s) != ',')
			return fail(s, objects & 1 ? "comma or } expected"
						   : "comma or ] expected");
		s->at++;
		skip_space(s);
		if (objects & 1 && !scan_name(s, &inner))
			return false;
	}
}

static bool name_is_new(struct scan *s, const struct json_member *members,
			size_t count)
{
	const struct json_span *name = &members[count].name;

	for (size_t i = 0; i < count; i++) {
		if (json_strings_equal(&members[i].name, name)) {
			s->at = name->at;
			return fail(s, "duplicate member name");
		}
	}
	return true;
}

static bool scan_members(struct scan *s, struct json_member *members,
			 size_t member_max, size_t *count)
{
	size_t n = 0;

	if (peek(s) != '{')
		return fail(s, "object expected");
	if (s->depth_max == 0) {
		s->limit = true;
		return fail(s, "nested too deeply");
	}
	s->at++;
	skip_space(s);
	if (peek(s) != '}') {
		for (;; n++) {
			if (n == member_max) {
				s->limit = true;
				return fail(s, "too many members");
			}
			if (!scan_name(s, &members[n].name) ||
			    !name_is_new(s, members, n) ||
			    !scan_any(s, 1, &members[n].value))
				return false;
			skip_space(s);
			if (peek(s) != ',')
				break;
			s->at++;
		}
		n++;
	}
	if (peek(s) != '}')
		return fail(s, "comma or } expected");
	s->at++;
	*count = n;
	return true;
}

static void begin(struct scan *s, const char *text, size_t length,
		  unsigned int depth_max)
{
	*s = (struct scan){
		.at = text,
		.end = text + length,
		.depth_max = depth_max < JSON_SCAN_DEPTH_MAX
				     ? depth_max
				     : JSON_SCAN_DEPTH_MAX,
	};
	skip_space(s);
}

static atom_status end(struct scan *s, const char *text, bool sound,
		       struct json_scan_error *error)
{
	if (sound) {
		skip_space(s);
		if (s->at == s->end)
			return ATOM_OK;
		s->what = "text behind the value";
	}
	error->offset = (size_t)(s->at - text);
	error->what = s->what;
	return s->limit ? ATOM_ELIMIT : ATOM_EINVAL;
}

atom_status json_scan_object(const char *text, size_t length,
			     unsigned int depth_max,
			     struct json_member *members, size_t member_max,
			     size_t *member_count_r,
			     struct json_scan_error *error)
{
	struct scan s;
	size_t count = 0;
	atom_status status;

	begin(&s, text, length, depth_max);
	status = end(&s, text, scan_members(&s, members, member_max, &count),
		     error);
	if (status == ATOM_OK)
		*member_count_r = count;
	return status;
}

static atom_status scan_value(const char *text, size_t length,
			      unsigned int depth_max, bool halves,
			      struct json_span *value_r,
			      struct json_scan_error *error)
{
	struct scan s;
	struct json_span value;
	atom_status status;

	begin(&s, text, length, depth_max);
	s.halves = halves;
	status = end(&s, text, scan_any(&s, 0, &value), error);
	if (status == ATOM_OK)
		*value_r = value;
	return status;
}

atom_status json_scan_value(const char *text, size_t length,
			    unsigned int depth_max, struct json_span *value_r,
			    struct json_scan_error *error)
{
	return scan_value(text, length, depth_max, false, value_r, error);
}

atom_status json_scan_piece(const char *text, size_t length,
			    unsigned int depth_max, struct json_span *value_r,
			    struct json_scan_error *error)
{
	return scan_value(text, length, depth_max, true, value_r, error);
}
