/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How alike two answers are: their texts, and the shape of their JSON.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "failing_memory.h"
#include "rollout/likeness.h"

static double texts(const char *a, const char *b)
{
	double there = -1, back = -1;

	cr_assert_eq(likeness_of_texts(a, strlen(a), b, strlen(b), &there),
		     ATOM_OK);
	cr_assert_eq(likeness_of_texts(b, strlen(b), a, strlen(a), &back),
		     ATOM_OK);
	cr_assert_eq(there, back, "'%s' and '%s'", a, b);
	cr_assert(there >= 0 && there <= 1);
	return there;
}

Test(likeness, the_same_words_in_the_same_order_are_alike)
{
	cr_assert_eq(texts("Paris is the capital.", "paris is  the capital"),
		     1);
	cr_assert_eq(texts("", ""), 1);
	cr_assert_eq(texts("...", "  "), 1);
	cr_assert_eq(texts("42", "42."), 1);
	cr_assert_eq(texts("Grüße aus Köln", "Grüße aus Köln!"), 1);
}

Test(likeness, nothing_in_common_is_nothing)
{
	cr_assert_eq(texts("yes", "no"), 0);
	cr_assert_eq(texts("yes", ""), 0);
	cr_assert_eq(texts("one two three", "four five six"), 0);
	/* Words in another order share no pair. */
	cr_assert_eq(texts("a b c", "c b a"), 0);
}

/* By hand: pairs of "^ a b c d $" and of "^ a b x d $" share (^ a), (a b) and
 * (d $), 3 of 5 and 5. */
Test(likeness, one_word_of_four_costs_two_pairs_of_five)
{
	cr_assert_float_eq(texts("a b c d", "a b x d"), 0.6, 1e-12);
	/* A pair that comes twice is in common once: (^ a) (a b) (b $) of 5
	 * and 3. */
	cr_assert_float_eq(texts("a b a b", "a b"), 2.0 * 3 / 8, 1e-12);
}

Test(likeness, what_is_written_without_blanks_has_a_word_a_character)
{
	double one_other = texts("今日は天気がいい", "今日は天気がわるい");

	cr_assert(one_other > 0.5 && one_other < 1, "%g", one_other);
	cr_assert_eq(texts("東京", "大阪"), 0);
	/* Bytes that are no UTF-8 are parts of words like any other. */
	cr_assert_eq(texts("\xff\xfe x", "\xff\xfe x"), 1);
	cr_assert(texts("\xff\xfe x", "\xff x") < 1);
}

Test(likeness, a_long_text_costs_no_more_than_its_first_words)
{
	size_t size = (size_t)4 * 1024 * 1024;
	char *a = mem_alloc(size), *b = mem_alloc(size);
	double alike = 0;

	cr_assert(a != NULL && b != NULL);
	memset(a, 'w', size);
	for (size_t i = 1; i < size; i += 2)
		a[i] = ' ';
	memcpy(b, a, size);
	/* Behind the last word that is read. */
	memset(b + size / 2, 'x', size / 2);
	cr_assert_eq(likeness_of_texts(a, size, b, size, &alike), ATOM_OK);
	cr_assert_eq(alike, 1);
	mem_free(a);
	mem_free(b);
}

Test(likeness, without_memory_it_says_so)
{
	double alike = 7;

	failing_memory_begin(1);
	cr_assert_eq(likeness_of_texts("a", 1, "b", 1, &alike), ATOM_ENOMEM);
	cr_assert(failing_memory_end());
	cr_assert_eq(alike, 7);
}

static struct json_span value_of(const char *text)
{
	struct json_scan_error error;
	struct json_span value;

	cr_assert_eq(json_scan_value(text, strlen(text), JSON_SCAN_DEPTH_MAX,
				     &value, &error),
		     ATOM_OK, "%s", text);
	return value;
}

static enum likeness_shape shapes(const char *a, const char *b)
{
	struct json_span x = value_of(a), y = value_of(b);

	cr_assert_eq(likeness_of_shapes(&x, &y), likeness_of_shapes(&y, &x));
	return likeness_of_shapes(&x, &y);
}

Test(likeness, a_shape_is_names_and_kinds_at_every_level)
{
	static const char *const same[][2] = {
		{ "{\"a\":1,\"b\":\"x\"}", "{\"b\":\"y\",\"a\":2.5}" },
		{ "[true,1]", "[false,2]" },
		{ "[]", "[{\"a\":1}]" },
		{ "[1]", "[1,2,3]" },
		{ "{\"a\":{\"b\":[{\"c\":null}]}}",
		  "{ \"a\" : { \"b\" : [ {\"c\":null}, {\"c\":null} ] } }" },
		{ "{\"\\u0061\":1}", "{\"a\":1}" },
	};
	static const char *const other[][2] = {
		{ "{\"a\":1}", "{\"a\":\"1\"}" },
		{ "{\"a\":1}", "{\"b\":1}" },
		{ "{\"a\":1}", "{\"a\":1,\"b\":1}" },
		{ "{\"a\":null}", "{\"a\":1}" },
		{ "[1,\"x\"]", "[1,2]" },
		{ "{\"a\":{\"b\":[{\"c\":1}]}}",
		  "{\"a\":{\"b\":[{\"d\":1}]}}" },
		{ "{}", "[]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		cr_assert_eq(shapes(same[i][0], same[i][1]), LIKENESS_SAME,
			     "%s %s", same[i][0], same[i][1]);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		cr_assert_eq(shapes(other[i][0], other[i][1]), LIKENESS_DIFFERS,
			     "%s %s", other[i][0], other[i][1]);
}

/* Members are looked for one by one, which is work that grows with the square
 * of an object: bounded, and told. */
Test(likeness, a_huge_object_is_not_compared)
{
	struct buffer text = BUFFER_INIT((size_t)1 << 20);

	buffer_append_char(&text, '{');
	for (int i = 0; i < 5000; i++) {
		char member[40];

		(void)snprintf(member, sizeof(member), "%s\"m%d\":%d",
			       i > 0 ? "," : "", i, i);
		buffer_append_text(&text, member);
	}
	buffer_append_char(&text, '}');
	cr_assert(!text.failed);
	cr_assert_eq(shapes(text.bytes, text.bytes), LIKENESS_UNKNOWN);
	buffer_fini(&text);
}
