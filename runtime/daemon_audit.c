/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's own events in the audit log: recorded, never gated. */

#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "config.h"
#include "core/json.h"
#include "daemon_priv.h"
#include "plugin/registry.h"

/* What has been told of each file: {PATH: "state version"}. */
static json_t *told;

static void record_plugin(const json_t *row, const char *state)
{
	bool refused = strcmp(state, "refused") == 0;
	struct audit_record record = AUDIT_RECORD(
		refused ? AUDIT_PLUGIN_REFUSED : AUDIT_PLUGIN_LOADED);

	if (refused)
		audit_text(&record, "error", json_text(row, "last_error", ""));
	audit_text(&record, "kind", json_text(row, "kind", ""));
	audit_text(&record, "name", json_text(row, "name", ""));
	audit_text(&record, "path", json_text(row, "path", ""));
	audit_text(&record, "version", json_text(row, "version", ""));
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

/* Components that were loaded or refused since it was asked last. */
static void record_plugins(void)
{
	json_t *rows = registry_list(), *row, *now = json_object();
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *state = json_text(row, "state", "");
		char name[512], said[128];

		if (strcmp(state, "open") != 0 && strcmp(state, "refused") != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s %s/%s",
			       json_text(row, "path", ""),
			       json_text(row, "kind", ""),
			       json_text(row, "name", ""));
		(void)snprintf(said, sizeof(said), "%s %s", state,
			       json_text(row, "version", ""));
		if (strcmp(json_text(told, name, ""), said) != 0)
			record_plugin(row, state);
		json_object_set_new(now, name, json_string(said));
	}
	json_decref(rows);
	json_decref(told);
	told = now;
}

void daemon_audit_start(const struct config *config)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_DAEMON_START);

	if (!audit_enabled())
		return;
	audit_text(
		&record, "abi",
		ATOM_STRING_(ATOM_ABI_MAJOR) "." ATOM_STRING_(ATOM_ABI_MINOR));
	audit_number(&record, "agents", (int64_t)config->agent_count);
	audit_text(&record, "environment", config->environment);
	audit_text(&record, "version", PACKAGE_VERSION);
	(void)audit_post(&record, AUDIT_SOON, NULL);
	record_plugins();
}

void daemon_audit_reload(bool applied, const char *needs_restart,
			 const struct buffer *errors)
{
	struct audit_record record = AUDIT_RECORD(
		applied ? AUDIT_CONFIG_APPLIED : AUDIT_CONFIG_REFUSED);

	if (!audit_enabled())
		return;
	if (applied)
		audit_text(&record, "needs_restart", needs_restart);
	else
		audit_text(&record, "error",
			   errors->length > 0 ? errors->bytes : "");
	(void)audit_post(&record, AUDIT_SOON, NULL);
	record_plugins();
}

void daemon_audit_end(void)
{
	audit_stop();
	json_decref(told);
	told = NULL;
}
