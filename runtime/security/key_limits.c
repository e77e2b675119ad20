/* SPDX-License-Identifier: Apache-2.0 */
#include "security/key_limits.h"

#include <stddef.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"

static const struct {
	const char *name;
	size_t offset;
	json_int_t most;
} members[] = {
	{ "requests_per_minute",
	  offsetof(struct config_limits, requests_per_minute),
	  CONFIG_RATE_MAX },
	{ "tokens_per_minute",
	  offsetof(struct config_limits, tokens_per_minute), CONFIG_RATE_MAX },
	{ "concurrent", offsetof(struct config_limits, concurrent),
	  CONFIG_CONCURRENT_MAX },
};

static struct config_limits defaults_now;

static const int64_t *number_at(const struct config_limits *limits, size_t i)
{
	return (const int64_t *)(const void *)((const char *)limits +
					       members[i].offset);
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (strcmp(members[i].name, name) == 0)
			return true;
	return false;
}

bool key_limits_read(const json_t *value, struct config_limits *own_r,
		     const char **wrong_r)
{
	struct config_limits own = KEY_LIMITS_NONE;
	const char *name;
	json_t *number;

	*wrong_r = NULL;
	if (value != NULL && !json_is_null(value) && !json_is_object(value))
		return false;
	json_object_foreach((json_t *)(uintptr_t)value, name, number)
	{
		if (is_known(name))
			continue;
		*wrong_r = name;
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_int_t n;

		number = json_object_get(value, members[i].name);
		if (number == NULL || json_is_null(number))
			continue;
		n = json_integer_value(number);
		*wrong_r = members[i].name;
		if (!json_is_integer(number) || n < 0 || n > members[i].most)
			return false;
		*(int64_t *)(uintptr_t)number_at(&own, i) = n;
	}
	*wrong_r = NULL;
	*own_r = own;
	return true;
}

json_t *key_limits_row(const struct config_limits *own)
{
	json_t *row = json_object();
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		int64_t n = *number_at(own, i);

		any |= n != CONFIG_LIMIT_UNSET;
		json_object_set_new(row, members[i].name,
				    n == CONFIG_LIMIT_UNSET ? json_null()
							    : json_integer(n));
	}
	if (any)
		return row;
	json_decref(row);
	return json_null();
}

void key_limits_set(struct key_limits *limits, const struct config_limits *own)
{
	struct config_limits in_force = limits_of(own, &defaults_now);

	limits->own = *own;
	limiter_set(&limits->limiter, &in_force, os.monotonic_ns());
}

void key_limits_defaults(const struct config_limits *defaults)
{
	defaults_now = *defaults;
}
