/* SPDX-License-Identifier: Apache-2.0 */
/* Which alerts a silence means, and what it may not cost to find out. */
#include <criterion/criterion.h>

#include <string.h>

#include "core/json.h"
#include "monitor/matchers.h"
#include "monitor/pattern.h"

static struct atom_error err;

static json_t *json_of(const char *text)
{
	json_t *value = NULL;

	cr_assert_eq(json_decode(text, strlen(text), &value, &err), ATOM_OK,
		     "%s: %s", text, err.message);
	return value;
}

static atom_status make(const char *text, struct matchers **matchers_r)
{
	json_t *list = json_of(text);
	atom_status status = matchers_new(list, 4, 100, matchers_r, &err);

	json_decref(list);
	return status;
}

static bool hold(const char *text, const char *labels_text)
{
	json_t *labels = json_of(labels_text);
	struct matchers *matchers = NULL;
	bool held;

	cr_assert_eq(make(text, &matchers), ATOM_OK, "%s", err.message);
	held = matchers_hold(matchers, labels);
	matchers_free(&matchers);
	json_decref(labels);
	return held;
}

Test(matchers, all_of_them_hold_or_the_alert_is_another)
{
	const char *two = "[{\"name\":\"a\",\"value\":\"1\"},"
			  "{\"name\":\"b\",\"value\":\"2\"}]";

	cr_assert(hold(two, "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}"));
	cr_assert(!hold(two, "{\"a\":\"1\",\"b\":\"3\"}"));
	cr_assert(!hold(two, "{\"a\":\"1\"}"));
}

Test(matchers, an_expression_means_the_whole_value)
{
	const char *one = "[{\"name\":\"a\",\"value\":\"x|yz*\","
			  "\"regex\":true}]";

	cr_assert(hold(one, "{\"a\":\"x\"}"));
	cr_assert(hold(one, "{\"a\":\"yzz\"}"));
	cr_assert(!hold(one, "{\"a\":\"xy\"}"));
	cr_assert(!hold(one, "{\"a\":\"ayz\"}"));
}

Test(matchers, what_is_not_there_is_the_empty_text)
{
	const char *both = "[{\"name\":\"a\",\"value\":\"1\"},"
			   "{\"name\":\"b\",\"value\":\"\"}]";
	const char *unequal = "[{\"name\":\"a\",\"value\":\"1\"},"
			      "{\"name\":\"b\",\"value\":\"2|3\","
			      "\"regex\":true,\"equal\":false}]";

	cr_assert(hold(both, "{\"a\":\"1\"}"));
	cr_assert(!hold(both, "{\"a\":\"1\",\"b\":\"2\"}"));
	cr_assert(hold(unequal, "{\"a\":\"1\"}"));
	cr_assert(!hold(unequal, "{\"a\":\"1\",\"b\":\"3\"}"));
}

Test(matchers, what_would_silence_everything_is_refused)
{
	static const char *const wrong[] = {
		"[]",
		"{}",
		"[{\"name\":\"a\",\"value\":\"\"}]",
		"[{\"name\":\"a\",\"value\":\".*\",\"regex\":true}]",
		"[{\"name\":\"a\",\"value\":\"x\",\"equal\":false}]",
		"[{\"name\":\"a b\",\"value\":\"x\"}]",
		"[{\"name\":\"\",\"value\":\"x\"}]",
		"[{\"name\":\"a\",\"value\":1}]",
		"[{\"name\":\"a\",\"value\":\"x\",\"regex\":\"yes\"}]",
		"[{\"name\":\"a\",\"value\":\"x\",\"isRegex\":true}]",
		"[{\"name\":\"a\",\"value\":\"x\\u0000y\"}]",
		"[1,2,3,4,5]",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct matchers *matchers = NULL;
		json_t *list = NULL;

		/* A byte 0 may be refused by the reader already. */
		if (json_decode(wrong[i], strlen(wrong[i]), &list, &err) !=
		    ATOM_OK)
			continue;
		cr_assert_eq(matchers_new(list, 4, 100, &matchers, &err),
			     ATOM_EINVAL, "%s", wrong[i]);
		cr_assert_null(matchers);
		json_decref(list);
	}
}

Test(matchers, they_come_back_as_they_were_given)
{
	const char *text = "[{\"equal\":false,\"name\":\"a\",\"regex\":true,"
			   "\"value\":\"x|y\"},{\"equal\":true,\"name\":\"b\","
			   "\"regex\":false,\"value\":\"z\"}]";
	json_t *given = json_of(text), *told;
	struct matchers *matchers = NULL;

	cr_assert_eq(make(text, &matchers), ATOM_OK, "%s", err.message);
	told = matchers_describe(matchers);
	cr_assert(json_equal(given, told));
	matchers_free(&matchers);
	json_decref(told);
	json_decref(given);
}

/* --- expressions ----------------------------------------------------------- */

Test(pattern, what_has_no_bound_is_refused)
{
	static const char *const wrong[] = {
		"a{1,9999}",
		"(a)\\1",
		"a++++",
		"((((a+)+)+)+)",
		"a*?+*",
		"a)|(b",
		"(a",
		"[a",
		"((((((((((((((((((((a",
		/* With 240 bars regcomp() takes seconds. */
		"((a*.a?.)+||||||||||||||||||||||||||||||||||||||||||||)+",
		"(a*)*",
		"(a|)+",
		"(a|b?c*)*",
		"()*",
		"(\\<|a)+",
		"(^|a)*",
		"(a$|$)*",
		"*a",
		"(+a)",
	};
	regex_t pattern;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_assert_eq(pattern_compile("l", wrong[i], &pattern, &err),
			     ATOM_EINVAL, "%s", wrong[i]);
}

Test(pattern, what_stands_in_brackets_or_is_escaped_counts_as_itself)
{
	static const struct {
		const char *pattern, *matches;
	} rows[] = {
		{ "[]{}*+?()]*", "{}*+?()]" },
		{ "[^]a]", "b" },
		{ "[[:alpha:]{]+", "a{b" },
		{ "\\{\\+\\+\\+\\+\\(", "{++++(" },
		{ "((a+b)*c)+", "aababcc" },
		{ "a+b+c+d+e+f+", "abcdef" },
		{ "(a|b)*(c|d)*(e|f)*(g|h)*", "abcdefgh" },
		{ "(a*b|c?d)+", "aabcdd" },
		{ "(a*|b)?", "aa" },
		{ "(\\<a\\w|[|])*", "ab|" },
		{ "(^a|b$|)", "" },
		{ "()", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		regex_t pattern;

		cr_assert_eq(
			pattern_compile("l", rows[i].pattern, &pattern, &err),
			ATOM_OK, "%s: %s", rows[i].pattern, err.message);
		cr_assert_eq(regexec(&pattern, rows[i].matches, 0, NULL, 0), 0,
			     "%s", rows[i].pattern);
		regfree(&pattern);
	}
}
