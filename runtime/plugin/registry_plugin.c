/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One plugin as its file and its probe describe it.
 */

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "plugin/registry_priv.h"

static void known_fill(struct plugin *plugin, struct known_component *known,
		       const json_t *row, const char *refused)
{
	const char *kind = json_string_value(json_object_get(row, "kind"));
	const char *word = kind_word_of(kind);

	(void)pthread_mutex_init(&known->lock, NULL);
	known->row = row;
	known->kind_word = word != NULL ? word : kind;
	known->name = json_string_value(json_object_get(row, "name"));
	known->refused = refused;
	known->component.plugin = plugin;
	known->component.kind_word = known->kind_word;
	known->component.name = known->name;
	(void)snprintf(known->key, sizeof(known->key), "%s/%s",
		       known->kind_word, known->name);
}

static atom_status learn(struct plugin *plugin)
{
	const json_t *good = json_object_get(plugin->answer, "components");
	const json_t *bad = json_object_get(plugin->answer, "refused");
	size_t count = json_array_size(good) + json_array_size(bad), i;
	const json_t *row;

	plugin->components = mem_array(count + 1, sizeof(*plugin->components));
	if (plugin->components == NULL)
		return ATOM_ENOMEM;
	json_array_foreach(good, i, row) known_fill(
		plugin, &plugin->components[plugin->component_count++], row,
		NULL);
	json_array_foreach(bad, i, row) known_fill(
		plugin, &plugin->components[plugin->component_count++], row,
		json_string_value(json_object_get(row, "why")));
	return ATOM_OK;
}

void plugin_refuse(struct plugin *plugin, const char *why)
{
	plugin->state = PLUGIN_REFUSED;
	mem_free(plugin->last_error);
	plugin->last_error = mem_strdup(why);
	log_line(ATOM_LOG_WARN, "plugin_refused", why,
		 LOG_TEXT("file", plugin->file),
		 LOG_TEXT("path", plugin->path));
}

/* What the probe noticed, once for each new file. */
static void announce(const struct plugin *plugin)
{
	const json_t *notices = json_object_get(plugin->answer, "notices");
	const json_t *notice;
	size_t i;

	json_array_foreach(notices, i, notice) if (json_is_string(notice))
		log_line(ATOM_LOG_INFO, "plugin_notice",
			 json_string_value(notice),
			 LOG_TEXT("path", plugin->path));
	for (i = 0; i < plugin->component_count; i++)
		if (plugin->components[i].refused != NULL)
			log_line(ATOM_LOG_WARN, "plugin_refused",
				 plugin->components[i].refused,
				 LOG_TEXT("component",
					  plugin->components[i].key),
				 LOG_TEXT("path", plugin->path));
}

struct plugin *plugin_new(struct found *found)
{
	struct plugin *plugin = mem_zalloc(sizeof(*plugin));
	char why[ATOM_ERROR_MESSAGE_MAX];

	if (plugin == NULL)
		return NULL;
	plugin->copy_fd = -1;
	plugin->path = TAKE(found->path);
	plugin->file = TAKE(found->file);
	plugin->identity = found->identity;
	plugin->hashed = found->hashed;
	memcpy(plugin->hash, found->hash, PLUGIN_HASH);
	plugin->noted = found->noted;
	plugin->note = found->note;
	plugin->answer = TAKE(found->answer);
	plugin->state = PLUGIN_AVAILABLE;
	if (plugin->answer == NULL) {
		(void)snprintf(why, sizeof(why), "%s: %s", plugin->file,
			       found->refusal);
		plugin_refuse(plugin, why);
		return plugin;
	}
	if (learn(plugin) != ATOM_OK) {
		plugin_free(&plugin);
		return NULL;
	}
	announce(plugin);
	if (json_array_size(json_object_get(plugin->answer, "components")) ==
	    0) {
		(void)snprintf(why, sizeof(why),
			       "%s: holds no component that this atomd can "
			       "use",
			       plugin->file);
		plugin_refuse(plugin, why);
	}
	return plugin;
}

void plugin_free(struct plugin **plugin)
{
	struct plugin *p = *plugin;

	if (p == NULL)
		return;
	*plugin = NULL;
	for (size_t i = 0; i < p->component_count; i++) {
		struct known_component *known = &p->components[i];

		(void)pthread_mutex_destroy(&known->lock);
		mem_free(known->conflict);
		mem_free(known->last_error);
		mem_free(known->calls);
	}
	mem_free(p->components);
	if (p->answer != NULL)
		json_decref(p->answer);
	configured_shell_free(&p->init_host);
	mem_free(p->path);
	mem_free(p->file);
	mem_free(p->last_error);
	mem_free(p->copy_path);
	mem_free(p);
}
