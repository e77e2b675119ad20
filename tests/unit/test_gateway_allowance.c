/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "gateway/allowance.h"
#include "gateway/token_estimate.h"

/* Times as OpenAI's headers have them; tokens before anybody has counted. */

Test(allowance, times_are_written_as_openai_does)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ -5, "0ms" },
		{ 0, "0ms" },
		{ 1, "1ms" },
		{ 16999999, "17ms" },
		{ 999000000, "999ms" },
		{ 999000001, "1s" },
		{ 1500000000, "1.5s" },
		{ INT64_C(20000000000), "20s" },
		{ INT64_C(59999000000), "59.999s" },
		{ INT64_C(60000000000), "1m0s" },
		{ INT64_C(90951000000), "1m30.951s" },
		{ INT64_C(360000000000), "6m0s" },
		{ INT64_C(3600000000000), "1h0m0s" },
		{ INT64_C(3723040000000), "1h2m3.04s" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[ALLOWANCE_TIME_MAX];

		allowance_time(rows[i].ns, text);
		cr_assert_str_eq(text, rows[i].text);
	}
}

Test(token_estimate, text_is_four_bytes_a_token_rounded_up)
{
	cr_assert_eq(tokens_of_text(0), 0);
	cr_assert_eq(tokens_of_text(1), 1);
	cr_assert_eq(tokens_of_text(4), 1);
	cr_assert_eq(tokens_of_text(5), 2);
	cr_assert_eq(tokens_of_input("", 0), 1, "never for nothing");
	cr_assert_eq(tokens_of_input("[\"hello world\"]", 15), 4);
}

Test(token_estimate, an_image_is_not_counted_by_its_bytes)
{
	static char json[100000];
	size_t n = 0, image = 80000;

	n += (size_t)snprintf(json, sizeof(json),
			      "[{\"text\":\"data:\"},{\"url\":\"data:");
	memset(json + n, 'A', image);
	n += image;
	n += (size_t)snprintf(json + n, sizeof(json) - n, "\"}]");
	cr_assert_eq(tokens_of_input(json, n), TOKENS_OF_IMAGE + 9);
	/* One that does not end, or has no room for its prefix. */
	cr_assert_eq(tokens_of_input(json, n - 3), tokens_of_text(n - 3));
	cr_assert_eq(tokens_of_input(json, 20 + 5000), tokens_of_text(5020));
	/* Long text is text. */
	memset(json, 'x', 8000);
	cr_assert_eq(tokens_of_input(json, 8000), 2000);
}

Test(token_estimate, chunks_are_a_token_each_and_what_is_longer)
{
	struct token_chunks chunks = { 0 };

	cr_assert_eq(tokens_of_chunks(&chunks), 0);
	for (int i = 0; i < 10; i++)
		token_chunks_add(&chunks, 250);
	cr_assert_eq(tokens_of_chunks(&chunks), 10);
	token_chunks_add(&chunks, 250 + 40);
	cr_assert_eq(tokens_of_chunks(&chunks), 11 + 10);
}
