/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/message.h"

#include <math.h>
#include <time.h>

#include "plugins/monitor/alerts/text.h"

static void put_text(FILE *out, const char *text)
{
	(void)fputc('"', out);
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			(void)fprintf(out, "\\%c", c);
		else if (c < 32 || c == 127)
			(void)fprintf(out, "\\u%04x", c);
		else
			(void)fputc(c, out);
	}
	(void)fputc('"', out);
}

static void put_time(FILE *out, int64_t time_ms)
{
	time_t seconds = (time_t)(time_ms / 1000);
	char text[32];
	struct tm utc;

	(void)gmtime_r(&seconds, &utc);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	(void)fprintf(out, "\"%s.%03dZ\"", text, (int)(time_ms % 1000));
}

/* JSON has no words for what is not finite. */
static void put_number(FILE *out, double number)
{
	if (isfinite(number))
		(void)fprintf(out, "%.17g", number);
	else
		(void)fputs("null", out);
}

static void put_pairs(FILE *out, const struct label *items, size_t count)
{
	(void)fputc('{', out);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			(void)fputc(',', out);
		put_text(out, items[i].name);
		(void)fputc(':', out);
		put_text(out, items[i].value);
	}
	(void)fputc('}', out);
}

static void put_webhook(FILE *out, const struct alert *alert)
{
	bool fires = alert->state == ALERT_FIRING;

	(void)fputs("{\"name\":", out);
	put_text(out, labels_get(&alert->labels, "alertname"));
	(void)fputs(",\"severity\":", out);
	put_text(out, labels_get(&alert->labels, "severity"));
	(void)fprintf(out, ",\"state\":\"%s\",\"value\":",
		      fires ? "firing" : "resolved");
	put_number(out, alert->value);
	(void)fputs(",\"threshold\":", out);
	put_number(out, alert->threshold);
	(void)fputs(",\"labels\":", out);
	put_pairs(out, alert->labels.items, alert->labels.count);
	(void)fputs(",\"annotations\":", out);
	put_pairs(out, alert->annotations, alert->annotation_count);
	(void)fputs(",\"since\":", out);
	put_time(out, alert->fired_ms);
	if (!fires) {
		(void)fputs(",\"until\":", out);
		put_time(out, alert->resolved_ms);
	}
	(void)fputc('}', out);
}

static void put_alertmanager(FILE *out, const struct alert *alert,
			     int64_t until_ms)
{
	(void)fputs("{\"labels\":", out);
	put_pairs(out, alert->labels.items, alert->labels.count);
	(void)fputs(",\"annotations\":", out);
	put_pairs(out, alert->annotations, alert->annotation_count);
	(void)fputs(",\"startsAt\":", out);
	put_time(out, alert->fired_ms);
	(void)fputs(",\"endsAt\":", out);
	put_time(out, until_ms);
	(void)fputc('}', out);
}

bool message_is_due(const struct alert *alert, int64_t time_ms,
		    int64_t repeat_ms)
{
	if (alert->silenced)
		return false;
	switch (alert->state) {
	case ALERT_FIRING:
		return !alert->told_firing ||
		       time_ms - alert->told_ms >= repeat_ms;
	case ALERT_RESOLVED:
		return alert->told_firing;
	case ALERT_PENDING:
		break;
	}
	return false;
}

char *message_make(const struct alerts *alerts, enum message_format format,
		   int64_t time_ms, bool due_only, int64_t repeat_ms,
		   int64_t valid_ms, size_t *count_r, size_t *firing_r)
{
	struct text text;
	size_t count = 0, firing = 0;
	FILE *out = text_open(&text);

	if (out == NULL)
		return NULL;
	(void)fputs(format == MESSAGE_WEBHOOK ? "{\"alerts\":[" : "[", out);
	for (const struct alert *alert = alerts->first; alert != NULL;
	     alert = alert->next) {
		if (alert->state == ALERT_PENDING || alert->fired_ms == 0 ||
		    alert->silenced ||
		    (due_only && !message_is_due(alert, time_ms, repeat_ms)))
			continue;
		if (count++ > 0)
			(void)fputc(',', out);
		firing += alert->state == ALERT_FIRING;
		if (format == MESSAGE_WEBHOOK)
			put_webhook(out, alert);
		else
			put_alertmanager(out, alert,
					 alert->state == ALERT_RESOLVED
						 ? alert->resolved_ms
						 : time_ms + valid_ms);
	}
	(void)fputs(format == MESSAGE_WEBHOOK ? "]}" : "]", out);
	*count_r = count;
	*firing_r = firing;
	return text_close(&text, out);
}
