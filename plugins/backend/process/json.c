/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "json_priv.h"

struct scan {
	const char *at;
	const char *end;
	const char *wrong;
	int depth;
	bool lone_surrogate;
};

static bool wrong(struct scan *s, const char *what)
{
	if (s->wrong == NULL)
		s->wrong = what;
	return false;
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' ||
				  *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

/* --- strings ------------------------------------------------------------- */

static bool scan_escape(struct scan *s)
{
	int32_t unit;

	s->at++;
	if (s->at >= s->end)
		return wrong(s, "a string without an end");
	if (*s->at != 'u') {
		if (strchr("\"\\/bfnrt", *s->at) == NULL || *s->at == '\0')
			return wrong(s, "an unknown escape in a string");
		s->at++;
		return true;
	}
	s->at++;
	unit = json_escape_unit(s->at, s->end);
	if (unit < 0)
		return wrong(s, "an unknown escape in a string");
	if (json_is_high(unit) && json_pair_follows(s->at, s->end)) {
		s->at += 10;
		return true;
	}
	if (json_is_high(unit) || json_is_low(unit))
		s->lone_surrogate = true;
	s->at += 4;
	return true;
}

/* RFC 3629: no overlong form, no surrogate, nothing beyond U+10FFFF. */
static bool scan_utf8(struct scan *s)
{
	unsigned char first = (unsigned char)*s->at;
	unsigned char low = 0x80, high = 0xbf;
	int more;

	if (first >= 0xc2 && first <= 0xdf) {
		more = 1;
	} else if (first >= 0xe0 && first <= 0xef) {
		more = 2;
		low = first == 0xe0 ? 0xa0 : 0x80;
		high = first == 0xed ? 0x9f : 0xbf;
	} else if (first >= 0xf0 && first <= 0xf4) {
		more = 3;
		low = first == 0xf0 ? 0x90 : 0x80;
		high = first == 0xf4 ? 0x8f : 0xbf;
	} else {
		return wrong(s, "bytes that are not UTF-8");
	}
	for (s->at++; more > 0; more--, s->at++) {
		if (s->at >= s->end || (unsigned char)*s->at < low ||
		    (unsigned char)*s->at > high)
			return wrong(s, "bytes that are not UTF-8");
		low = 0x80;
		high = 0xbf;
	}
	return true;
}

static bool scan_string(struct scan *s, struct json_value *v)
{
	v->kind = JSON_STRING;
	s->at++;
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at;

		if (c == '"') {
			s->at++;
			return true;
		}
		if (c == '\\') {
			v->escaped = true;
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return wrong(s, "a control byte in a string");
		} else if (c < 0x80) {
			s->at++;
		} else if (!scan_utf8(s)) {
			return false;
		}
	}
	return wrong(s, "a string without an end");
}

/* --- numbers and words --------------------------------------------------- */

static bool scan_digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > from ? true : wrong(s, "a broken number");
}

static bool scan_number(struct scan *s, struct json_value *v)
{
	v->kind = JSON_NUMBER;
	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0')
		s->at++;
	else if (!scan_digits(s))
		return false;
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!scan_digits(s))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (!scan_digits(s))
			return false;
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word, enum json_kind kind,
		      struct json_value *v)
{
	size_t length = strlen(word);

	if ((size_t)(s->end - s->at) < length ||
	    memcmp(s->at, word, length) != 0)
		return wrong(s, "something that is no JSON");
	v->kind = kind;
	s->at += length;
	return true;
}

/* --- containers ---------------------------------------------------------- */

static bool scan_value(struct scan *s, struct json_value *v);

static bool scan_array(struct scan *s, struct json_value *v)
{
	struct json_value element;

	v->kind = JSON_ARRAY;
	s->at++;
	skip_blanks(s);
	if (s->at < s->end && *s->at == ']') {
		s->at++;
		return true;
	}
	for (;;) {
		if (!scan_value(s, &element))
			return false;
		skip_blanks(s);
		if (s->at >= s->end || (*s->at != ',' && *s->at != ']'))
			return wrong(s, "an array without an end");
		if (*s->at++ == ']')
			return true;
	}
}

static bool scan_member(struct scan *s, struct json_member *member)
{
	skip_blanks(s);
	if (s->at >= s->end || *s->at != '"')
		return wrong(s, "an object's member without a name");
	member->name = (struct json_value){ .at = s->at };
	if (!scan_string(s, &member->name))
		return false;
	member->name.length = (size_t)(s->at - member->name.at);
	skip_blanks(s);
	if (s->at >= s->end || *s->at != ':')
		return wrong(s, "an object's member without a value");
	s->at++;
	return scan_value(s, &member->value);
}

/* `object` is NULL for one within the line. */
static bool scan_object(struct scan *s, struct json_object *object)
{
	s->at++;
	skip_blanks(s);
	if (s->at < s->end && *s->at == '}') {
		s->at++;
		return true;
	}
	for (;;) {
		struct json_member member;

		if (!scan_member(s, &member))
			return false;
		if (object != NULL && object->count == JSON_MEMBERS_MAX)
			return wrong(s, "an object with too many members");
		if (object != NULL)
			object->members[object->count++] = member;
		skip_blanks(s);
		if (s->at >= s->end || (*s->at != ',' && *s->at != '}'))
			return wrong(s, "an object without an end");
		if (*s->at++ == '}')
			return true;
	}
}

static bool scan_any(struct scan *s, struct json_value *v)
{
	switch (*s->at) {
	case '{':
		v->kind = JSON_OBJECT;
		return scan_object(s, NULL);
	case '[':
		return scan_array(s, v);
	case '"':
		return scan_string(s, v);
	case 't':
		return scan_word(s, "true", JSON_TRUE, v);
	case 'f':
		return scan_word(s, "false", JSON_FALSE, v);
	case 'n':
		return scan_word(s, "null", JSON_NULL, v);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return scan_number(s, v);
	default:
		return wrong(s, "something that is no JSON");
	}
}

static bool scan_value(struct scan *s, struct json_value *v)
{
	bool sound;

	skip_blanks(s);
	if (s->at >= s->end)
		return wrong(s, "a missing value");
	if (s->depth == JSON_DEPTH_MAX)
		return wrong(s, "values that are nested too deeply");
	*v = (struct json_value){ .at = s->at };
	s->depth++;
	sound = scan_any(s, v);
	s->depth--;
	v->length = (size_t)(s->at - v->at);
	return sound;
}

/* --- the whole ----------------------------------------------------------- */

const char *json_read_object(const char *text, size_t length,
			     struct json_object *object_r)
{
	struct scan s = { .at = text, .end = text + length, .depth = 1 };

	object_r->count = 0;
	skip_blanks(&s);
	if (s.at >= s.end || *s.at != '{') {
		struct json_value value;

		return scan_value(&s, &value) ? "a value that is no object"
					      : "something that is no JSON";
	}
	if (scan_object(&s, object_r)) {
		skip_blanks(&s);
		if (s.at < s.end)
			(void)wrong(&s, "something behind the object");
	}
	object_r->lone_surrogate = s.lone_surrogate;
	return s.wrong;
}

bool json_next_element(const struct json_value *array, size_t *at,
		       struct json_value *element_r)
{
	struct scan s = { .at = NULL };

	if (array->kind != JSON_ARRAY)
		return false;
	s.at = array->at + (*at == 0 ? 1 : *at);
	s.end = array->at + array->length - 1;
	skip_blanks(&s);
	if (s.at < s.end && *s.at == ',')
		s.at++;
	skip_blanks(&s);
	if (s.at >= s.end || !scan_value(&s, element_r))
		return false;
	*at = (size_t)(s.at - array->at);
	return true;
}
