/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/rules.h"

#define NUMBER_MAX 48

/* --- numbers as Go and Prometheus write them ------------------------------------- */

/* fmt's %v of a float64: the fewest digits that read back as the same, with an
 * exponent below 1e-4 and from 1e21 on. */
static void write_value(double value, char out[NUMBER_MAX])
{
	int precision = 0, exponent;

	if (isnan(value) || isinf(value)) {
		(void)snprintf(out, NUMBER_MAX, "%s",
			       isnan(value) ? "NaN"
			       : value > 0  ? "+Inf"
					    : "-Inf");
		return;
	}
	do
		(void)snprintf(out, NUMBER_MAX, "%.*e", precision, value);
	while (strtod(out, NULL) != value && ++precision < 17);
	exponent = (int)strtol(strchr(out, 'e') + 1, NULL, 10);
	if (exponent >= -4 && exponent < 21)
		(void)snprintf(out, NUMBER_MAX, "%.*f",
			       precision > exponent ? precision - exponent : 0,
			       value);
}

static void write_humanized(double value, char out[NUMBER_MAX])
{
	static const char *const large[] = { "k", "M", "G", "T",
					     "P", "E", "Z", "Y" };
	static const char *const small[] = { "m", "u", "n", "p",
					     "f", "a", "z", "y" };
	const char *prefix = "";

	if (value != 0 && !isnan(value) && !isinf(value)) {
		for (int i = 0; i < 8 && fabs(value) >= 1000; i++) {
			prefix = large[i];
			value /= 1000;
		}
		for (int i = 0; i < 8 && fabs(value) < 1; i++) {
			prefix = small[i];
			value *= 1000;
		}
	}
	(void)snprintf(out, NUMBER_MAX, "%.4g%s", value, prefix);
}

static void write_percentage(double value, char out[NUMBER_MAX])
{
	(void)snprintf(out, NUMBER_MAX, "%.4g%%", value * 100);
}

static void write_duration(double value, char out[NUMBER_MAX])
{
	double whole = fabs(value);
	const char *sign = value < 0 ? "-" : "";
	long long s;

	if (isnan(value) || isinf(value) || whole > 1e15) {
		(void)snprintf(out, NUMBER_MAX, "%.4g", value);
		return;
	}
	s = (long long)whole;
	if (value == 0)
		(void)snprintf(out, NUMBER_MAX, "0s");
	else if (s >= 86400)
		(void)snprintf(out, NUMBER_MAX, "%s%lldd %lldh %lldm %llds",
			       sign, s / 86400, s / 3600 % 24, s / 60 % 60,
			       s % 60);
	else if (s >= 3600)
		(void)snprintf(out, NUMBER_MAX, "%s%lldh %lldm %llds", sign,
			       s / 3600, s / 60 % 60, s % 60);
	else if (s >= 60)
		(void)snprintf(out, NUMBER_MAX, "%s%lldm %llds", sign, s / 60,
			       s % 60);
	else if (s >= 1)
		(void)snprintf(out, NUMBER_MAX, "%s%.4gs", sign, whole);
	else {
		write_humanized(value, out);
		(void)strncat(out, "s", NUMBER_MAX - strlen(out) - 1);
	}
}

/* --- what stands between braces ---------------------------------------------------- */

struct action {
	void (*write)(double value, char out[NUMBER_MAX]); /* $value */
	const char *label; /* $labels.NAME: where the name begins */
	size_t label_length;
};

static const char *skip_blank(const char *at)
{
	return at + strspn(at, " \t");
}

/* `at` is behind "{{"; returns what is behind "}}", or NULL. */
static const char *read_action(const char *at, struct action *action)
{
	static const struct {
		const char *name;
		void (*write)(double value, char out[NUMBER_MAX]);
	} pipes[] = {
		{ "humanizePercentage", write_percentage },
		{ "humanizeDuration", write_duration },
		{ "humanize", write_humanized },
	};

	*action = (struct action){ .write = write_value };
	at = skip_blank(*at == '-' ? at + 1 : at);
	if (strncmp(at, "$labels.", 8) == 0) {
		at += 8;
		action->label = at;
		action->label_length = strspn(
			at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
			    "XYZ0123456789_");
		at += action->label_length;
		if (action->label_length == 0)
			return NULL;
	} else if (strncmp(at, "$value", 6) == 0) {
		at = skip_blank(at + 6);
		if (*at == '|') {
			size_t i = 0;

			at = skip_blank(at + 1);
			while (i < 3 && strncmp(at, pipes[i].name,
						strlen(pipes[i].name)) != 0)
				i++;
			if (i == 3)
				return NULL;
			action->write = pipes[i].write;
			at += strlen(pipes[i].name);
		}
	} else {
		return NULL;
	}
	at = skip_blank(at);
	return strncmp(at, "}}", 2) == 0 ? at + 2 : NULL;
}

atom_status template_check(const char *text, struct atom_error *err)
{
	struct action action;
	const char *at = text;

	while ((at = strstr(at, "{{")) != NULL) {
		const char *end = read_action(at + 2, &action);

		if (end == NULL || at[2] == '-')
			return atom_fail(
				err, ATOM_EINVAL,
				"expected {{ $value }}, {{ $labels.NAME }} or "
				"{{ $value | humanize }}, humanizePercentage, "
				"humanizeDuration; found \"%.40s\"",
				at);
		at = end;
	}
	return ATOM_OK;
}

static const char *value_of_label(const struct labels *labels,
				  const struct action *action)
{
	for (size_t i = 0; i < labels->count; i++)
		if (strlen(labels->items[i].name) == action->label_length &&
		    memcmp(labels->items[i].name, action->label,
			   action->label_length) == 0)
			return labels->items[i].value;
	return "";
}

/* Writes to `out`, or only counts when it is NULL. */
static size_t expand(const char *text, const struct labels *labels,
		     double value, char *out)
{
	size_t length = 0;

	while (*text != '\0') {
		const char *end = strstr(text, "{{"), *piece = text;
		char number[NUMBER_MAX];
		struct action action;
		size_t size;

		if (end != text) {
			size = end != NULL ? (size_t)(end - text)
					   : strlen(text);
			text += size;
		} else {
			end = read_action(text + 2, &action);
			if (end == NULL)
				break;
			text = end;
			if (action.label != NULL) {
				piece = value_of_label(labels, &action);
			} else {
				action.write(value, number);
				piece = number;
			}
			size = strlen(piece);
		}
		if (out != NULL)
			memcpy(out + length, piece, size);
		length += size;
	}
	return length;
}

const char *template_expand(struct arena *arena, const char *text,
			    const struct labels *labels, double value)
{
	char *out = arena_take(arena, expand(text, labels, value, NULL) + 1);

	if (out != NULL)
		(void)expand(text, labels, value, out);
	return out;
}
