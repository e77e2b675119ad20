/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the spans that a scan has found.  The text is known to be sound, so
 * that nothing here looks for the end of the buffer or for mistakes.
 */
#include <string.h>

#include "core/json_scan_priv.h"

int json_hex4(const char *digits)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = digits[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/* --- strings, piece by piece --------------------------------------------- */

/* What is left between the quotes of a string. */
struct pieces {
	const char *at;
	const char *end;
	char decoded[4];
};

static struct pieces pieces_of(const struct json_span *string)
{
	return (struct pieces){ .at = string->at + 1,
				.end = string->at + string->length - 1 };
}

static size_t utf8_encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The second half of a pair, escaped at `at`; 0 when there is none. */
static uint32_t low_half(const char *at, const char *end)
{
	int low = -1;

	if (end - at >= 6 && at[0] == '\\' && at[1] == 'u')
		low = json_hex4(at + 2);
	return low >= 0xdc00 && low <= 0xdfff ? (uint32_t)low : 0;
}

/* p->at is behind a backslash. */
static size_t decode_escape(struct pieces *p)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	char c = *p->at++;
	const char *simple;
	uint32_t code;

	if (c == 'u') {
		code = (uint32_t)json_hex4(p->at);
		p->at += 4;
		if (code >= 0xd800 && code <= 0xdfff) {
			uint32_t low =
				code <= 0xdbff ? low_half(p->at, p->end) : 0;

			if (low != 0)
				p->at += 6;
			code = low != 0 ? 0x10000 + ((code - 0xd800) << 10) +
						  (low - 0xdc00)
					: 0xfffd;
		}
		return utf8_encode(code, p->decoded);
	}
	simple = memchr(from, c, sizeof(from) - 1);
	p->decoded[0] = simple ? to[simple - from] : c;
	return 1;
}

/* The next run of decoded bytes; false at the end of the string. */
static bool next_piece(struct pieces *p, const char **bytes, size_t *length)
{
	const char *back;

	if (p->at == p->end)
		return false;
	if (*p->at == '\\') {
		p->at++;
		*length = decode_escape(p);
		*bytes = p->decoded;
		return true;
	}
	back = memchr(p->at, '\\', (size_t)(p->end - p->at));
	*bytes = p->at;
	*length = (size_t)((back ? back : p->end) - p->at);
	p->at += *length;
	return true;
}

void json_mend_surrogates(char *text, size_t length)
{
	char *end = text + length, *at = text;

	while ((at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
		int code = at[1] == 'u' ? json_hex4(at + 2) : 0;

		if (code < 0xd800 || code > 0xdfff) {
			at += 2;
		} else if (code <= 0xdbff && low_half(at + 6, end) != 0) {
			at += 12;
		} else {
			memcpy(at + 2, "fffd", 4);
			at += 6;
		}
	}
}

static bool equals_bytes(const struct json_span *string, const char *text,
			 size_t length)
{
	struct pieces p = pieces_of(string);
	const char *bytes;
	size_t n;

	while (next_piece(&p, &bytes, &n)) {
		if (n > length || memcmp(bytes, text, n) != 0)
			return false;
		text += n;
		length -= n;
	}
	return length == 0;
}

bool json_strings_equal(const struct json_span *a, const struct json_span *b)
{
	struct pieces p = pieces_of(a), q = pieces_of(b);
	const char *bytes, *other = NULL;
	size_t n, m = 0;

	if (!a->escaped)
		return equals_bytes(b, a->at + 1, a->length - 2);
	if (!b->escaped)
		return equals_bytes(a, b->at + 1, b->length - 2);
	while (next_piece(&p, &bytes, &n)) {
		while (n) {
			size_t same;

			if (m == 0 && !next_piece(&q, &other, &m))
				return false;
			same = n < m ? n : m;
			if (memcmp(bytes, other, same) != 0)
				return false;
			bytes += same;
			other += same;
			n -= same;
			m -= same;
		}
	}
	return m == 0 && q.at == q.end;
}

bool json_span_equals(const struct json_span *string, const char *text)
{
	return string->kind == JSON_SPAN_STRING &&
	       equals_bytes(string, text, strlen(text));
}

bool json_span_to_text(const struct json_span *string, char *out, size_t size)
{
	struct pieces p;
	const char *bytes;
	size_t n, used = 0;

	if (size)
		out[0] = '\0';
	if (string->kind != JSON_SPAN_STRING || size == 0)
		return false;
	p = pieces_of(string);
	while (next_piece(&p, &bytes, &n)) {
		if (n >= size - used || memchr(bytes, '\0', n)) {
			out[0] = '\0';
			return false;
		}
		memcpy(out + used, bytes, n);
		used += n;
	}
	out[used] = '\0';
	return true;
}

atom_status json_span_append(const struct json_span *string, struct buffer *out)
{
	struct pieces p;
	const char *bytes;
	size_t n;
	atom_status status = ATOM_OK;

	if (string->kind != JSON_SPAN_STRING)
		return ATOM_EINVAL;
	p = pieces_of(string);
	while (status == ATOM_OK && next_piece(&p, &bytes, &n))
		status = buffer_append(out, bytes, n);
	return status;
}

/* --- other scalars ------------------------------------------------------- */

bool json_span_to_int(const struct json_span *number, int64_t *value_r)
{
	bool negative;
	int64_t value = 0;

	if (number->kind != JSON_SPAN_NUMBER)
		return false;
	negative = number->at[0] == '-';
	for (size_t i = negative; i < number->length; i++) {
		int digit = number->at[i] - '0';

		if (digit < 0 || digit > 9)
			return false;
		/* Downwards: the negative range is the larger one. */
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, digit, &value))
			return false;
	}
	if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
		return false;
	*value_r = value;
	return true;
}

bool json_span_to_bool(const struct json_span *value, bool *value_r)
{
	if (value->kind != JSON_SPAN_TRUE && value->kind != JSON_SPAN_FALSE)
		return false;
	*value_r = value->kind == JSON_SPAN_TRUE;
	return true;
}

/* --- containers ---------------------------------------------------------- */

/* Over a string from its opening quote.  Strings are most of a body: libc's
 * search takes them many bytes at a time. */
static const char *skip_string(const char *at, bool *escaped)
{
	const char *begin = at + 1, *end = begin, *run;

	for (;; end++) {
		end = rawmemchr(end, '"');
		/* It is the end unless an odd run of backslashes is before. */
		for (run = end; run > begin && run[-1] == '\\';)
			run--;
		if (((end - run) & 1) == 0)
			break;
	}
	*escaped = memchr(begin, '\\', (size_t)(end - begin)) != NULL;
	return end + 1;
}

static const char *skip_container(const char *at)
{
	unsigned int open = 0;
	bool escaped;

	for (;;) {
		switch (*at) {
		case '{':
		case '[':
			open++;
			break;
		case '}':
		case ']':
			if (--open == 0)
				return at + 1;
			break;
		case '"':
			at = skip_string(at, &escaped);
			continue;
		default:
			break;
		}
		at++;
	}
}

static const char *skip_space(const char *at)
{
	while (json_is_space(*at))
		at++;
	return at;
}

/* The value that begins at `at`, inside a container. */
static struct json_span value_at(const char *at)
{
	struct json_span value = { .at = at };
	const char *end = at;

	switch (*at) {
	case '{':
		value.kind = JSON_SPAN_OBJECT;
		end = skip_container(at);
		break;
	case '[':
		value.kind = JSON_SPAN_ARRAY;
		end = skip_container(at);
		break;
	case '"':
		value.kind = JSON_SPAN_STRING;
		end = skip_string(at, &value.escaped);
		break;
	case 't':
		value.kind = JSON_SPAN_TRUE;
		end = at + 4;
		break;
	case 'f':
		value.kind = JSON_SPAN_FALSE;
		end = at + 5;
		break;
	case 'n':
		value.kind = JSON_SPAN_NULL;
		end = at + 4;
		break;
	default:
		value.kind = JSON_SPAN_NUMBER;
		while (*end != ',' && *end != '}' && *end != ']' &&
		       !json_is_space(*end))
			end++;
		break;
	}
	value.length = (size_t)(end - at);
	return value;
}

struct json_iterator json_iterate(const struct json_span *container)
{
	struct json_iterator none = { NULL };
	const char *first;

	if (container->kind != JSON_SPAN_OBJECT &&
	    container->kind != JSON_SPAN_ARRAY)
		return none;
	first = skip_space(container->at + 1);
	if (*first == '}' || *first == ']')
		return none;
	return (struct json_iterator){ first };
}

/* Moves on behind a value: to the one after the comma, or to the end. */
static void advance(struct json_iterator *iterator,
		    const struct json_span *value)
{
	const char *at = skip_space(value->at + value->length);

	iterator->at = *at == ',' ? skip_space(at + 1) : NULL;
}

bool json_next_element(struct json_iterator *iterator,
		       struct json_span *element_r)
{
	if (!iterator->at)
		return false;
	*element_r = value_at(iterator->at);
	advance(iterator, element_r);
	return true;
}

bool json_next_member(struct json_iterator *iterator,
		      struct json_member *member_r)
{
	const char *at;

	if (!iterator->at)
		return false;
	member_r->name = value_at(iterator->at);
	at = skip_space(member_r->name.at + member_r->name.length);
	member_r->value = value_at(skip_space(at + 1));
	advance(iterator, &member_r->value);
	return true;
}

struct json_span json_span_member(const struct json_span *object,
				  const char *name)
{
	struct json_iterator iterator = json_iterate(object);
	struct json_member member;

	if (object->kind == JSON_SPAN_OBJECT)
		while (json_next_member(&iterator, &member))
			if (json_span_equals(&member.name, name))
				return member.value;
	return (struct json_span){ .kind = JSON_SPAN_NONE };
}

const struct json_member *json_members_find(const struct json_member *members,
					    size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (json_span_equals(&members[i].name, name))
			return &members[i];
	return NULL;
}
