/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From a kind and a name to a component, and what is counted of it.
 */

#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/text.h"
#include "plugin/registry_priv.h"

#define SUGGESTIONS_MAX 1024 /* names that a wrong one is compared with */

static struct known_component *look_up(const char *kind, const char *name)
{
	char key[160];

	if (snprintf(key, sizeof(key), "%s/%s", kind, name) >= (int)sizeof(key))
		return NULL;
	return table_get_text(&registry.components, key);
}

bool registry_has(const char *kind, const char *name)
{
	return look_up(kind, name) != NULL;
}

/* Does a refused file look as if it should have had it: kind-name.so,
 * name.so, or a plugin or component of that name? */
static const char *refusal_for(const struct plugin *plugin, const char *kind,
			       const char *name)
{
	char ours[160], plain[160], key[160];

	(void)snprintf(ours, sizeof(ours), "%s-%s.so", kind, name);
	(void)snprintf(plain, sizeof(plain), "%s.so", name);
	(void)snprintf(key, sizeof(key), "%s/%s", kind, name);
	for (size_t i = 0; i < plugin->component_count; i++)
		if (strcmp(plugin->components[i].key, key) == 0 &&
		    plugin->components[i].refused != NULL)
			return plugin->components[i].refused;
	if (plugin->state == PLUGIN_REFUSED &&
	    (strcmp(plugin->file, ours) == 0 ||
	     strcmp(plugin->file, plain) == 0 ||
	     (plugin->noted && strcmp(plugin->note.name, name) == 0)))
		return plugin->last_error;
	return NULL;
}

static atom_status not_there(const char *kind, const char *name,
			     struct atom_error *err)
{
	const char *names[SUGGESTIONS_MAX + 1] = { NULL };
	const struct known_component *known;
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < registry.plugin_count; i++) {
		const char *why = refusal_for(registry.plugins[i], kind, name);

		if (why != NULL)
			return atom_fail(err, ATOM_ENOENT,
					 "the %s plugin `%.63s` is refused: %s",
					 kind, name, why);
	}
	for (size_t at = 0;
	     (known = table_next(&registry.components, &at)) != NULL;)
		if (strcmp(known->kind_word, kind) == 0 &&
		    count < SUGGESTIONS_MAX)
			names[count++] = known->name;
	nearest = text_nearest(name, names);
	return atom_fail(
		err, ATOM_ENOENT, "there is no %s plugin `%.63s`%s%s%s", kind,
		name, nearest != NULL ? "; did you mean `" : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
}

atom_status registry_component(const char *kind, const char *name,
			       const struct component **component_r,
			       struct atom_error *err)
{
	struct known_component *known = look_up(kind, name);
	struct plugin *plugin;
	atom_status status;

	if (known == NULL)
		return not_there(kind, name, err);
	plugin = known->component.plugin;
	if (plugin->state != PLUGIN_OPEN) {
		status = plugin_open(plugin, err);
		if (status != ATOM_OK) {
			(void)registry_resolve();
			return status;
		}
	}
	if (known->component.ops == NULL)
		return atom_fail(err, ATOM_EINTERNAL,
				 "%s: the plugin was opened without it",
				 known->key);
	*component_r = &known->component;
	return ATOM_OK;
}

/* --- counting ------------------------------------------------------------ */

struct known_component *known_of(const struct component *component)
{
	return CONTAINER_OF((struct component *)(uintptr_t)component,
			    struct known_component, component);
}

void component_count_call(const struct component *component)
{
	struct known_component *known;
	struct loop *loop = loop_current();
	unsigned int shard = loop != NULL ? loop_index(loop) : 0;

	if (component->plugin == NULL)
		return;
	known = known_of(component);
	if (known->calls != NULL)
		(void)atomic_fetch_add_explicit(
			&known->calls[shard % CALL_SHARDS].calls, 1,
			memory_order_relaxed);
}

void component_note_error(const struct component *component,
			  const char *message)
{
	struct known_component *known;
	char *copy;

	if (component->plugin == NULL)
		return;
	known = known_of(component);
	copy = mem_strdup(message);
	(void)pthread_mutex_lock(&known->lock);
	mem_free(known->last_error);
	known->last_error = copy;
	(void)pthread_mutex_unlock(&known->lock);
}

const char *component_plugin_name(const struct component *component)
{
	return component->plugin != NULL ? component->plugin->note.name
					 : component->name;
}
