/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON scanner: what is sound and what is refused, where; and what the
 * readers of its spans give back.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json_scan.h"

/* The text in memory of exactly its length, so that a sanitizer sees a read
 * behind its end. */
static atom_status scan(const char *text, size_t length,
			struct json_scan_error *error)
{
	char *copy = malloc(length ? length : 1);
	struct json_span value;
	atom_status status;

	cr_assert(copy);
	memcpy(copy, text, length);
	status = json_scan_value(copy, length, 64, &value, error);
	free(copy);
	return status;
}

/* A text, which may hold NULs, and its length. */
#define RAW(text) text, sizeof(text) - 1

Test(json_scan, each_byte_is_seen_at_each_place_of_a_string)
{
	struct json_scan_error error;
	char text[64];

	for (int length = 0; length < 40; length++)
		for (int place = 0; place < length; place++)
			for (int byte = 0; byte < 256; byte++) {
				bool plain = byte >= ' ' && byte < 0x80 &&
					     byte != '"' && byte != '\\';
				int n = snprintf(text, sizeof(text), "\"%0*d\"",
						 length, 0);

				text[1 + place] = (char)byte;
				cr_assert_eq(scan(text, (size_t)n, &error) ==
						     ATOM_OK,
					     plain, "byte %d at %d of %d", byte,
					     place, length);
			}
}

Test(json_scan, sound_texts_are_accepted)
{
	static const struct {
		const char *text;
		size_t length;
	} texts[] = {
		{ RAW("{}") },
		{ RAW("[]") },
		{ RAW("null") },
		{ RAW("true") },
		{ RAW("false") },
		{ RAW("\"\"") },
		{ RAW("0") },
		{ RAW("-0") },
		{ RAW("-12.50e+10") },
		{ RAW("1E5") },
		{ RAW("1e-5") },
		{ RAW("123456789012345678901234567890") },
		{ RAW(" \t\r\n[ 1 , 2 ] \n") },
		{ RAW("[[],{},[[]],{\"\":{}}]") },
		{ RAW("{\"a\":1,\"b\":{\"a\":2,\"a\":3}}") },
		{ RAW("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uFFFF\"") },
		{ RAW("\"\\ud83d\\ude00\"") },
		{ RAW("\"\\uD800\\uDC00\\udbff\\udfff\"") },
		{ RAW("\"\xc2\x80\xdf\xbf\"") },
		{ RAW("\"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\"") },
		{ RAW("\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"") },
		{ RAW("\"0123456789abcdef\x7f\"") },
		{ RAW("\"aaaaaaa\\\\aaaaaaaaaaaaaaa\\\"aaaa\"") },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_scan_error error = { 0, "" };

		cr_expect_eq(scan(texts[i].text, texts[i].length, &error),
			     ATOM_OK, "%s: %s at %zu", texts[i].text,
			     error.what, error.offset);
	}
}

Test(json_scan, faulty_texts_are_refused_where_the_fault_is)
{
	static const struct {
		const char *text;
		size_t length;
		size_t offset;
	} texts[] = {
		{ RAW(""), 0 },
		{ RAW("   "), 3 },
		{ RAW("\xef\xbb\xbf{}"), 0 },
		{ RAW("\0"), 0 },
		{ RAW("nul"), 0 },
		{ RAW("nulL"), 0 },
		{ RAW("True"), 0 },
		{ RAW("NaN"), 0 },
		{ RAW("Infinity"), 0 },
		{ RAW("'a'"), 0 },
		{ RAW("{} {}"), 3 },
		{ RAW("{}\0"), 2 },
		{ RAW("1 2"), 2 },
		{ RAW("truefalse"), 4 },
		{ RAW("[1,]"), 3 },
		{ RAW("[,1]"), 1 },
		{ RAW("[1 2]"), 3 },
		{ RAW("[1"), 2 },
		{ RAW("["), 1 },
		{ RAW("]"), 0 },
		{ RAW("[}"), 1 },
		{ RAW("[1}"), 2 },
		{ RAW("{"), 1 },
		{ RAW("{]"), 1 },
		{ RAW("{1:2}"), 1 },
		{ RAW("{a:2}"), 1 },
		{ RAW("{\"a\"}"), 4 },
		{ RAW("{\"a\":}"), 5 },
		{ RAW("{\"a\":1,}"), 7 },
		{ RAW("{\"a\":1]"), 6 },
		{ RAW("{\"a\" 1}"), 5 },
		{ RAW("{\"a\":1 \"b\":2}"), 7 },
		{ RAW("// a\n1"), 0 },
		{ RAW("[1/* */]"), 2 },
		{ RAW("01"), 1 },
		{ RAW("-01"), 2 },
		{ RAW("+1"), 0 },
		{ RAW(".5"), 0 },
		{ RAW("1."), 2 },
		{ RAW("1.e5"), 2 },
		{ RAW("1e"), 2 },
		{ RAW("1e+"), 3 },
		{ RAW("-"), 1 },
		{ RAW("--1"), 1 },
		{ RAW("0x10"), 1 },
		{ RAW("1_000"), 1 },
		{ RAW("\""), 1 },
		{ RAW("\"abc"), 4 },
		{ RAW("\"abc\\\""), 6 },
		{ RAW("\"a\nb\""), 2 },
		{ RAW("\"a\tb\""), 2 },
		{ RAW("\"a\0b\""), 2 },
		{ RAW("\"0123456789abcdef\x1f\""), 17 },
		{ RAW("\"\\a\""), 2 },
		{ RAW("\"\\'\""), 2 },
		{ RAW("\"\\x41\""), 2 },
		{ RAW("\"\\u12\""), 3 },
		{ RAW("\"\\u12g4\""), 3 },
		{ RAW("\"\\u 123\""), 3 },
		{ RAW("\"\\U0041\""), 2 },
		{ RAW("\"\\ud800\""), 7 },
		{ RAW("\"\\ud800a\""), 7 },
		{ RAW("\"\\ud800\\n\""), 7 },
		{ RAW("\"\\udc00\""), 7 },
		{ RAW("\"\\udc00\\ud800\""), 7 },
		{ RAW("\"\\ud800\\ud800\""), 13 },
		{ RAW("\"\\ud800\\u0041\""), 13 },
		{ RAW("\"\x80\""), 1 },
		{ RAW("\"\xc0\x80\""), 1 },
		{ RAW("\"\xc1\xbf\""), 1 },
		{ RAW("\"\xc3\""), 1 },
		{ RAW("\"\xc3"), 1 },
		{ RAW("\"\xe0\x9f\xbf\""), 1 },
		{ RAW("\"\xe2\x82\""), 1 },
		{ RAW("\"\xed\xa0\x80\""), 1 },
		{ RAW("\"\xf0\x8f\xbf\xbf\""), 1 },
		{ RAW("\"\xf4\x90\x80\x80\""), 1 },
		{ RAW("\"\xf5\x80\x80\x80\""), 1 },
		{ RAW("\"\xff\""), 1 },
		{ RAW("\"abcdefgh\xe2\x82\xac\xe2\x28\xa1\""), 12 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_scan_error error = { 9999, NULL };

		cr_expect_eq(scan(texts[i].text, texts[i].length, &error),
			     ATOM_EINVAL, "%s", texts[i].text);
		cr_expect_eq(error.offset, texts[i].offset,
			     "%s: offset %zu, expected %zu (%s)", texts[i].text,
			     error.offset, texts[i].offset, error.what);
		cr_expect(error.what);
	}
}

Test(json_scan, every_proper_beginning_of_an_object_is_refused)
{
	static const char text[] =
		"{\"a\": [1, -2.5e3, \"x\\u00e9\\ud83d\\ude00\xc3\xa9\"], "
		"\"b\" : {\"c\": null, \"d\": [true, false]}}";

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct json_scan_error error;

		cr_expect_eq(scan(text, n, &error), ATOM_EINVAL,
			     "first %zu bytes", n);
		cr_expect_leq(error.offset, n);
	}
}

static atom_status scan_nested(unsigned int depth, char open, char close,
			       unsigned int depth_max)
{
	char text[256];
	struct json_span value;
	struct json_scan_error error;

	memset(text, open, depth);
	memset(text + depth, close, depth);
	return json_scan_value(text, 2 * depth, depth_max, &value, &error);
}

Test(json_scan, nesting_is_bounded)
{
	cr_expect_eq(scan_nested(64, '[', ']', 64), ATOM_OK);
	cr_expect_eq(scan_nested(65, '[', ']', 64), ATOM_ELIMIT);
	cr_expect_eq(scan_nested(65, '[', ']', 1000), ATOM_ELIMIT);
	cr_expect_eq(scan_nested(3, '[', ']', 3), ATOM_OK);
	cr_expect_eq(scan_nested(4, '[', ']', 3), ATOM_ELIMIT);
}

Test(json_scan, the_top_level_object_counts_as_a_level)
{
	struct json_member members[2];
	struct json_scan_error error;
	size_t count;

	cr_expect_eq(json_scan_object("{\"a\":[]}", 8, 2, members, 2, &count,
				      &error),
		     ATOM_OK);
	cr_expect_eq(json_scan_object("{\"a\":[]}", 8, 1, members, 2, &count,
				      &error),
		     ATOM_ELIMIT);
	cr_expect_eq(json_scan_object("{}", 2, 0, members, 2, &count, &error),
		     ATOM_ELIMIT);
}

#define MEMBERS 8

static struct json_member members[MEMBERS];
static size_t member_count;
static struct json_scan_error failure;

static atom_status scan_object(const char *text)
{
	member_count = 999;
	return json_scan_object(text, strlen(text), 64, members, MEMBERS,
				&member_count, &failure);
}

static void expect_span(const struct json_span *span, enum json_span_kind kind,
			const char *text)
{
	cr_expect_eq(span->kind, kind, "%s", text);
	cr_expect(span->length == strlen(text) &&
			  memcmp(span->at, text, span->length) == 0,
		  "got %.*s, expected %s", (int)span->length, span->at, text);
}

Test(json_scan, members_are_found_where_they_stand)
{
	const struct json_member *m;

	cr_assert_eq(scan_object(" { \"model\" : \"x\" , \"n\":-1.5,"
				 "\"list\":[1,{\"a\":[]}],\"t\":true,"
				 "\"f\":false,\"z\":null,\"o\":{ } } "),
		     ATOM_OK);
	cr_assert_eq(member_count, 7);
	expect_span(&members[0].name, JSON_SPAN_STRING, "\"model\"");
	expect_span(&members[0].value, JSON_SPAN_STRING, "\"x\"");
	expect_span(&members[1].value, JSON_SPAN_NUMBER, "-1.5");
	expect_span(&members[2].value, JSON_SPAN_ARRAY, "[1,{\"a\":[]}]");
	expect_span(&members[3].value, JSON_SPAN_TRUE, "true");
	expect_span(&members[4].value, JSON_SPAN_FALSE, "false");
	expect_span(&members[5].value, JSON_SPAN_NULL, "null");
	expect_span(&members[6].value, JSON_SPAN_OBJECT, "{ }");
	m = json_members_find(members, member_count, "list");
	cr_expect_eq(m, &members[2]);
	cr_expect_null(json_members_find(members, member_count, "lis"));
	cr_expect_null(json_members_find(members, member_count, "listx"));
}

Test(json_scan, names_are_found_by_what_they_read)
{
	cr_assert_eq(scan_object("{\"\\u006dod\\u0065l\":1,\"a\\/b\":2}"),
		     ATOM_OK);
	cr_expect_eq(json_members_find(members, 2, "model"), &members[0]);
	cr_expect_eq(json_members_find(members, 2, "a/b"), &members[1]);
}

Test(json_scan, a_name_may_stand_once_however_it_is_spelt)
{
	static const char *const texts[] = {
		"{\"a\":1,\"a\":2}",
		"{\"a\":1,\"b\":2,\"\\u0061\":3}",
		"{\"\\u0061\":1,\"a\":2}",
		"{\"\\u0061\\u0062\":1,\"\\u0061b\":2}",
		"{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}",
		"{\"\\n\\u000a\":1,\"\\u000A\\n\":2}",
		"{\"\":1,\"\":2}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_expect_eq(scan_object(texts[i]), ATOM_EINVAL, "%s",
			     texts[i]);
		cr_expect_str_eq(failure.what, "duplicate member name");
	}
	cr_expect_eq(scan_object("{\"a\":1,\"ab\":2,\"A\":3,\"\\u0000\":4,"
				 "\"a\\u0000\":5}"),
		     ATOM_OK);
	cr_expect_eq(scan_object("{\"\\u0061b\":1,\"\\u0061\":2,"
				 "\"\\u0061bc\":3}"),
		     ATOM_OK);
}

Test(json_scan, other_values_than_an_object_are_refused)
{
	cr_expect_eq(scan_object("[]"), ATOM_EINVAL);
	cr_expect_eq(scan_object("1"), ATOM_EINVAL);
	cr_expect_eq(scan_object(""), ATOM_EINVAL);
	cr_expect_str_eq(failure.what, "object expected");
	cr_expect_eq(member_count, 999);
}

Test(json_scan, members_beyond_the_room_are_a_limit)
{
	cr_expect_eq(scan_object("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,"
				 "\"6\":1,\"7\":1,\"8\":1}"),
		     ATOM_OK);
	cr_expect_eq(scan_object("{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,"
				 "\"6\":1,\"7\":1,\"8\":1,\"9\":1}"),
		     ATOM_ELIMIT);
	cr_expect_str_eq(failure.what, "too many members");
}

static struct json_span value_of(const char *text)
{
	struct json_span value = { .kind = JSON_SPAN_NONE };
	struct json_scan_error error = { 0, "" };

	cr_assert_eq(json_scan_value(text, strlen(text), 64, &value, &error),
		     ATOM_OK, "%s: %s", text, error.what);
	return value;
}

Test(json_span, strings_are_decoded)
{
	struct json_span value = value_of(
		"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00z\"");
	struct buffer out = BUFFER_INIT(100);
	char text[64];

	cr_assert(json_span_to_text(&value, text, sizeof(text)));
	cr_expect_str_eq(text, "a\"\\/\b\f\n\r\t\xc3\xa9\xe2\x82\xac"
			       "\xf0\x9f\x98\x80z");
	cr_assert_eq(json_span_append(&value, &out), ATOM_OK);
	cr_expect(out.length == strlen(text) &&
		  memcmp(out.bytes, text, out.length) == 0);
	cr_expect(json_span_equals(&value, text));
	buffer_fini(&out);
}

Test(json_span, halves_of_pairs_pass_in_pieces_alone)
{
	static const char text[] = "[\"\\ud83d\",\"\\ude00\",\"\\ud83d\\n\","
				   "\"\\ud83d\\ud83d\\ude00\"]";
	static const char *const read[] = {
		"\xef\xbf\xbd",
		"\xef\xbf\xbd",
		"\xef\xbf\xbd\n",
		"\xef\xbf\xbd\xf0\x9f\x98\x80",
	};
	struct json_scan_error error;
	struct json_span value, element;
	struct json_iterator all;

	cr_assert_eq(json_scan_value(text, strlen(text), 8, &value, &error),
		     ATOM_EINVAL);
	cr_assert_eq(json_scan_piece(text, strlen(text), 8, &value, &error),
		     ATOM_OK);
	all = json_iterate(&value);
	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++) {
		cr_assert(json_next_element(&all, &element));
		cr_expect(json_span_equals(&element, read[i]), "%zu", i);
	}
	cr_assert_eq(json_scan_piece(RAW("\"\\ud83\""), 8, &value, &error),
		     ATOM_EINVAL);
}

Test(json_span, strings_that_do_not_fit_are_refused_whole)
{
	struct json_span value = value_of("\"ab\\u00e9\"");
	char text[5] = "____";

	cr_expect(json_span_to_text(&value, text, 5));
	cr_expect_not(json_span_to_text(&value, text, 4));
	cr_expect_str_eq(text, "");
	cr_expect_not(json_span_to_text(&value, text, 0));
	value = value_of("\"\"");
	cr_expect(json_span_to_text(&value, text, 1));
	value = value_of("\"a\\u0000b\"");
	cr_expect_not(json_span_to_text(&value, text, 5));
	value = value_of("1");
	cr_expect_not(json_span_to_text(&value, text, 5));
}

Test(json_span, integers_are_exact_or_refused)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "42", true, 42 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "1.0", false, 0 },
		{ "1e2", false, 0 },
		{ "\"1\"", false, 0 },
		{ "null", false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_span span = value_of(cases[i].text);
		int64_t value = 7;

		cr_expect_eq(json_span_to_int(&span, &value), cases[i].ok, "%s",
			     cases[i].text);
		cr_expect_eq(value, cases[i].ok ? cases[i].value : 7, "%s",
			     cases[i].text);
	}
}

Test(json_span, booleans_are_true_and_false_alone)
{
	struct json_span span = value_of("true");
	bool value = false;

	cr_expect(json_span_to_bool(&span, &value) && value);
	span = value_of("false");
	cr_expect(json_span_to_bool(&span, &value) && !value);
	span = value_of("0");
	cr_expect_not(json_span_to_bool(&span, &value));
}

Test(json_span, elements_come_in_order)
{
	struct json_span list = value_of(
		" [ 1 ,\"a,]\\\"\" , [2,[3]],{\"x\":\"}\"} ,true,false,null,"
		"-2.5e1 ] ");
	static const struct {
		enum json_span_kind kind;
		const char *text;
	} expected[] = {
		{ JSON_SPAN_NUMBER, "1" },
		{ JSON_SPAN_STRING, "\"a,]\\\"\"" },
		{ JSON_SPAN_ARRAY, "[2,[3]]" },
		{ JSON_SPAN_OBJECT, "{\"x\":\"}\"}" },
		{ JSON_SPAN_TRUE, "true" },
		{ JSON_SPAN_FALSE, "false" },
		{ JSON_SPAN_NULL, "null" },
		{ JSON_SPAN_NUMBER, "-2.5e1" },
	};
	struct json_iterator iterator = json_iterate(&list);
	struct json_span element;
	size_t n = 0;

	while (json_next_element(&iterator, &element)) {
		cr_assert_lt(n, sizeof(expected) / sizeof(expected[0]));
		expect_span(&element, expected[n].kind, expected[n].text);
		n++;
	}
	cr_expect_eq(n, sizeof(expected) / sizeof(expected[0]));
}

Test(json_span, members_come_in_order_and_by_name)
{
	struct json_span object = value_of(
		"{ \"role\" : \"user\" ,\"content\":[{\"type\":\"text\"}],"
		"\"\\u0061\":1}");
	struct json_iterator iterator = json_iterate(&object);
	struct json_member member;
	struct json_span found;

	cr_assert(json_next_member(&iterator, &member));
	expect_span(&member.name, JSON_SPAN_STRING, "\"role\"");
	expect_span(&member.value, JSON_SPAN_STRING, "\"user\"");
	cr_assert(json_next_member(&iterator, &member));
	expect_span(&member.value, JSON_SPAN_ARRAY, "[{\"type\":\"text\"}]");
	cr_assert(json_next_member(&iterator, &member));
	cr_expect(member.name.escaped);
	cr_expect_not(json_next_member(&iterator, &member));

	found = json_span_member(&object, "a");
	expect_span(&found, JSON_SPAN_NUMBER, "1");
	found = json_span_member(&object, "b");
	cr_expect_eq(found.kind, JSON_SPAN_NONE);
	found = value_of("[\"a\",1]");
	cr_expect_eq(json_span_member(&found, "a").kind, JSON_SPAN_NONE);
}

Test(json_span, empty_containers_and_scalars_hold_nothing)
{
	static const char *const texts[] = { "[]", "{ }", "1", "\"[1]\"",
					     "null" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_span span = value_of(texts[i]);
		struct json_iterator iterator = json_iterate(&span);

		cr_expect_not(json_next_element(&iterator, &span));
	}
}
