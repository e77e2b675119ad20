/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "security/key_limits.h"

/* A key's own limits, as the API and the store have them. */

static bool reads(const char *text, struct config_limits *own,
		  const char *wrong_name)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	const char *wrong;
	bool good;

	cr_assert_not_null(value, "%s", text);
	good = key_limits_read(value, own, &wrong);
	if (!good && wrong_name != NULL)
		cr_assert_str_eq(wrong, wrong_name);
	else
		cr_assert_null(wrong);
	json_decref(value);
	return good;
}

Test(key_limits, are_read_and_told)
{
	struct config_limits own;
	const char *wrong;
	json_t *row;

	cr_assert(reads("{\"requests_per_minute\":5,\"concurrent\":0}", &own,
			NULL));
	cr_assert_eq(own.requests_per_minute, 5);
	cr_assert_eq(own.tokens_per_minute, CONFIG_LIMIT_UNSET);
	cr_assert_eq(own.concurrent, 0);
	row = key_limits_row(&own);
	cr_assert_eq(
		json_integer_value(json_object_get(row, "requests_per_minute")),
		5);
	cr_assert(json_is_null(json_object_get(row, "tokens_per_minute")));
	cr_assert(json_is_integer(json_object_get(row, "concurrent")));
	json_decref(row);
	cr_assert(reads("{\"tokens_per_minute\":null}", &own, NULL));
	row = key_limits_row(&own);
	cr_assert(json_is_null(row));
	json_decref(row);
	cr_assert(key_limits_read(NULL, &own, &wrong));
	cr_assert_eq(own.concurrent, CONFIG_LIMIT_UNSET);
	cr_assert(reads("null", &own, NULL));
	cr_assert_eq(own.concurrent, CONFIG_LIMIT_UNSET);
}

Test(key_limits, are_whole_numbers_in_their_range)
{
	struct config_limits own = KEY_LIMITS_NONE;

	cr_assert_not(reads("[]", &own, NULL));
	cr_assert_not(reads("5", &own, NULL));
	cr_assert_not(reads("{\"rpm\":5}", &own, "rpm"));
	cr_assert_not(reads("{\"requests_per_minute\":-1}", &own,
			    "requests_per_minute"));
	cr_assert_not(reads("{\"requests_per_minute\":1.5}", &own,
			    "requests_per_minute"));
	cr_assert_not(reads("{\"tokens_per_minute\":\"5\"}", &own,
			    "tokens_per_minute"));
	cr_assert_not(reads("{\"tokens_per_minute\":1000000001}", &own,
			    "tokens_per_minute"));
	cr_assert_not(reads("{\"concurrent\":1000001}", &own, "concurrent"));
	cr_assert_eq(own.concurrent, CONFIG_LIMIT_UNSET, "set on success only");
}
