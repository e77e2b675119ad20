/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/analyst/trigger.h"

#include <stdio.h>
#include <string.h>

/* What is no printable ASCII has no business in a name. */
static void copy_word(char *out, size_t size, const char *word)
{
	size_t n = 0;

	for (; word != NULL && *word != '\0' && n + 1 < size; word++)
		out[n++] = *word > ' ' && *word < 127 ? *word : '_';
	out[n] = '\0';
}

static json_t *details_of(const struct atom_monitor_event *event)
{
	return json_loadb(event->details.bytes, event->details.length, 0, NULL);
}

static const char *word_of(const json_t *details, const char *name)
{
	const char *word = json_string_value(json_object_get(details, name));

	return word != NULL ? word : "";
}

static bool has_part(const char *name, const char *const *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(name, parts[i]) != NULL)
			return true;
	return false;
}

static enum report_focus focus_of_alert(const char *name)
{
	static const char *const errors[] = { "error", "fail", "crash",
					      "unhealthy", "rollback" };
	static const char *const security[] = { "audit", "certificate",
						"key",	 "auth",
						"login", "security" };

	if (has_part(name, security, sizeof(security) / sizeof(security[0])))
		return FOCUS_SECURITY;
	if (has_part(name, errors, sizeof(errors) / sizeof(errors[0])))
		return FOCUS_ERRORS;
	return FOCUS_PERFORMANCE;
}

bool trigger_of(const struct atom_monitor_event *event, enum report_focus focus,
		const struct atom_strings *parts, struct trigger *trigger_r)
{
	bool alert = strcmp(event->name, "alert.firing") == 0;
	json_t *details;
	const char *name;
	bool ours;

	if (!alert && strcmp(event->name, "anomaly.began") != 0)
		return false;
	details = details_of(event);
	name = word_of(details, alert ? "name" : "signal");
	if (!alert)
		ours = focus == (strcmp(name, "errors") == 0
					 ? FOCUS_ERRORS
					 : FOCUS_PERFORMANCE);
	else if (parts->count > 0)
		ours = has_part(name, parts->items, parts->count);
	else
		ours = focus_of_alert(name) == focus;
	*trigger_r = (struct trigger){ 0 };
	copy_word(trigger_r->kind, sizeof(trigger_r->kind),
		  alert ? "alert" : "anomaly");
	copy_word(trigger_r->name, sizeof(trigger_r->name), name);
	copy_word(trigger_r->agent, sizeof(trigger_r->agent), event->agent);
	json_decref(details);
	return ours;
}

static void describe(const struct atom_monitor_event *event, char *out,
		     size_t size)
{
	json_t *details = details_of(event);
	char word[REPORT_WORD];

	if (strcmp(event->name, "scaling") == 0)
		(void)snprintf(out, size, "%lld -> %lld",
			       (long long)json_integer_value(
				       json_object_get(details, "from")),
			       (long long)json_integer_value(
				       json_object_get(details, "to")));
	else {
		const char *name = strcmp(event->name, "rollout") == 0 ? "phase"
				   : strncmp(event->name, "alert.", 6) == 0
					   ? "name"
					   : "signal";

		copy_word(word, sizeof(word), word_of(details, name));
		(void)snprintf(out, size, "%s", word);
	}
	json_decref(details);
}

void happenings_add(struct happenings *h,
		    const struct atom_monitor_event *event)
{
	static const char *const kept[] = { "scaling", "rollout", "alert.",
					    "anomaly." };
	struct happened *one;

	for (size_t i = 0;; i++) {
		if (i == sizeof(kept) / sizeof(kept[0]))
			return;
		if (strncmp(event->name, kept[i], strlen(kept[i])) == 0)
			break;
	}
	if (h->count == HAPPENED_MAX)
		h->first = (h->first + 1) % HAPPENED_MAX;
	else
		h->count++;
	one = &h->items[(h->first + h->count - 1) % HAPPENED_MAX];
	*one = (struct happened){ .time_ms = event->time_ms };
	copy_word(one->name, sizeof(one->name), event->name);
	copy_word(one->agent, sizeof(one->agent), event->agent);
	describe(event, one->detail, sizeof(one->detail));
}

json_t *happenings_told(const struct happenings *h, int64_t now_ms,
			int64_t step_ms, int64_t steps)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->count; i++) {
		const struct happened *one =
			&h->items[(h->first + i) % HAPPENED_MAX];
		int64_t ago = (now_ms - one->time_ms) / step_ms;

		if (ago < steps && ago >= 0)
			report_add(&list,
				   json_pack("{s:I,s:s,s:s,s:s}", "steps_ago",
					     (json_int_t)ago, "name", one->name,
					     "agent", one->agent, "detail",
					     one->detail));
	}
	return list;
}
