/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/registry.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/probe.h"
#include "plugin/registry_priv.h"

struct registry registry;

/* --- life-cycle ---------------------------------------------------------- */

/* What a daemon that was killed has left. */
static void clear_copies(void)
{
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *folder = opendir(registry.copies);

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", registry.copies,
			     entry->d_name) < (int)sizeof(path))
			(void)os.unlink(path);
	}
	if (folder != NULL)
		(void)closedir(folder);
}

atom_status registry_init(const char *state_directory, bool load_in_place,
			  struct atom_error *err)
{
	static const char *const labels[] = { "plugin", "kind", "version",
					      "abi", NULL };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_GAUGE,
		.name = "atomd_plugin_info",
		.help = "1 for each component of an opened plugin.",
		.unit = "",
		.label_names = labels,
	};
	char path[PATH_MAX];

	registry = (struct registry){ .in_place = load_in_place };
	if (state_directory != NULL) {
		if (snprintf(path, sizeof(path), "%s/plugins",
			     state_directory) >= (int)sizeof(path))
			return atom_fail(err, ATOM_ELIMIT, "%s: path too long",
					 state_directory);
		registry.copies = mem_strdup(path);
		if (registry.copies == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		clear_copies();
	}
	return metric_declare(&spec, &registry.info_family, err);
}

void registry_fini(void)
{
	for (size_t i = 0; i < registry.plugin_count; i++) {
		plugin_end(registry.plugins[i]);
		plugin_free(&registry.plugins[i]);
	}
	mem_free(registry.plugins);
	mem_free(registry.copies);
	table_fini(&registry.components);
	probe_fini();
	registry = (struct registry){ 0 };
}

/* --- taking over a scan -------------------------------------------------- */

static atom_status add(struct plugin *plugin)
{
	if (registry.plugin_count == registry.plugin_capacity) {
		size_t capacity = registry.plugin_capacity * 2 + 16;
		struct plugin **grown = mem_realloc(
			registry.plugins, capacity * sizeof(*registry.plugins));

		if (grown == NULL)
			return ATOM_ENOMEM;
		registry.plugins = grown;
		registry.plugin_capacity = capacity;
	}
	registry.plugins[registry.plugin_count++] = plugin;
	return ATOM_OK;
}

/* The file is known as it is: by identity when it was not read, by content
 * when it was (touched, moved over itself). */
static bool same_file(const struct plugin *plugin, const struct found *found)
{
	if (strcmp(plugin->path, found->path) != 0)
		return false;
	if (found->unchanged)
		return file_identity_equal(&plugin->identity, &found->identity);
	return plugin->hashed && found->hashed &&
	       plugin->state != PLUGIN_REFUSED &&
	       memcmp(plugin->hash, found->hash, PLUGIN_HASH) == 0;
}

static atom_status take_one(struct found *found, size_t order)
{
	struct plugin *plugin;
	atom_status status;

	for (size_t i = 0; i < registry.plugin_count; i++) {
		plugin = registry.plugins[i];
		if (!plugin->seen && same_file(plugin, found)) {
			plugin->seen = true;
			plugin->order = order;
			plugin->identity = found->identity;
			return ATOM_OK;
		}
	}
	plugin = plugin_new(found);
	if (plugin == NULL)
		return ATOM_ENOMEM;
	plugin->seen = true;
	plugin->order = order;
	status = add(plugin);
	if (status != ATOM_OK)
		plugin_free(&plugin);
	return status;
}

/* Not seen and not open: the file is gone, or another by now. */
static void drop_unseen(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < registry.plugin_count; i++) {
		struct plugin *plugin = registry.plugins[i];

		if (plugin->seen || plugin->state == PLUGIN_OPEN)
			registry.plugins[kept++] = plugin;
		else
			plugin_free(&plugin);
	}
	registry.plugin_count = kept;
}

static atom_status take_over(struct scan *scan)
{
	atom_status status = ATOM_OK;
	size_t count;
	struct found *found = scan_found(scan, &count);

	for (size_t i = 0; i < registry.plugin_count; i++)
		registry.plugins[i]->seen = false;
	for (size_t i = 0; i < count && status == ATOM_OK; i++)
		status = take_one(&found[i], i);
	/* Half a scan drops nothing. */
	if (status == ATOM_OK)
		drop_unseen();
	if (registry_resolve() != ATOM_OK)
		status = ATOM_ENOMEM;
	return status;
}

atom_status registry_scan(const char *const *directories,
			  struct atom_error *err)
{
	struct scan *scan;
	atom_status status = ATOM_ENOMEM;

	if (registry.scanning)
		return atom_fail(err, ATOM_EBUSY,
				 "a scan of the plugin folders is under way");
	scan = scan_new(directories, registry.in_place);
	if (scan != NULL)
		status = scan_run(scan);
	if (status == ATOM_OK)
		status = take_over(scan);
	scan_free(&scan);
	if (status != ATOM_OK)
		(void)atom_fail(err, status,
				"out of memory while plugins were read");
	return status;
}

/* --- the same on the pool ------------------------------------------------ */

struct scan_job {
	struct work work;
	struct scan *scan;
	atom_status status;
	void (*done)(void *argument, atom_status status);
	void *argument;
};

static void scan_on_pool(struct work *work)
{
	struct scan_job *job = CONTAINER_OF(work, struct scan_job, work);

	job->status = scan_run(job->scan);
}

static void scan_done(struct work *work, atom_status status)
{
	struct scan_job *job = CONTAINER_OF(work, struct scan_job, work);

	if (status == ATOM_OK)
		status = job->status;
	if (status == ATOM_OK)
		status = take_over(job->scan);
	registry.scanning = false;
	scan_free(&job->scan);
	job->done(job->argument, status);
	mem_free(job);
}

atom_status registry_scan_start(const char *const *directories,
				void (*done)(void *argument,
					     atom_status status),
				void *argument, struct atom_error *err)
{
	struct scan_job *job;
	atom_status status = ATOM_ENOMEM;

	if (registry.scanning)
		return atom_fail(err, ATOM_EBUSY,
				 "a scan of the plugin folders is under way");
	job = mem_zalloc(sizeof(*job));
	if (job == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	job->scan = scan_new(directories, registry.in_place);
	job->work.run = scan_on_pool;
	job->work.done = scan_done;
	job->done = done;
	job->argument = argument;
	if (job->scan != NULL) {
		registry.scanning = true;
		status = work_submit(loop_control(), &job->work);
	}
	if (status != ATOM_OK) {
		registry.scanning = false;
		scan_free(&job->scan);
		mem_free(job);
		(void)atom_fail(err, status, "plugins could not be read");
	}
	return status;
}
