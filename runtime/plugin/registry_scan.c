/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What lies in the plugin folders.  A scan touches nothing of the registry, so
 * that it can run beside the control thread; files that have not changed
 * since the last one are not read again.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "plugin/probe.h"
#include "plugin/registry_priv.h"

/* Files open at a time: each costs descriptors. */
#define BATCH PROBE_FILES_MAX

struct known_file {
	char *path;
	struct file_identity identity;
};

struct scan {
	bool in_place;
	char **directories; /* NULL-ended */
	struct known_file *known;
	size_t known_count;
	struct found *found;
	size_t found_count;
	size_t found_capacity;
};

/* --- beginning ----------------------------------------------------------- */

struct scan *scan_new(const char *const *directories, bool in_place)
{
	struct scan *scan = mem_zalloc(sizeof(*scan));
	size_t count = 0;

	if (scan == NULL)
		return NULL;
	scan->in_place = in_place;
	while (directories != NULL && directories[count] != NULL)
		count++;
	scan->directories = mem_array(count + 1, sizeof(char *));
	scan->known =
		mem_array(registry.plugin_count + 1, sizeof(*scan->known));
	if (scan->directories == NULL || scan->known == NULL)
		goto no_memory;
	for (size_t i = 0; i < count; i++) {
		scan->directories[i] = mem_strdup(directories[i]);
		if (scan->directories[i] == NULL)
			goto no_memory;
	}
	for (size_t i = 0; i < registry.plugin_count; i++) {
		struct plugin *plugin = registry.plugins[i];
		struct known_file *known = &scan->known[scan->known_count++];

		known->identity = plugin->identity;
		known->path = mem_strdup(plugin->path);
		if (known->path == NULL)
			goto no_memory;
	}
	return scan;
no_memory:
	scan_free(&scan);
	return NULL;
}

static void found_fini(struct found *found)
{
	mem_free(found->path);
	mem_free(found->file);
	mem_free(found->refusal);
	if (found->answer != NULL)
		json_decref(found->answer);
}

void scan_free(struct scan **scan)
{
	struct scan *s = *scan;

	if (s == NULL)
		return;
	*scan = NULL;
	for (size_t i = 0; s->directories != NULL && s->directories[i] != NULL;
	     i++)
		mem_free(s->directories[i]);
	for (size_t i = 0; s->known != NULL && i < s->known_count; i++)
		mem_free(s->known[i].path);
	for (size_t i = 0; i < s->found_count; i++)
		found_fini(&s->found[i]);
	mem_free(s->directories);
	mem_free(s->known);
	mem_free(s->found);
	mem_free(s);
}

struct found *scan_found(struct scan *scan, size_t *count_r)
{
	*count_r = scan->found_count;
	return scan->found;
}

/* --- folders ------------------------------------------------------------- */

static struct found *found_add(struct scan *scan)
{
	if (scan->found_count == scan->found_capacity) {
		size_t capacity = scan->found_capacity * 2 + 16;
		struct found *grown = mem_realloc(
			scan->found, capacity * sizeof(*scan->found));

		if (grown == NULL)
			return NULL;
		scan->found = grown;
		scan->found_capacity = capacity;
	}
	scan->found[scan->found_count] = (struct found){ 0 };
	return &scan->found[scan->found_count++];
}

static bool known_unchanged(const struct scan *scan, const struct found *found)
{
	for (size_t i = 0; i < scan->known_count; i++)
		if (strcmp(scan->known[i].path, found->path) == 0 &&
		    file_identity_equal(&scan->known[i].identity,
					&found->identity))
			return true;
	return false;
}

/* The same file by another name (a link beside it, a folder named twice). */
static bool found_already(const struct scan *scan, const char *real)
{
	for (size_t i = 0; i < scan->found_count; i++)
		if (strcmp(scan->found[i].path, real) == 0)
			return true;
	return false;
}

static atom_status look_at(struct scan *scan, const char *folder,
			   const char *name, const struct atom_error *unfit)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct file_identity identity;
	char real[PATH_MAX] = "";
	struct found *found;
	atom_status fine;

	fine = plugin_file_check(folder, name, real, &identity, &error);
	if (fine == ATOM_OK && unfit->status != ATOM_OK) {
		fine = unfit->status;
		error = *unfit;
	}
	/* A refused one is listed by the name it has there. */
	if (fine != ATOM_OK && snprintf(real, sizeof(real), "%s/%s", folder,
					name) >= (int)sizeof(real))
		return ATOM_OK;
	if (found_already(scan, real))
		return ATOM_OK;
	found = found_add(scan);
	if (found == NULL)
		return ATOM_ENOMEM;
	found->path = mem_strdup(real);
	found->file = mem_strdup(name);
	found->identity = identity;
	if (fine != ATOM_OK)
		found->refusal = mem_strdup(error.message);
	if (found->path == NULL || found->file == NULL ||
	    (fine != ATOM_OK && found->refusal == NULL))
		return ATOM_ENOMEM;
	/* A refused one costs nothing to look at again. */
	found->unchanged = fine == ATOM_OK && known_unchanged(scan, found);
	return ATOM_OK;
}

static int is_library(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 3 &&
	       strcmp(entry->d_name + length - 3, ".so") == 0;
}

static atom_status look_into(struct scan *scan, const char *folder)
{
	struct atom_error unfit = ATOM_ERROR_INIT;
	struct dirent **entries = NULL;
	atom_status status = ATOM_OK;
	char real[PATH_MAX];
	int count;

	status = plugin_folder_check(folder, real, &unfit);
	if (status != ATOM_OK)
		log_line(ATOM_LOG_WARN, "plugin_folder", unfit.message,
			 LOG_TEXT("folder", folder));
	/* Files of a folder that others may write are listed, as refused. */
	if (status != ATOM_OK && status != ATOM_EPERM)
		return ATOM_OK;
	count = scandir(real, &entries, is_library, alphasort);
	if (count < 0) {
		log_line(ATOM_LOG_WARN, "plugin_folder", strerror(errno),
			 LOG_TEXT("folder", folder));
		return ATOM_OK;
	}
	if (count > SCAN_FILES_MAX)
		log_line(ATOM_LOG_WARN, "plugin_folder",
			 "a plugin folder holds too many files; the first "
			 "ones are read",
			 LOG_TEXT("folder", folder), LOG_NUMBER("files", count),
			 LOG_NUMBER("read", SCAN_FILES_MAX));
	status = ATOM_OK;
	for (int i = 0; i < count; i++) {
		if (i < SCAN_FILES_MAX && status == ATOM_OK)
			status =
				look_at(scan, real, entries[i]->d_name, &unfit);
		free(entries[i]);
	}
	free(entries);
	return status;
}

/* --- files --------------------------------------------------------------- */

/* Its bytes, its note.  What is left without refusal is to be probed. */
static void read_file(struct found *found, struct plugin_file *file)
{
	struct atom_error error = ATOM_ERROR_INIT;
	atom_status status = plugin_file_open(found->path, file, &error);

	if (status == ATOM_OK) {
		memcpy(found->hash, file->hash, PLUGIN_HASH);
		found->hashed = true;
		status = note_read(file->bytes, file->length, &found->note,
				   &error);
		found->noted = status == ATOM_OK;
	}
	if (status == ATOM_OK)
		status = note_check(&found->note, &error);
	if (status != ATOM_OK) {
		found->refusal = mem_strdup(error.message);
		plugin_file_close(file);
	}
}

static void probe_batch(struct scan *scan, struct found **batch, size_t count)
{
	struct plugin_file files[BATCH];
	struct probe_job jobs[BATCH];
	struct found *probed[BATCH];
	size_t job_count = 0;

	for (size_t i = 0; i < count; i++) {
		files[i] = (struct plugin_file){ .copy_fd = -1, .file_fd = -1 };
		read_file(batch[i], &files[i]);
		if (files[i].bytes == NULL)
			continue;
		probed[job_count] = batch[i];
		jobs[job_count++] =
			(struct probe_job){ .file = &files[i],
					    .in_place = scan->in_place };
	}
	probe_run(jobs, job_count);
	for (size_t i = 0; i < job_count; i++) {
		probed[i]->answer = jobs[i].answer;
		probed[i]->refusal = jobs[i].refusal;
	}
	for (size_t i = 0; i < count; i++)
		plugin_file_close(&files[i]);
}

atom_status scan_run(struct scan *scan)
{
	struct found *batch[BATCH];
	size_t in_batch = 0;
	atom_status status = ATOM_OK;

	for (size_t i = 0; status == ATOM_OK && scan->directories[i] != NULL;
	     i++)
		status = look_into(scan, scan->directories[i]);
	if (status != ATOM_OK)
		return status;
	for (size_t i = 0; i < scan->found_count; i++) {
		struct found *found = &scan->found[i];

		if (!found->unchanged && found->refusal == NULL)
			batch[in_batch++] = found;
		if (in_batch == BATCH || i + 1 == scan->found_count) {
			probe_batch(scan, batch, in_batch);
			in_batch = 0;
		}
	}
	for (size_t i = 0; i < scan->found_count; i++)
		if (!scan->found[i].unchanged &&
		    scan->found[i].answer == NULL &&
		    scan->found[i].refusal == NULL)
			return ATOM_ENOMEM;
	return ATOM_OK;
}
