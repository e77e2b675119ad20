/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON reader of the backend `openai`: what it takes for sound, and what it
 * finds on the way.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/backend/openai/json.h"

/* Walks the text, in memory of exactly its length, to its end; how many members
 * it has, or -1 where it is no sound object. */
static int members(const char *text, size_t length)
{
	char *copy = malloc(length > 0 ? length : 1);
	struct json name, value, object;
	struct json_walk walk;
	int count = 0;

	cr_assert(copy);
	memcpy(copy, text, length);
	walk = json_walk_text(copy, length);
	while (json_next(&walk, &name, &value))
		count++;
	if (!json_walked(&walk, &object))
		count = -1;
	/* Both ways of looking at a whole text agree. */
	cr_assert_eq(json_whole(copy, length, &value) && json_is_object(value),
		     count >= 0, "%.*s", (int)length, text);
	free(copy);
	return count;
}

Test(openai_json, members_are_counted_and_broken_texts_refused)
{
	static const struct {
		const char *text;
		int members;
	} rows[] = {
		{ "{}", 0 },
		{ " { } \n", 0 },
		{ "{\"a\":1}", 1 },
		{ "{\"a\":[{}],\"b\":{\"c\":[]} , \"d\":null}", 3 },
		{ "{\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9\"}", 1 },
		{ "", -1 },
		{ " ", -1 },
		{ "[]", -1 },
		{ "null", -1 },
		{ "{", -1 },
		{ "{,}", -1 },
		{ "{\"a\"}", -1 },
		{ "{\"a\" 1}", -1 },
		{ "{\"a\":}", -1 },
		{ "{\"a\":1", -1 },
		{ "{\"a\":1,}", -1 },
		{ "{\"a\":1 \"b\":2}", -1 },
		{ "{\"a\":1,,\"b\":2}", -1 },
		{ "{\"a\":1]", -1 },
		{ "{\"a\":1}}", -1 },
		{ "{\"a\":1} x", -1 },
		{ "{\"a\":01}", -1 },
		{ "{\"a\":\"\xe2\x82\"}", -1 },
		{ "{\"a\":\"\xe2\x82\xac\xff\"}", -1 },
		{ "{a:1}", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		cr_expect_eq(members(rows[i].text, strlen(rows[i].text)),
			     rows[i].members, "%s", rows[i].text);
}

Test(openai_json, each_byte_is_seen_at_each_place_of_a_string)
{
	char text[96];

	for (int length = 0; length < 40; length++)
		for (int place = 0; place < length; place++)
			for (int byte = 0; byte < 256; byte++) {
				int plain = byte >= ' ' && byte < 0x80 &&
					    byte != '"' && byte != '\\';
				int n = snprintf(text, sizeof(text),
						 "{\"a\":\"%0*d\"}", length, 0);

				text[6 + place] = (char)byte;
				cr_assert_eq(members(text, (size_t)n),
					     plain ? 1 : -1,
					     "byte %d at %d of %d", byte, place,
					     length);
			}
}

Test(openai_json, at_most_64_levels)
{
	char text[256];

	for (int levels = 63; levels <= 66; levels++) {
		int n = snprintf(text, sizeof(text), "{\"a\":");

		memset(text + n, '[', (size_t)levels - 1);
		memset(text + n + levels - 1, ']', (size_t)levels - 1);
		n += 2 * (levels - 1);
		text[n++] = '}';
		cr_expect_eq(members(text, (size_t)n), levels <= 64 ? 1 : -1,
			     "%d levels", levels);
	}
}

Test(openai_json, values_and_the_object_are_spans_of_the_text)
{
	const char *text = "  {\"a\" : [1, 2] ,\"b\":{\"c\":\"d\"}} \n";
	struct json_walk walk = json_walk_text(text, strlen(text));
	struct json name, value, object;

	cr_assert(json_next(&walk, &name, &value));
	cr_expect(json_reads(name, "a"));
	cr_expect_eq(value.length, strlen("[1, 2]"));
	cr_expect_eq(memcmp(value.at, "[1, 2]", value.length), 0);
	cr_assert_not(json_walked(&walk, &object), "before its end");
	cr_assert(json_next(&walk, &name, &value));
	cr_expect(json_reads(json_member(value, "c"), "d"));
	cr_assert_not(json_next(&walk, &name, &value));
	cr_assert(json_walked(&walk, &object));
	cr_expect_eq(object.at, text + 2);
	cr_expect_eq(object.length, strlen(text) - 4);
}

Test(openai_json, a_string_reads_as_its_decoded_text)
{
	static const struct {
		const char *string;
		const char *text;
		int reads;
	} rows[] = {
		{ "\"choices\"", "choices", 1 },
		{ "\"choice\"", "choices", 0 },
		{ "\"choicesx\"", "choices", 0 },
		{ "\"Choices\"", "choices", 0 },
		{ "\"\\u0063hoices\"", "choices", 1 },
		{ "\"\\u0063hoice\"", "choices", 0 },
		{ "\"ch\\noices\"", "ch\noices", 1 },
		{ "\"\"", "", 1 },
		{ "12345", "234", 0 },
		{ "{\"a\":1}", "\"a\":1", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct json string = { rows[i].string,
					     strlen(rows[i].string) };

		cr_expect_eq(json_reads(string, rows[i].text), rows[i].reads,
			     "%s as %s", rows[i].string, rows[i].text);
	}
	cr_expect_not(json_reads((struct json){ NULL, 0 }, ""));
	cr_expect_not(json_reads((struct json){ NULL, 0 }, "a"));
}
