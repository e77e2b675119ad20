/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the parts are: none is left out, whatever went wrong with it.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "core/health.h"
#include "core/log.h"

static void be_quiet(void)
{
	log_set_descriptor(-1);
}

TestSuite(core_health, .init = be_quiet, .fini = health_fini);

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

Test(core_health, a_part_is_listed_whatever_its_error_holds)
{
	json_t *list, *steps;

	health_report("paths", HEALTH_FAILED, false, "open /srv/caf\xe9: no");
	health_report("words", HEALTH_DEGRADED, false, "caf\xc3\xa9\nand more");
	health_step("first", false, "\xff");
	list = health_components();
	cr_assert_eq(json_array_size(list), 2);
	cr_assert_str_eq(text_of(json_array_get(list, 0), "last_error"),
			 "open /srv/caf?: no");
	cr_assert_str_eq(text_of(json_array_get(list, 1), "last_error"),
			 "caf\xc3\xa9\nand more");
	steps = health_initialization();
	cr_assert_str_eq(text_of(json_object_get(steps, "first"), "details"),
			 "?");
	json_decref(list);
	json_decref(steps);
}

Test(core_health, a_long_error_is_cut_and_listed)
{
	char text[1001] = "";
	const char *told;
	json_t *list;

	for (size_t i = 0; i < 500; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 3);
	health_report("long", HEALTH_FAILED, true, text);
	list = health_components();
	cr_assert_eq(json_array_size(list), 1);
	told = text_of(json_array_get(list, 0), "last_error");
	cr_assert_eq(strlen(told), 511);
	cr_assert_eq(told[510], '?');
	json_decref(list);
}
