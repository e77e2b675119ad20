/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Loading a plugin into the daemon, once a configuration names a component of
 * it: the very bytes that were probed, checked once more.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/entry.h"
#include "plugin/library.h"
#include "plugin/registry_priv.h"

/* The path to give to dlopen.  A memfd goes by our process id and not by
 * `self`: a debugger or a symboliser can follow that, too.  Its descriptor
 * stays open for life, for glibc knows libraries by path and a number used
 * again would give the old one. */
static atom_status private_copy(struct plugin *plugin, struct plugin_file *file,
				struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	char path[PATH_MAX];

	if (registry.in_place) {
		(void)snprintf(path, sizeof(path), "%s", plugin->path);
	} else if (registry.copies == NULL ||
		   plugin_file_export(file, registry.copies, plugin->note.name,
				      path, &why) != ATOM_OK) {
		if (registry.copies != NULL)
			log_line(ATOM_LOG_WARN, "plugin_copy",
				 "a plugin's private copy is kept in memory, "
				 "its folder cannot be used",
				 LOG_TEXT("plugin", plugin->note.name),
				 LOG_TEXT("why", why.message));
		(void)snprintf(path, sizeof(path), "/proc/%ld/fd/%d",
			       (long)getpid(), file->copy_fd);
		plugin->copy_fd = file->copy_fd;
		file->copy_fd = -1;
	}
	plugin->copy_path = mem_strdup(path);
	if (plugin->copy_path == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	return ATOM_OK;
}

static struct known_component *find_known(struct plugin *plugin,
					  const char *kind_word,
					  const char *name)
{
	for (size_t i = 0; i < plugin->component_count; i++) {
		struct known_component *known = &plugin->components[i];

		if (known->refused == NULL &&
		    strcmp(known->kind_word, kind_word) == 0 &&
		    strcmp(known->name, name) == 0)
			return known;
	}
	return NULL;
}

static atom_status take_component(struct plugin *plugin,
				  const struct atom_component *declared,
				  const struct kind *kind)
{
	struct known_component *known =
		find_known(plugin, kind->word, declared->name);

	if (known == NULL)
		return ATOM_OK;
	known->calls = mem_array(CALL_SHARDS, sizeof(*known->calls));
	if (known->calls == NULL)
		return ATOM_ENOMEM;
	known->component.declared = declared;
	known->component.kind_word = kind->word;
	known->component.name = declared->name;
	known->component.ops = declared->ops;
	return ATOM_OK;
}

static atom_status take_components(struct plugin *plugin,
				   const struct atom_plugin *entry)
{
	atom_status status = ATOM_OK;

	for (uint32_t i = 0; i < entry->component_count && status == ATOM_OK;
	     i++) {
		const struct kind *kind = NULL;

		if (entry_check_component(entry, i, &kind, NULL) == ATOM_OK)
			status = take_component(
				plugin, entry_component(entry, i), kind);
	}
	return status;
}

static atom_status run_init(struct plugin *plugin,
			    const struct atom_plugin *entry,
			    struct atom_error *err)
{
	struct atom_error error = ATOM_ERROR_INIT;
	atom_status status;

	if (entry->init == NULL)
		return ATOM_OK;
	status = host_for_init(plugin->note.name, &plugin->init_host, err);
	if (status != ATOM_OK)
		return status;
	if (entry->init(&plugin->init_host->host, &error) != ATOM_OK)
		return atom_fail(err, ATOM_EINVAL, "its init() failed: %s",
				 error.message);
	return ATOM_OK;
}

static void publish(const struct plugin *plugin)
{
	char abi[16];

	(void)snprintf(abi, sizeof(abi), "%u.%u", plugin->note.abi_major,
		       plugin->note.abi_minor);
	for (size_t i = 0; i < plugin->component_count; i++) {
		const struct known_component *known = &plugin->components[i];
		const char *values[] = { known->name, known->kind_word,
					 plugin->note.version, abi, NULL };

		if (known->component.ops != NULL && known->conflict == NULL)
			metric_set(metric_series(registry.info_family, values),
				   1);
	}
	log_line(ATOM_LOG_INFO, "plugin_opened", "plugin loaded",
		 LOG_TEXT("plugin", plugin->note.name),
		 LOG_TEXT("version", plugin->note.version),
		 LOG_TEXT("path", plugin->path));
}

static atom_status load(struct plugin *plugin, struct atom_error *err)
{
	struct plugin_file file = { .copy_fd = -1, .file_fd = -1 };
	const struct atom_plugin *entry = NULL;
	void *library = NULL;
	atom_status status;

	status = plugin_file_open(plugin->path, &file, err);
	if (status == ATOM_OK &&
	    memcmp(file.hash, plugin->hash, PLUGIN_HASH) != 0)
		status = atom_fail(err, ATOM_ESTATE,
				   "has changed since it was probed; reload");
	if (status == ATOM_OK)
		status = private_copy(plugin, &file, err);
	if (status == ATOM_OK)
		status = library_open(plugin->copy_path, &library, &entry, err);
	if (status == ATOM_OK)
		status = entry_check(entry, &plugin->note, err);
	if (status == ATOM_OK && take_components(plugin, entry) != ATOM_OK)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (status == ATOM_OK)
		status = run_init(plugin, entry, err);
	if (status == ATOM_OK)
		plugin->entry = entry;
	plugin_file_close(&file);
	return status;
}

atom_status plugin_open(struct plugin *plugin, struct atom_error *err)
{
	struct atom_error error = ATOM_ERROR_INIT;
	char why[ATOM_ERROR_MESSAGE_MAX];
	atom_status status = load(plugin, &error);

	if (status == ATOM_OK) {
		plugin->state = PLUGIN_OPEN;
		publish(plugin);
		return ATOM_OK;
	}
	(void)snprintf(why, sizeof(why), "%s: %.400s", plugin->file,
		       error.message);
	plugin_refuse(plugin, why);
	return atom_fail(err, status, "%s", why);
}

void plugin_end(struct plugin *plugin)
{
	if (plugin->state == PLUGIN_OPEN && plugin->entry->fini != NULL)
		plugin->entry->fini();
	if (plugin->copy_path != NULL && plugin->copy_fd < 0 &&
	    !registry.in_place)
		(void)os.unlink(plugin->copy_path);
}
