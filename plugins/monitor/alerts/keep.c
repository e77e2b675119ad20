/* SPDX-License-Identifier: Apache-2.0 */

/*
 * States as text, a line an alert:
 *
 *	atomd-alerts 2
 *	RULE STATE ACTIVE FIRED RESOLVED KEEP TOLD FIRING VALUE THRESHOLD{LABELS}
 *
 * FIRING: what receivers heard last.  Annotations are made anew by the next
 * evaluation.
 */

#include "plugins/monitor/alerts/alert.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/text.h"

#define HEAD "atomd-alerts 2\n"

static void write_labels(FILE *out, const struct labels *labels)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < labels->count; i++) {
		(void)fprintf(out, "%s%s=\"", i > 0 ? "," : "",
			      labels->items[i].name);
		for (const char *c = labels->items[i].value; *c != '\0'; c++)
			if (*c == '\n')
				(void)fputs("\\n", out);
			else if (*c == '"' || *c == '\\')
				(void)fprintf(out, "\\%c", *c);
			else
				(void)fputc(*c, out);
		(void)fputc('"', out);
	}
	(void)fputs("}\n", out);
}

char *alerts_save(const struct alerts *alerts)
{
	struct text text;
	FILE *out = text_open(&text);

	if (out == NULL)
		return NULL;
	(void)fputs(HEAD, out);
	for (const struct alert *a = alerts->first; a != NULL; a = a->next) {
		(void)fprintf(out,
			      "%" PRIu64 " %d %" PRId64 " %" PRId64 " %" PRId64
			      " %" PRId64 " %" PRId64 " %d %a %a",
			      a->rule, (int)a->state, a->active_ms, a->fired_ms,
			      a->resolved_ms, a->keep_ms, a->told_ms,
			      a->told_firing, a->value, a->threshold);
		write_labels(out, &a->labels);
	}
	return text_close(&text, out);
}

static bool restore_line(struct alerts *alerts, const char *line)
{
	const char *labels = strchr(line, '{');
	struct alert *alert = alerts_new(alerts);
	int64_t numbers[7];
	char *at = NULL;

	if (alert == NULL || labels == NULL)
		return false;
	alert->rule = strtoull(line, &at, 10);
	for (int i = 0; i < 7; i++)
		numbers[i] = strtoll(at, &at, 10);
	alert->value = strtod(at, &at);
	alert->threshold = strtod(at, &at);
	if (at != labels || numbers[0] < ALERT_PENDING ||
	    numbers[0] > ALERT_RESOLVED)
		return false;
	alert->state = (enum alert_state)numbers[0];
	alert->active_ms = numbers[1];
	alert->fired_ms = numbers[2];
	alert->resolved_ms = numbers[3];
	alert->keep_ms = numbers[4];
	alert->told_ms = numbers[5];
	alert->told_firing = numbers[6] != 0;
	return labels_parse(&alert->arena, labels, &alert->labels) == ATOM_OK;
}

atom_status alerts_restore(struct alerts *alerts, const char *text)
{
	atom_status status = ATOM_OK;
	size_t before = alerts->count;
	char *copy = NULL, *save = NULL;

	if (strncmp(text, HEAD, strlen(HEAD)) != 0)
		return ATOM_EDATALOSS;
	copy = strdup(text + strlen(HEAD));
	if (copy == NULL)
		return ATOM_ENOMEM;
	for (char *line = strtok_r(copy, "\n", &save);
	     line != NULL && status == ATOM_OK;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!restore_line(alerts, line)) {
			struct alert **place = &alerts->first;

			status = ATOM_EDATALOSS;
			while (*place != NULL && (*place)->next != NULL)
				place = &(*place)->next;
			if (alerts->count > before && *place != NULL) {
				arena_fini(&(*place)->arena);
				free(*place);
				*place = NULL;
				alerts->count--;
			}
		}
		before = alerts->count;
	}
	free(copy);
	return status;
}
