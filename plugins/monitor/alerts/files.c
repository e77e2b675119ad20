/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/files.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int find(const char *pattern, const char *directory, glob_t *found)
{
	char path[4096];
	int length = snprintf(path, sizeof(path), "%s%s%s",
			      *pattern == '/' ? "" : directory,
			      *pattern == '/' ? "" : "/", pattern);

	if (length < 0 || (size_t)length >= sizeof(path))
		return GLOB_NOMATCH;
	return glob(path, 0, NULL, found);
}

uint64_t files_stamp(const struct atom_strings *patterns, const char *directory)
{
	uint64_t stamp = 1;

	for (size_t i = 0; i < patterns->count; i++) {
		glob_t found = { 0 };

		if (find(patterns->items[i], directory, &found) == 0)
			for (size_t k = 0; k < found.gl_pathc; k++) {
				char text[160] = "";
				const struct label pair = { found.gl_pathv[k],
							    text };
				const struct labels one = { &pair, 1 };
				struct stat st;

				if (stat(found.gl_pathv[k], &st) == 0)
					(void)snprintf(
						text, sizeof(text),
						"%llu %lld %lld.%09ld",
						(unsigned long long)st.st_ino,
						(long long)st.st_size,
						(long long)st.st_mtim.tv_sec,
						st.st_mtim.tv_nsec);
				stamp = stamp * 31 + labels_hash(&one);
			}
		globfree(&found);
	}
	return stamp;
}

static atom_status read_file(const char *path, struct rules *rules,
			     struct atom_error *err)
{
	char *text = malloc(RULES_FILE_MAX + 1);
	FILE *file = fopen(path, "re");
	atom_status status;
	size_t length;

	if (text == NULL || file == NULL) {
		status = atom_fail(
			err, text == NULL ? ATOM_ENOMEM : ATOM_EIO, "%s: %s",
			path, text == NULL ? "out of memory" : strerror(errno));
		goto out;
	}
	length = fread(text, 1, RULES_FILE_MAX + 1, file);
	if (ferror(file) != 0)
		status = atom_fail(err, ATOM_EIO, "%s: %s", path,
				   strerror(errno));
	else
		status = rules_add(rules, path, text, length, err);
out:
	if (file != NULL)
		(void)fclose(file);
	free(text);
	return status;
}

atom_status files_read(const struct atom_strings *patterns,
		       const char *directory, struct rules *rules,
		       struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < patterns->count && status == ATOM_OK; i++) {
		const char *pattern = patterns->items[i];
		glob_t found = { 0 };

		if (find(pattern, directory, &found) == 0)
			for (size_t k = 0;
			     k < found.gl_pathc && status == ATOM_OK; k++)
				status = read_file(found.gl_pathv[k], rules,
						   err);
		else if (strpbrk(pattern, "*?[") == NULL)
			status = atom_fail(err, ATOM_ENOENT,
					   "option `rules`: there is no file "
					   "%s",
					   pattern);
		globfree(&found);
	}
	return status;
}
