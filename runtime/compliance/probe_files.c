/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"

#define DEPTH_MAX 16
#define CHUNK	  ((size_t)256 * 1024)
/* No word that is looked for is longer. */
#define WORD_MAX ((size_t)256)

static atom_status walk(const char *folder, unsigned int depth,
			int (*visit)(void *argument, const char *path,
				     unsigned int mode),
			void *argument, bool *ended, struct atom_error *err)
{
	struct dirent *entry;
	struct stat info;
	char path[4096];
	atom_status status = ATOM_OK;
	DIR *open_folder;

	if (depth > DEPTH_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "%s: folders nest more than %d deep", folder,
				 DEPTH_MAX);
	open_folder = opendir(folder);
	if (open_folder == NULL)
		return atom_fail(err, ATOM_EIO, "%s: %s", folder,
				 strerror(errno));
	while (status == ATOM_OK && !*ended &&
	       (entry = readdir(open_folder)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", folder,
			     entry->d_name) >= (int)sizeof(path))
			continue;
		/* Files come and go while the daemon works. */
		if (lstat(path, &info) != 0)
			continue;
		*ended = visit(argument, path, info.st_mode) != 0;
		if (!*ended && S_ISDIR(info.st_mode))
			status = walk(path, depth + 1, visit, argument, ended,
				      err);
	}
	(void)closedir(open_folder);
	return status;
}

atom_status probe_walk(const char *folder,
		       int (*visit)(void *argument, const char *path,
				    unsigned int mode),
		       void *argument, struct atom_error *err)
{
	struct stat info;
	bool ended = false;

	if (lstat(folder, &info) != 0)
		return atom_fail(err, ATOM_EIO, "%s: %s", folder,
				 strerror(errno));
	if (visit(argument, folder, info.st_mode) != 0)
		return ATOM_OK;
	return walk(folder, 0, visit, argument, &ended, err);
}

/* --- words in files -------------------------------------------------------------- */

struct searching {
	struct probe_search *search;
	char *chunk; /* WORD_MAX bytes of the last one, then the next */
};

static bool holds(struct probe_search *search, const char *bytes, size_t length)
{
	for (size_t i = 0; search->words[i] != NULL; i++) {
		if (memmem(bytes, length, search->words[i],
			   strlen(search->words[i])) != NULL) {
			search->found_word = i;
			return true;
		}
	}
	return false;
}

static int search_file(void *argument, const char *path, unsigned int mode)
{
	struct searching *searching = argument;
	struct probe_search *search = searching->search;
	size_t kept = 0;
	ssize_t n;
	int fd;

	if (!S_ISREG(mode))
		return 0;
	fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	search->files++;
	while (!search->cut &&
	       (n = os.read(fd, searching->chunk + kept, CHUNK)) > 0) {
		size_t length = kept + (size_t)n;

		search->bytes += n;
		if (holds(search, searching->chunk, length)) {
			(void)snprintf(search->found, sizeof(search->found),
				       "%.250s", path);
			break;
		}
		kept = length < WORD_MAX ? length : WORD_MAX;
		memmove(searching->chunk, searching->chunk + length - kept,
			kept);
		search->cut = search->bytes >= search->bytes_max;
	}
	(void)os.close(fd);
	return search->cut || search->found[0] != '\0';
}

atom_status probe_files(const char *folder, struct probe_search *search,
			struct atom_error *err)
{
	struct searching searching = { search, mem_alloc(WORD_MAX + CHUNK) };
	atom_status status;

	search->files = 0;
	search->bytes = 0;
	search->cut = false;
	search->found[0] = '\0';
	if (searching.chunk == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	status = probe_walk(folder, search_file, &searching, err);
	/* What was read may be secret. */
	explicit_bzero(searching.chunk, WORD_MAX + CHUNK);
	mem_free(searching.chunk);
	return status;
}
