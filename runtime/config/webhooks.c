/* SPDX-License-Identifier: Apache-2.0 */

/* The list `webhooks` of an agent's `deployment`. */

#include <string.h>

#include "config/agent_priv.h"
#include "config/config_priv.h"

static unsigned int read_when(const struct setting *group,
			      const char *const *words, struct keys_reading *r)
{
	static const char *const known[] = { "before", "step", "after" };
	unsigned int when = 0;

	/* Unsaid: all of them. */
	if (words[0] == NULL)
		return 1u << CONFIG_WEBHOOK_BEFORE | 1u << CONFIG_WEBHOOK_STEP |
		       1u << CONFIG_WEBHOOK_AFTER;
	for (; *words != NULL; words++) {
		size_t i = 0;

		while (i < 3 && strcmp(known[i], *words) != 0)
			i++;
		if (i == 3)
			config_complain(r->errors,
					setting_member(group, "when"),
					"`when` is a list of \"before\", "
					"\"step\", \"after\", found \"%.40s\"",
					*words);
		else
			when |= 1u << i;
	}
	return when;
}

static void read_webhook(const struct setting *group,
			 struct config_webhook *webhook_r,
			 struct keys_reading *r)
{
	struct webhook_reading reading;

	keys_read(&webhook_keys, group, &reading, r);
	*webhook_r = (struct config_webhook){
		.url = reading.url,
		.secret = reading.secret,
		.when = read_when(group, reading.when, r),
		.timeout_ms = reading.timeout_ms,
		.required = reading.required,
	};
	if (reading.url[0] != '\0' && strncmp(reading.url, "http://", 7) != 0 &&
	    strncmp(reading.url, "https://", 8) != 0)
		config_complain(r->errors, setting_member(group, "url"),
				"`url` must begin with http:// or https://");
}

void config_read_webhooks(const struct setting *list,
			  struct config_webhooks *webhooks_r,
			  struct keys_reading *r)
{
	struct config_webhook *webhooks;

	*webhooks_r = (struct config_webhooks){ .count = 0 };
	if (list == NULL || list->member_count == 0)
		return;
	if (list->member_count > CONFIG_WEBHOOKS_MAX) {
		config_complain(r->errors, list,
				"`webhooks` has %zu members, at most %d are "
				"asked",
				list->member_count, CONFIG_WEBHOOKS_MAX);
		return;
	}
	webhooks =
		config_keep(r->holder, list->member_count, sizeof(*webhooks));
	if (webhooks == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++)
		read_webhook(list->members[i], &webhooks[i], r);
	webhooks_r->list = webhooks;
	webhooks_r->count = list->member_count;
}
