/* SPDX-License-Identifier: Apache-2.0 */
#include "config/value.h"

#include <stdio.h>
#include <string.h>

#include "core/text.h"

/* Text that may stand for a number or a boolean, else NULL. */
static const char *convertible_text(const struct setting *setting)
{
	return setting->type == SETTING_STRING && setting->convertible
		       ? setting->text
		       : NULL;
}

bool value_to_bool(const struct setting *setting, bool *value_r)
{
	const char *text = convertible_text(setting);

	if (setting->type == SETTING_BOOL)
		*value_r = setting->integer != 0;
	else if (text && strcmp(text, "true") == 0)
		*value_r = true;
	else if (text && strcmp(text, "false") == 0)
		*value_r = false;
	else
		return false;
	return true;
}

bool value_to_int(const struct setting *setting, int64_t *value_r)
{
	const char *text = convertible_text(setting);

	if (setting->type == SETTING_INT)
		*value_r = setting->integer;
	else if (text == NULL || !text_to_int(text, value_r))
		return false;
	return true;
}

bool value_to_float(const struct setting *setting, double *value_r)
{
	const char *text = convertible_text(setting);

	if (setting->type == SETTING_FLOAT)
		*value_r = setting->number;
	else if (setting->type == SETTING_INT)
		*value_r = (double)setting->integer;
	else if (text == NULL || !text_to_float(text, value_r))
		return false;
	return true;
}

/* value * unit, unless it would wrap. */
static bool in_unit(int64_t value, int64_t unit, int64_t *value_r)
{
	return unit > 0 && !__builtin_mul_overflow(value, unit, value_r);
}

static bool is_plain_number(const char *text)
{
	int64_t number;

	return text_to_int(text, &number);
}

bool value_to_duration(const struct setting *setting, int64_t unit_ms,
		       int64_t *ms_r)
{
	if (setting->type == SETTING_INT)
		return in_unit(setting->integer, unit_ms, ms_r);
	if (setting->type != SETTING_STRING ||
	    (unit_ms == 0 && is_plain_number(setting->text)))
		return false;
	return text_to_duration(setting->text, unit_ms, ms_r);
}

bool value_to_size(const struct setting *setting, int64_t unit_bytes,
		   int64_t *bytes_r)
{
	int64_t number;

	if (setting->type == SETTING_INT)
		return in_unit(setting->integer, unit_bytes, bytes_r);
	if (setting->type != SETTING_STRING)
		return false;
	if (text_to_int(setting->text, &number))
		return in_unit(number, unit_bytes, bytes_r);
	return text_to_size(setting->text, bytes_r);
}

const char *value_to_text(const struct setting *setting)
{
	return setting->type == SETTING_STRING ? setting->text : NULL;
}

void value_quote(const char *text, char *out, size_t out_size)
{
	size_t length = strlen(text), keep = length;
	size_t i;

	if (length >= out_size) {
		keep = out_size - 4;
		/* Not within a character. */
		while (keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
			keep--;
	}
	for (i = 0; i < keep; i++) {
		unsigned char c = (unsigned char)text[i];

		out[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	for (size_t dots = 0; keep < length && dots < 3; dots++)
		out[i++] = '.';
	out[i] = '\0';
}

void value_describe(const struct setting *setting,
		    char out[VALUE_DESCRIPTION_MAX])
{
	char quoted[48];

	switch (setting->type) {
	case SETTING_BOOL:
		(void)snprintf(out, VALUE_DESCRIPTION_MAX, "the boolean %s",
			       setting->integer ? "true" : "false");
		return;
	case SETTING_INT:
		(void)snprintf(out, VALUE_DESCRIPTION_MAX, "the integer %lld",
			       (long long)setting->integer);
		return;
	case SETTING_FLOAT:
		(void)snprintf(out, VALUE_DESCRIPTION_MAX, "the number %g",
			       setting->number);
		return;
	case SETTING_STRING:
		if (setting->text != setting->raw && setting->secret) {
			(void)snprintf(out, VALUE_DESCRIPTION_MAX,
				       "a secret text");
			return;
		}
		value_quote(setting->text, quoted, sizeof(quoted));
		(void)snprintf(out, VALUE_DESCRIPTION_MAX, "the string \"%s\"",
			       quoted);
		return;
	case SETTING_GROUP:
	case SETTING_LIST:
		(void)snprintf(out, VALUE_DESCRIPTION_MAX, "%s",
			       setting_type_name(setting->type));
		return;
	}
}
