/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers: the maximum is kept, a failure changes nothing, and JSON strings
 * are sound whatever goes in.
 */
#include <criterion/criterion.h>

#include <jansson.h>
#include <string.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "failing_memory.h"

Test(core_buffer, appending_keeps_text_ended)
{
	struct buffer b = BUFFER_INIT(1000);

	cr_assert_null(b.bytes);
	cr_assert_eq(buffer_append_text(&b, "one"), ATOM_OK);
	cr_assert_str_eq(b.bytes, "one");
	cr_assert_eq(buffer_append_char(&b, ' '), ATOM_OK);
	cr_assert_eq(buffer_printf(&b, "%s-%d", "two", 3), ATOM_OK);
	cr_assert_eq(buffer_append_u64(&b, 18446744073709551615ull), ATOM_OK);
	cr_assert_eq(buffer_append_u64(&b, 0), ATOM_OK);
	cr_assert_str_eq(b.bytes, "one two-3184467440737095516150");
	cr_assert_eq(b.length, strlen(b.bytes));
	buffer_consume(&b, 4);
	cr_assert_str_eq(b.bytes, "two-3184467440737095516150");
	buffer_consume(&b, 4000);
	cr_assert_str_eq(b.bytes, "");
	cr_assert_eq(b.length, 0);
	buffer_fini(&b);
}

Test(core_buffer, an_empty_append_gives_an_ended_text)
{
	struct buffer b = BUFFER_INIT(10);

	cr_assert_eq(buffer_append(&b, NULL, 0), ATOM_OK);
	cr_assert_str_eq(b.bytes, "");
	buffer_fini(&b);
	cr_assert_eq(buffer_printf(&b, "%s", ""), ATOM_OK);
	cr_assert_str_eq(b.bytes, "");
	buffer_fini(&b);
	buffer_init(&b, 0);
	cr_assert_eq(buffer_append(&b, NULL, 0), ATOM_ELIMIT);
	buffer_fini(&b);
}

Test(core_buffer, it_takes_exactly_its_maximum)
{
	for (size_t max = 1; max < 300; max += 13) {
		struct buffer b = BUFFER_INIT(max);

		for (size_t i = 0; i < max; i++)
			cr_assert_eq(buffer_append_char(&b, 'x'), ATOM_OK);
		cr_assert_not(b.failed);
		cr_assert_eq(buffer_append_char(&b, 'y'), ATOM_ELIMIT);
		cr_assert_eq(buffer_printf(&b, "%d", 1), ATOM_ELIMIT);
		cr_assert(b.failed);
		cr_assert_eq(b.length, max);
		cr_assert_eq(strlen(b.bytes), max);
		cr_assert_leq(b.capacity, max);
		buffer_clear(&b);
		cr_assert_not(b.failed);
		cr_assert_eq(buffer_append_text(&b, "z"), ATOM_OK);
		buffer_fini(&b);
	}
}

Test(core_buffer, a_failed_append_changes_nothing_but_the_flag)
{
	struct buffer b = BUFFER_INIT(20);

	buffer_append_text(&b, "0123456789");
	cr_assert_eq(buffer_append_text(&b, "0123456789x"), ATOM_ELIMIT);
	cr_assert_eq(buffer_printf(&b, "%020d", 7), ATOM_ELIMIT);
	cr_assert_eq(buffer_append_json(&b, "\n\n\n\n\n\n", 6), ATOM_ELIMIT);
	cr_assert_eq(buffer_append_json_string(&b, "123456789"), ATOM_ELIMIT);
	cr_assert_eq(buffer_reserve(&b, SIZE_MAX), ATOM_ELIMIT);
	cr_assert_str_eq(b.bytes, "0123456789");
	cr_assert_eq(b.length, 10);
	cr_assert(b.failed);
	/* What fits still goes in, and the flag stays for the end. */
	cr_assert_eq(buffer_append_json_string(&b, "12345678"), ATOM_OK);
	cr_assert_str_eq(b.bytes, "0123456789\"12345678\"");
	cr_assert(b.failed);
	buffer_fini(&b);
}

Test(core_buffer, without_memory_nothing_changes)
{
	for (unsigned int n = 1;; n++) {
		struct buffer b = BUFFER_INIT(1 << 20);
		char big[1000] = "";
		size_t length = 0;
		bool whole = true;

		memset(big, 'b', sizeof(big) - 1);
		failing_memory_begin(n);
		for (int i = 0; i < 20; i++) {
			if (buffer_append_text(&b, big) == ATOM_OK)
				length += strlen(big);
			else
				whole = false;
			if (buffer_printf(&b, "%d%s", i % 10, big) == ATOM_OK)
				length += 1 + strlen(big);
			else
				whole = false;
			if (buffer_append_json_string(&b, "\"\n\x01") ==
			    ATOM_OK)
				length += 12;
			else
				whole = false;
		}

		bool failed = failing_memory_end();

		cr_assert_eq(b.length, length);
		cr_assert_eq(b.failed, !whole);
		cr_assert_eq(failed, !whole);
		if (b.bytes)
			cr_assert_eq(strlen(b.bytes), length);
		buffer_fini(&b);
		if (!failed)
			break;
	}
}

Test(core_buffer, taking_moves_the_memory_out)
{
	struct buffer b = BUFFER_INIT(100);
	size_t length = 99;
	char *text = buffer_take(&b, &length);

	cr_assert_str_eq(text, "");
	cr_assert_eq(length, 0);
	mem_free(text);
	buffer_append_text(&b, "mine");
	text = buffer_take(&b, &length);
	cr_assert_str_eq(text, "mine");
	cr_assert_eq(length, 4);
	cr_assert_null(b.bytes);
	cr_assert_eq(b.max, 100);
	mem_free(text);
}

Test(core_buffer, json_strings_escape_what_they_must)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "\"\"" },
		{ "plain text / with 'quotes'",
		  "\"plain text / with 'quotes'\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
		{ "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
		{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		  "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		/* Not UTF-8: a tail alone, overlong, a surrogate, too large,
		 * cut off at the end. */
		{ "a\x80z", "\"a\xef\xbf\xbdz\"" },
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80",
		  "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "x\xe2\x82", "\"x\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "x\xc3", "\"x\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer b = BUFFER_INIT(1000);

		cr_assert_eq(buffer_append_json_string(&b, cases[i].in),
			     ATOM_OK);
		cr_expect_str_eq(b.bytes, cases[i].out, "case %zu: %s", i,
				 b.bytes);
		buffer_fini(&b);
	}
}

/* A generator of our own: the same bytes every time. */
static unsigned int next(unsigned int *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

Test(core_buffer, any_bytes_become_a_string_that_jansson_reads)
{
	unsigned int state = 1;

	for (int round = 0; round < 2000; round++) {
		struct buffer b = BUFFER_INIT(10000);
		char bytes[64];
		size_t length = next(&state) % sizeof(bytes);

		for (size_t i = 0; i < length; i++)
			bytes[i] = (char)(next(&state) % 255 + 1);
		buffer_append_char(&b, '"');
		cr_assert_eq(buffer_append_json(&b, bytes, length), ATOM_OK);
		buffer_append_char(&b, '"');

		json_t *value =
			json_loadb(b.bytes, b.length, JSON_DECODE_ANY, NULL);

		cr_assert(json_is_string(value), "%s", b.bytes);
		json_decref(value);
		buffer_fini(&b);
	}
}
