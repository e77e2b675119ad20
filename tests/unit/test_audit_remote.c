/* SPDX-License-Identifier: Apache-2.0 */
/* What the remote audit sinks share: texts, back-off. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "plugins/audit/remote/backoff.h"
#include "plugins/audit/remote/text.h"

static void expect_json(const char *text, size_t length, const char *expected)
{
	char *copy = malloc(length + 1), out[256];
	struct atom_span span;
	size_t used;

	/* From memory that ends where the text does, so that a read beyond it
	 * shows. */
	cr_assert(copy);
	memcpy(copy, text, length);
	span = (struct atom_span){ copy, length };
	used = json_ascii(out, &span);
	cr_assert_leq(used, JSON_STRING_MAX(length));
	cr_assert_eq(used, strlen(expected), "%.*s", (int)used, out);
	cr_assert_arr_eq(out, expected, used, "%.*s", (int)used, out);
	free(copy);
}

Test(audit_text, json_strings_are_ascii)
{
	expect_json("", 0, "\"\"");
	expect_json("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
	expect_json("1\n2\t\x1f\x7f", 6, "\"1\\n2\\u0009\\u001f\\u007f\"");
	expect_json("\0", 1, "\"\\u0000\"");
	expect_json("\xe2\x80\x94 \xf0\x9f\xa6\x80", 8,
		    "\"\\u2014 \\ud83e\\udd80\"");
}

Test(audit_text, what_is_no_utf8_is_replaced)
{
	expect_json("\xff", 1, "\"\\ufffd\"");
	expect_json("a\xc3", 2, "\"a\\ufffd\"");
	expect_json("\xc0\x80", 2, "\"\\ufffd\\ufffd\"");
	expect_json("\xe0\x9f\xbf", 3, "\"\\ufffd\\ufffd\\ufffd\"");
	expect_json("\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"");
	expect_json("\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
	expect_json("\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 10,
		    "\"\\ud7ff\\ue000\\udbff\\udfff\"");
}

Test(audit_text, times_are_rfc_3339)
{
	static const struct {
		int64_t ms;
		const char *text;
	} times[] = {
		/* The first example of RFC 5424 6.2.3.1, in UTC. */
		{ 482196050520, "1985-04-12T23:20:50.520Z" },
		{ 1065910455003, "2003-10-11T22:14:15.003Z" },
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0001-01-01T00:00:00.000Z" },
	};
	char text[TIME_SIZE];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		time_text(text, times[i].ms);
		cr_assert_str_eq(text, times[i].text);
	}
}

Test(audit_backoff, doubles_up_to_its_maximum_with_half_of_it_random)
{
	struct backoff backoff;
	int64_t full = 1000;

	backoff_init(&backoff, 1000, 16000);
	cr_assert_eq(backoff_left(&backoff), 0);
	for (int i = 0; i < 100; i++) {
		int32_t left;

		backoff_failed(&backoff, 0);
		left = backoff_left(&backoff);
		/* A second for a machine that stops in between. */
		cr_assert(left <= full && left >= full / 2 - 1000, "%d of %lld",
			  left, (long long)full);
		full = full < 16000 ? full * 2 : full;
	}
	backoff_succeeded(&backoff);
	cr_assert_eq(backoff_left(&backoff), 0);
}

Test(audit_backoff, waits_as_long_as_the_receiver_asks)
{
	struct backoff backoff;

	backoff_init(&backoff, 10, 20);
	backoff_failed(&backoff, 3600000);
	cr_assert_gt(backoff_left(&backoff), 3000000);
}

Test(audit_backoff, two_of_them_do_not_walk_in_step)
{
	struct backoff a, b;
	int equal = 0;

	backoff_init(&a, 1000000, 100000000);
	backoff_init(&b, 1000000, 100000000);
	for (int i = 0; i < 20; i++) {
		backoff_failed(&a, 0);
		backoff_failed(&b, 0);
		equal += a.due == b.due;
	}
	cr_assert_lt(equal, 10);
}
