/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CONFIG_FIXTURE_H
#define TEST_CONFIG_FIXTURE_H

/*
 * A folder of its own for each test, and one call that writes a file, reads
 * it as a configuration and keeps what was said.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

static char folder[256];
static struct buffer said = BUFFER_INIT(1024 * 1024);
static struct config *config;

static void set_up(void)
{
	const char *above = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%s/config-XXXXXX",
		       above ? above : "/tmp");
	cr_assert_not_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *stat_of, int type,
		      struct FTW *where)
{
	(void)stat_of;
	(void)type;
	(void)where;
	return remove(path);
}

static void tear_down(void)
{
	config_unref(&config);
	buffer_fini(&said);
	(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Path of `name` in the folder; valid until the fourth next call. */
static inline const char *at(const char *name)
{
	static char paths[4][512];
	static unsigned int turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static inline void put_bytes(const char *name, const void *bytes, size_t length)
{
	const char *slash = strchr(name, '/');
	char above[256];
	FILE *out;

	while (slash) {
		(void)snprintf(above, sizeof(above), "%.*s",
			       (int)(slash - name), name);
		(void)mkdir(at(above), 0700);
		slash = strchr(slash + 1, '/');
	}
	out = fopen(at(name), "w");
	cr_assert_not_null(out, "%s", name);
	cr_assert_eq(fwrite(bytes, 1, length, out), length);
	(void)fclose(out);
}

static inline void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static inline atom_status load_with(const struct config_override *overrides,
				    size_t count)
{
	buffer_clear(&said);
	config_unref(&config);
	return config_load(at("atomd.conf"), overrides, count, &config, &said);
}

static inline atom_status load(const char *text)
{
	put("atomd.conf", text);
	return load_with(NULL, 0);
}

static inline const char *words(void)
{
	return said.length ? said.bytes : "";
}

/* The file is taken. */
#define ACCEPT(text)                                                     \
	do {                                                             \
		atom_status status_ = load(text);                        \
		cr_assert_eq(status_, ATOM_OK, "%s\n%s", text, words()); \
		cr_assert_str_empty(words());                            \
	} while (0)

/* The file is refused, "atomd.conf:LINE: " and `part` are said. */
#define REFUSE(line, part, text)                                            \
	do {                                                                \
		char where_[64];                                            \
		atom_status status_ = load(text);                           \
		cr_assert_eq(status_, ATOM_EINVAL, "taken: %s", text);      \
		cr_assert_null(config);                                     \
		(void)snprintf(where_, sizeof(where_),                      \
			       "/atomd.conf:%d: ", (line));                 \
		cr_assert_not_null(strstr(words(), where_), "%s\n%s", text, \
				   words());                                \
		cr_assert_not_null(strstr(words(), part), "no %s\n%s\n%s",  \
				   part, text, words());                    \
	} while (0)

#endif
