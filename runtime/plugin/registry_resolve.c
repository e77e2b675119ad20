/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who holds which component.  First one file for each plugin name (what is
 * open, else the newest version, else the first found), then one plugin for
 * each (kind, name), what is open first.
 */

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "plugin/registry_priv.h"

static bool usable(const struct plugin *plugin)
{
	return plugin->state == PLUGIN_AVAILABLE ||
	       plugin->state == PLUGIN_OPEN;
}

/* Of two files of one plugin: does `a` go before `b`? */
static bool goes_before(const struct plugin *a, const struct plugin *b)
{
	int order;

	if ((a->state == PLUGIN_OPEN) != (b->state == PLUGIN_OPEN))
		return a->state == PLUGIN_OPEN;
	order = version_compare(a->note.version, b->note.version);
	return order != 0 ? order > 0 : a->order < b->order;
}

ATOM_PRINTF(3, 4)
static void set_aside(struct plugin *plugin, enum plugin_state state,
		      const char *format, ...)
{
	char text[ATOM_ERROR_MESSAGE_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	plugin->state = state;
	mem_free(plugin->last_error);
	plugin->last_error = mem_strdup(text);
}

static void choose(struct plugin *winner, struct plugin *loser)
{
	int order = version_compare(loser->note.version, winner->note.version);
	bool replaced = strcmp(loser->path, winner->path) == 0;

	if (winner->state == PLUGIN_OPEN && (order > 0 || replaced))
		set_aside(loser, PLUGIN_WAITING,
			  "%s %s is in use; this file takes its place when "
			  "atomd is restarted",
			  winner->note.name, winner->note.version);
	else if (order == 0)
		set_aside(loser, PLUGIN_SUPERSEDED,
			  "%s %s is there already, as %s", winner->note.name,
			  winner->note.version, winner->path);
	else
		set_aside(loser, PLUGIN_SUPERSEDED,
			  "version %s is there, as %s", winner->note.version,
			  winner->path);
}

static void choose_files(void)
{
	for (size_t i = 0; i < registry.plugin_count; i++) {
		for (size_t j = 0; j < i; j++) {
			struct plugin *a = registry.plugins[i];
			struct plugin *b = registry.plugins[j];

			if (!usable(a) || !usable(b) ||
			    strcmp(a->note.name, b->note.name) != 0)
				continue;
			/* Two open ones came one after the other; both
			 * stay. */
			if (a->state == PLUGIN_OPEN && b->state == PLUGIN_OPEN)
				continue;
			if (goes_before(a, b))
				choose(a, b);
			else
				choose(b, a);
		}
	}
}

static atom_status hold(struct plugin *plugin, struct known_component *known)
{
	const struct known_component *other;
	const struct plugin *holder;
	char text[ATOM_ERROR_MESSAGE_MAX];

	other = table_get_text(&registry.components, known->key);
	if (other == NULL)
		return table_set(&registry.components, known->key,
				 strlen(known->key), known, NULL);
	holder = other->component.plugin;
	(void)snprintf(text, sizeof(text),
		       "%s: the plugin %s (%s) already has a %s of that name",
		       known->key, holder->note.name, holder->path,
		       known->kind_word);
	known->conflict = mem_strdup(text);
	log_line(ATOM_LOG_WARN, "plugin_refused", text,
		 LOG_TEXT("path", plugin->path));
	return known->conflict != NULL ? ATOM_OK : ATOM_ENOMEM;
}

static atom_status hold_all(bool open)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < registry.plugin_count; i++) {
		struct plugin *plugin = registry.plugins[i];

		if (!usable(plugin) || (plugin->state == PLUGIN_OPEN) != open)
			continue;
		for (size_t j = 0;
		     j < plugin->component_count && status == ATOM_OK; j++)
			if (plugin->components[j].refused == NULL)
				status = hold(plugin, &plugin->components[j]);
	}
	return status;
}

/* What the last resolution has said is said anew. */
static void forget(struct plugin *plugin)
{
	if (plugin->state == PLUGIN_SUPERSEDED ||
	    plugin->state == PLUGIN_WAITING) {
		plugin->state = PLUGIN_AVAILABLE;
		mem_free(TAKE(plugin->last_error));
	}
	for (size_t i = 0; i < plugin->component_count; i++)
		mem_free(TAKE(plugin->components[i].conflict));
}

static int by_order(const void *a, const void *b)
{
	const struct plugin *x = *(struct plugin *const *)a;
	const struct plugin *y = *(struct plugin *const *)b;

	return x->order < y->order ? -1 : x->order > y->order;
}

atom_status registry_resolve(void)
{
	atom_status status;

	if (registry.plugin_count > 0)
		qsort(registry.plugins, registry.plugin_count,
		      sizeof(struct plugin *), by_order);
	for (size_t i = 0; i < registry.plugin_count; i++)
		forget(registry.plugins[i]);
	table_fini(&registry.components);
	registry.components = (struct table)TABLE_INIT;
	choose_files();
	status = hold_all(true);
	if (status == ATOM_OK)
		status = hold_all(false);
	return status;
}
