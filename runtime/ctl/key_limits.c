/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "key_limits.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	enum option_id option;
	const char *member;
	const char *unit; /* behind a number */
	const char *what; /* behind "no" */
} rows[] = {
	{ OPTION_RPM, "requests_per_minute", "rpm", "rpm" },
	{ OPTION_TPM, "tokens_per_minute", "tpm", "tpm" },
	{ OPTION_CONCURRENT, "concurrent", "at once", "concurrent" },
};

#define ROW_COUNT (sizeof(rows) / sizeof(*rows))
/* Digits of a number: longer ones the daemon would refuse, too. */
#define DIGITS_MAX 15

static bool is_number(const char *text)
{
	size_t length = strlen(text);
	return length > 0 && length <= DIGITS_MAX &&
	       !text[strspn(text, "0123456789")];
}

bool key_limits_add(struct ctl *ctl, json_t *body)
{
	json_t *limits = json_object();
	for (size_t i = 0; limits && i < ROW_COUNT; i++) {
		const char *text = ctl_option(ctl, rows[i].option);
		if (!text)
			continue;
		if (!is_number(text)) {
			ctl_fail(ctl, CTL_USAGE,
				 "--%s: expected a number, 0 for no limit, "
				 "found '%.60s'",
				 option_rows[rows[i].option].name, text);
			json_decref(limits);
			return false;
		}
		if (json_object_set_new(
			    limits, rows[i].member,
			    json_integer(strtoll(text, NULL, 10)))) {
			json_decref(limits);
			limits = NULL;
		}
	}
	/* Without any the member stays away. */
	if (limits && json_object_size(limits) == 0) {
		json_decref(limits);
		return true;
	}
	if (limits && !json_object_set_new(body, "limits", limits))
		return true;
	ctl_fail_memory(ctl);
	return false;
}

void key_limits_text(const json_t *key, struct text *out)
{
	const json_t *limits = json_object_get(key, "limits");
	text_clear(out);
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const json_t *value = json_object_get(limits, rows[i].member);
		const char *comma = out->length ? ", " : "";
		if (!json_is_integer(value))
			continue;
		if (json_integer_value(value) == 0)
			text_append_format(out, "%sno %s", comma, rows[i].what);
		else
			text_append_format(out, "%s%lld %s", comma,
					   (long long)json_integer_value(value),
					   rows[i].unit);
	}
	if (!out->length)
		text_append_string(out, "default");
}
