/* SPDX-License-Identifier: Apache-2.0 */
/* Series selectors, as people type them. */
#include <criterion/criterion.h>

#include <string.h>

#include "monitor/selector.h"

static const char *why(const char *text)
{
	static struct atom_error err;
	struct selector s;

	err = (struct atom_error)ATOM_ERROR_INIT;
	return selector_parse(text, &s, &err) == ATOM_OK ? NULL : err.message;
}

Test(selector, names_and_matchers_are_read)
{
	struct selector s;
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(selector_parse("a:b_1", &s, &err), ATOM_OK);
	cr_assert_str_eq(s.name, "a:b_1");
	cr_assert_eq(s.count, 0);
	cr_assert_eq(selector_parse("a { b = \"x\\\"\\\\\\n\" , c!~\"d|e\", "
				    "f!=\"\",g=~\"h\", } ",
				    &s, &err),
		     ATOM_OK, "%s", err.message);
	cr_assert_str_eq(s.name, "a");
	cr_assert_eq(s.count, 4);
	cr_assert_str_eq(s.matchers[0].label, "b");
	cr_assert_str_eq(s.matchers[0].value, "x\"\\\n");
	cr_assert_eq(s.matchers[0].type, ATOM_HISTORY_EQUAL);
	cr_assert_str_eq(s.matchers[1].value, "d|e");
	cr_assert_eq(s.matchers[1].type, ATOM_HISTORY_NOT_MATCHES);
	cr_assert_str_eq(s.matchers[2].value, "");
	cr_assert_eq(s.matchers[2].type, ATOM_HISTORY_NOT_EQUAL);
	cr_assert_eq(s.matchers[3].type, ATOM_HISTORY_MATCHES);
	cr_assert_eq(selector_parse("{a=\"b\"}", &s, &err), ATOM_OK);
	cr_assert_null(s.name);
	cr_assert_eq(s.count, 1);
}

Test(selector, what_is_none_is_refused_with_what_was_found)
{
	static const char *const wrong[] = {
		"",	    " ",	   "1a",	"a b",
		"a{",	    "a{}b",	   "a{b}",	"a{b=c}",
		"a{b=\"c}", "a{b=\"c\\",   "a{=\"c\"}", "a{b=\"c\" d=\"e\"}",
		"a{,}",	    "a{b==\"c\"}",
	};
	char text[SELECTOR_MAX + 1];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert(why(wrong[i]), "%s", wrong[i]);
	cr_assert(strstr(why("a{b=c}"), "found a{b=c}"));
	memset(text, 'a', SELECTOR_MAX);
	text[SELECTOR_MAX] = '\0';
	cr_assert(why(text));
	text[SELECTOR_MAX - 1] = '\0';
	cr_assert_null(why(text));
}

Test(selector, a_backslash_before_an_n_stays_one)
{
	struct selector s;
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(selector_parse("a{b=\"c\\\\n\"}", &s, &err), ATOM_OK);
	cr_assert_str_eq(s.matchers[0].value, "c\\n");
}

Test(selector, seventeen_matchers_are_one_too_many)
{
	char text[SELECTOR_MAX] = "{";

	for (int i = 0; i < ATOM_HISTORY_MATCHERS_MAX; i++)
		strncat(text, "a=\"b\",", sizeof(text) - strlen(text) - 1);
	strncat(text, "}", sizeof(text) - strlen(text) - 1);
	cr_assert_null(why(text));
	text[strlen(text) - 1] = '\0';
	strncat(text, "a=\"b\"}", sizeof(text) - strlen(text) - 1);
	cr_assert(why(text));
}
