/* SPDX-License-Identifier: Apache-2.0 */

/* What there is, as JSON for `atomctl plugins` and `plugin info`. */

#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "plugin/registry_priv.h"

const char *plugin_state_word(enum plugin_state state)
{
	switch (state) {
	case PLUGIN_REFUSED:
		return "refused";
	case PLUGIN_AVAILABLE:
		return "available";
	case PLUGIN_OPEN:
		return "open";
	case PLUGIN_SUPERSEDED:
		return "superseded";
	case PLUGIN_WAITING:
		return "waiting";
	}
	return "?";
}

static json_int_t calls_of(const struct known_component *known)
{
	unsigned long long calls = 0;

	for (size_t i = 0; known->calls != NULL && i < CALL_SHARDS; i++)
		calls += atomic_load_explicit(&known->calls[i].calls,
					      memory_order_relaxed);
	return (json_int_t)calls;
}

/* The most telling of its faults; "" = none. */
static json_t *fault_of(const struct plugin *plugin,
			struct known_component *known)
{
	json_t *text;

	if (known->refused != NULL)
		return json_string(known->refused);
	if (known->conflict != NULL)
		return json_string(known->conflict);
	if (plugin->last_error != NULL)
		return json_string(plugin->last_error);
	(void)pthread_mutex_lock(&known->lock);
	text = json_string(known->last_error != NULL ? known->last_error : "");
	(void)pthread_mutex_unlock(&known->lock);
	return text != NULL ? text : json_string("?");
}

static const char *state_of(const struct plugin *plugin,
			    const struct known_component *known)
{
	if (known->refused != NULL || known->conflict != NULL)
		return plugin_state_word(PLUGIN_REFUSED);
	return plugin_state_word(plugin->state);
}

static void abi_text(const struct plugin *plugin, char out[16])
{
	if (plugin->noted)
		(void)snprintf(out, 16, "%u.%u", plugin->note.abi_major,
			       plugin->note.abi_minor);
	else
		out[0] = '\0';
}

static json_t *component_row(const struct plugin *plugin,
			     struct known_component *known)
{
	char abi[16];

	abi_text(plugin, abi);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o}", "name",
		known->name, "kind", known->kind_word, "plugin",
		plugin->note.name, "version", plugin->note.version, "abi", abi,
		"path", plugin->path, "state", state_of(plugin, known), "calls",
		calls_of(known), "last_error", fault_of(plugin, known));
}

/* A file of which nothing more is known than that it is refused. */
static json_t *file_row(const struct plugin *plugin)
{
	const char *name = plugin->noted ? plugin->note.name : plugin->file;
	char abi[16];

	abi_text(plugin, abi);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s}",
			 "name", name, "kind", "", "plugin", name, "version",
			 plugin->note.version, "abi", abi, "path", plugin->path,
			 "state", plugin_state_word(plugin->state), "calls", 0,
			 "last_error",
			 plugin->last_error != NULL ? plugin->last_error : "");
}

json_t *registry_list(void)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < registry.plugin_count; i++) {
		struct plugin *plugin = registry.plugins[i];

		if (plugin->component_count == 0)
			(void)json_array_append_new(rows, file_row(plugin));
		for (size_t j = 0; j < plugin->component_count; j++)
			(void)json_array_append_new(
				rows,
				component_row(plugin, &plugin->components[j]));
	}
	return rows;
}

/* The one that counts; else one that was refused, so that it can say why. */
static struct known_component *known_by_key(const char *key)
{
	struct known_component *known =
		table_get_text(&registry.components, key);

	for (size_t i = 0; known == NULL && i < registry.plugin_count; i++) {
		struct plugin *plugin = registry.plugins[i];

		for (size_t j = 0; j < plugin->component_count; j++)
			if (strcmp(plugin->components[j].key, key) == 0)
				known = &plugin->components[j];
	}
	return known;
}

/* The options of a component, which are kept as text (probe_verdict.c); NULL
 * where it was refused, or without memory. */
static json_t *options_of(const struct known_component *known)
{
	json_t *kept = json_object_get(known->row, "options");
	json_t *options = NULL;

	if (!json_is_string(kept))
		return json_incref(kept);
	(void)json_decode(json_string_value(kept), json_string_length(kept),
			  &options, NULL);
	return options;
}

json_t *registry_describe(const char *kind, const char *name)
{
	struct known_component *known = NULL;
	const struct plugin *plugin;
	json_t *object, *options, *summary;
	char key[160];

	if (snprintf(key, sizeof(key), "%s/%s", kind, name) < (int)sizeof(key))
		known = known_by_key(key);
	if (known == NULL)
		return NULL;
	plugin = known->component.plugin;
	object = component_row(plugin, known);
	if (object == NULL)
		return NULL;
	(void)json_object_set(object, "license",
			      json_object_get(plugin->answer, "license"));
	summary = json_object_get(known->row, "summary");
	if (summary != NULL)
		(void)json_object_set(object, "summary", summary);
	options = options_of(known);
	if (options != NULL)
		(void)json_object_set_new(object, "options", options);
	return object;
}
