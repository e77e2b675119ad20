/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of the process backend: what is refused, and what stays as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "plugins/backend/process/json.h"

/* From memory that ends where the text does, so that a read beyond it shows. */
static const char *read_text(const char *text, struct json_object *object)
{
	size_t length = strlen(text);
	char *copy = malloc(length > 0 ? length : 1);
	const char *wrong;

	cr_assert(copy);
	memcpy(copy, text, length);
	wrong = json_read_object(copy, length, object);
	free(copy);
	return wrong;
}

Test(process_json, takes_what_is_sound)
{
	static const char *const sound[] = {
		"{}",
		" { } \r\n",
		"{\"a\":[],\"b\":{},\"c\":\"\",\"d\":0,\"e\":null}",
		"{\"n\":[0,-0,1.5,-1e9,1E+2,0.1e-5,123456789012345678901]}",
		"{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83e\\udd80\"}",
		"{\"s\":\"\x7f \xc2\x80 \xe0\xa0\x80 \xed\x9f\xbf \xf4\x8f\xbf\xbf\"}",
		"{\"t\":[true,false,null,[[[[{}]]]]]}",
	};
	struct json_object object;

	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
		cr_assert_null(read_text(sound[i], &object), "%s", sound[i]);
}

Test(process_json, refuses_what_is_not)
{
	static const char *const broken[] = {
		"",
		" ",
		"{",
		"}",
		"[]",
		"5",
		"null",
		"{}}",
		"{} {}",
		"{a:1}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,\"a\":1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":[1,]}",
		"{\"a\":[1 2]}",
		"{\"a\":01}",
		"{\"a\":+1}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":1e}",
		"{\"a\":-}",
		"{\"a\":0x1}",
		"{\"a\":NaN}",
		"{\"a\":tru}",
		"{\"a\":\"}",
		"{\"a\":\"\\\"}",
		"{\"a\":\"\\",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\\u12g4\"}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\x01\"}",
		"{'a':1}",
		"{\"a\":1//\n}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xe0\x9f\xbf\"}",
		"{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xf4\x90\x80\x80\"}",
		"{\"a\":\"\xf0\x8f\xbf\xbf\"}",
		"{\"a\":\"\xe2\x82",
		"{\"a\":\"\x80\"}",
		"\xef\xbb\xbf{}",
	};
	struct json_object object;

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		cr_assert_not_null(read_text(broken[i], &object), "%s",
				   broken[i]);
}

Test(process_json, every_cut_of_a_line_is_refused)
{
	static const char line[] =
		"{\"op\":\"result\",\"id\":\"0-1\",\"output\":{\"a\":[1,2.5e3,"
		"\"\\ud83e\\udd80\xc3\xa9\"]},\"usage\":null,\"x\":true}";
	struct json_object object;

	for (size_t n = 0; n < sizeof(line) - 1; n++) {
		char *cut = malloc(n + 1);

		cr_assert(cut);
		memcpy(cut, line, n);
		cr_assert_not_null(json_read_object(cut, n, &object), "%zu", n);
		free(cut);
	}
	cr_assert_null(json_read_object(line, sizeof(line) - 1, &object));
}

Test(process_json, nesting_and_members_are_bounded)
{
	struct json_object object;
	char text[4096] = "{\"a\":";
	size_t n = strlen(text);

	memset(text + n, '[', JSON_DEPTH_MAX - 1);
	memset(text + n + JSON_DEPTH_MAX - 1, ']', JSON_DEPTH_MAX - 1);
	memcpy(text + n + 2 * (JSON_DEPTH_MAX - 1), "}", sizeof("}"));
	cr_assert_null(read_text(text, &object));
	memset(text + n, '[', JSON_DEPTH_MAX);
	memset(text + n + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	memcpy(text + n + 2 * JSON_DEPTH_MAX, "}", sizeof("}"));
	cr_assert_str_eq(read_text(text, &object),
			 "values that are nested too deeply");

	n = 1;
	for (int i = 0; i < JSON_MEMBERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "%s\"m%d\":%d", i ? "," : "", i, i);
	memcpy(text + n, "}", sizeof("}"));
	cr_assert_null(json_read_object(text, n + 1, &object));
	cr_assert_eq(object.count, JSON_MEMBERS_MAX);
	memcpy(text + n, ",\"more\":1}", sizeof(",\"more\":1}"));
	cr_assert_not_null(json_read_object(text, n + 10, &object));
}

Test(process_json, members_are_found_by_their_decoded_name)
{
	static const char text[] =
		"{\"\\u006fp\":\"ready\",\"n\":-9223372036854775808,\"n\":1,"
		"\"big\":9223372036854775808,\"max\":9223372036854775807,"
		"\"real\":1.0,\"raw\": [1 , \"x\"] }";
	struct json_object object;
	struct json_value value;
	int64_t number = 5;

	cr_assert_null(json_read_object(text, sizeof(text) - 1, &object));
	value = json_member(&object, "op");
	cr_assert(json_equals(&value, "ready"));
	cr_assert(!json_equals(&value, "read"));
	cr_assert(!json_equals(&value, "ready "));
	/* The first of two counts. */
	value = json_member(&object, "n");
	cr_assert(json_to_integer(&value, &number));
	cr_assert_eq(number, INT64_MIN);
	value = json_member(&object, "max");
	cr_assert(json_to_integer(&value, &number));
	cr_assert_eq(number, INT64_MAX);
	value = json_member(&object, "big");
	cr_assert(!json_to_integer(&value, &number));
	value = json_member(&object, "real");
	cr_assert(!json_to_integer(&value, &number));
	value = json_member(&object, "raw");
	cr_assert_eq(value.kind, JSON_ARRAY);
	cr_assert_eq(value.length, strlen("[1 , \"x\"]"));
	cr_assert_eq(json_member(&object, "none").kind, JSON_NONE);
}

Test(process_json, elements_come_one_after_the_other)
{
	static const char text[] = "{\"a\":[ 1 ,\"two\", [3], {} ],\"b\":[]}";
	static const char *const expected[] = { "1", "\"two\"", "[3]", "{}" };
	struct json_object object;
	struct json_value array, element;
	size_t at = 0, count = 0;

	cr_assert_null(json_read_object(text, sizeof(text) - 1, &object));
	array = json_member(&object, "a");
	while (json_next_element(&array, &at, &element)) {
		cr_assert_lt(count, 4);
		cr_assert_eq(element.length, strlen(expected[count]));
		cr_assert_eq(
			memcmp(element.at, expected[count], element.length), 0);
		count++;
	}
	cr_assert_eq(count, 4);
	at = 0;
	array = json_member(&object, "b");
	cr_assert(!json_next_element(&array, &at, &element));
	array = json_member(&object, "none");
	cr_assert(!json_next_element(&array, &at, &element));
}

Test(process_json, strings_are_decoded)
{
	static const struct {
		const char *text;
		const char *decoded;
		size_t length;
	} strings[] = {
		{ "\"\"", "", 0 },
		{ "\"plain\"", "plain", 5 },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
		{ "\"\\u0041\\u00e9\\u20ac\"", "A\xc3\xa9\xe2\x82\xac", 6 },
		{ "\"\\ud83e\\udd80\"", "\xf0\x9f\xa6\x80", 4 },
		{ "\"a\\u0000b\"", "a\0b", 3 },
		{ "\"\\ud83e\"", "\xef\xbf\xbd", 3 },
	};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		struct json_value value = { .at = strings[i].text,
					    .length = strlen(strings[i].text),
					    .kind = JSON_STRING,
					    .escaped = true };
		char out[64];

		cr_assert_eq(json_decode(&value, out), strings[i].length);
		cr_assert_eq(memcmp(out, strings[i].decoded, strings[i].length),
			     0);
	}
}

Test(process_json, halves_of_pairs_are_marked_in_place)
{
	char text[] =
		"{\"a\":\"\\ud83e\",\"b\":\"\\udd80\\\\ud83e\","
		"\"c\":\"\\ud83e\\udd80\",\"d\":\"\\ud83e\\ud83e\\udd80\"}";
	struct json_object object;

	cr_assert_null(json_read_object(text, strlen(text), &object));
	cr_assert(object.lone_surrogate);
	json_replace_lone_surrogates(text, strlen(text));
	cr_assert_str_eq(text, "{\"a\":\"\\uFFFD\",\"b\":\"\\uFFFD\\\\ud83e\","
			       "\"c\":\"\\ud83e\\udd80\","
			       "\"d\":\"\\uFFFD\\ud83e\\udd80\"}");
	cr_assert_null(json_read_object(text, strlen(text), &object));
	cr_assert(!object.lone_surrogate);
}
