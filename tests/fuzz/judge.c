/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <stdlib.h>

#include <jansson.h>

void must_be_json(const char *text, size_t length)
{
	json_error_t error;
	json_t *value = json_loadb(text, length,
				   JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (value == NULL &&
	    json_error_code(&error) != json_error_numeric_overflow &&
	    json_error_code(&error) != json_error_null_byte_in_key &&
	    json_error_code(&error) != json_error_null_character)
		abort();
	json_decref(value);
}

void must_be_utf8(const char *text, size_t length)
{
	json_t *string = json_stringn(text, length);

	if (string == NULL)
		abort();
	json_decref(string);
}
