/* SPDX-License-Identifier: Apache-2.0 */

/*
 * File name patterns, as glob(3) but bounded: glob() would look through all
 * of a disk for "/ * / * / * / *", however large it is.
 */

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/include_priv.h"
#include "core/memory.h"

#define COMPONENTS_MAX 16
#define STARS_MAX      4 /* of one component: matching stays fast */

struct expanding {
	char components[COMPONENTS_MAX][NAME_MAX + 1];
	size_t count;
	size_t entries; /* looked at so far */
	atom_status (*found)(void *argument, const char *path);
	void *argument;
	const char *why;
};

bool pattern_is_one(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

static atom_status refuse(struct expanding *e, const char *why)
{
	e->why = why;
	return ATOM_EINVAL;
}

static atom_status split(struct expanding *e, const char *pattern)
{
	while (*pattern) {
		size_t length = strcspn(pattern, "/"), stars = 0;

		if (length > NAME_MAX)
			return refuse(e, "a name in it is too long");
		if (length > 0) {
			char *component;

			if (e->count == COMPONENTS_MAX)
				return refuse(e, "it has too many folders");
			component = e->components[e->count];
			memcpy(component, pattern, length);
			component[length] = '\0';
			for (size_t i = 0; i < length; i++)
				stars += component[i] == '*';
			if (stars > STARS_MAX)
				return refuse(
					e, "more than 4 * in one name of it");
			e->count++;
		}
		pattern += length;
		pattern += strspn(pattern, "/");
	}
	return ATOM_OK;
}

static atom_status walk(struct expanding *e, const char *base, size_t at);

/* Goes on with `base` + `name`. */
static atom_status enter(struct expanding *e, const char *base,
			 const char *name, size_t at)
{
	bool last = at + 1 == e->count;
	char path[PATH_MAX];
	struct stat stat_of;
	int length = snprintf(path, sizeof(path), "%s%s%s", base, name,
			      last ? "" : "/");

	if (length < 0 || (size_t)length >= sizeof(path))
		return refuse(e, "a path of it is too long");
	if (!last)
		return walk(e, path, at + 1);
	/* A name found in a pattern's folders need not be in each of them. */
	if (stat(path, &stat_of) != 0 && errno == ENOENT)
		return ATOM_OK;
	return e->found(e->argument, path);
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

struct names {
	char **items;
	size_t count;
	size_t capacity;
};

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		mem_free(names->items[i]);
	mem_free(names->items);
}

static atom_status names_add(struct names *names, const char *name)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? names->capacity * 2 : 16;
		char **items =
			mem_realloc(names->items, capacity * sizeof(*items));

		if (items == NULL)
			return ATOM_ENOMEM;
		names->items = items;
		names->capacity = capacity;
	}
	names->items[names->count] = mem_strdup(name);
	if (names->items[names->count] == NULL)
		return ATOM_ENOMEM;
	names->count++;
	return ATOM_OK;
}

/* The sorted names of a folder that match; none when it is not there. */
static atom_status list_matches(struct expanding *e, const char *base,
				const char *pattern, struct names *names)
{
	DIR *folder = opendir(*base ? base : ".");
	atom_status status = ATOM_OK;
	const struct dirent *entry;

	if (folder == NULL && (errno == ENOENT || errno == ENOTDIR))
		return ATOM_OK;
	if (folder == NULL)
		return refuse(e, strerror(errno));
	while (status == ATOM_OK && (entry = readdir(folder)) != NULL) {
		if (++e->entries > INCLUDE_ENTRIES_MAX)
			status = refuse(e, "its folders hold too many files");
		else if (fnmatch(pattern, entry->d_name, FNM_PERIOD) == 0)
			status = names_add(names, entry->d_name);
	}
	(void)closedir(folder);
	if (status == ATOM_OK && names->count > 1)
		qsort(names->items, names->count, sizeof(*names->items),
		      by_text);
	return status;
}

static atom_status walk(struct expanding *e, const char *base, size_t at)
{
	const char *component = e->components[at];
	struct names names = { NULL, 0, 0 };
	atom_status status;

	if (!pattern_is_one(component))
		return enter(e, base, component, at);
	status = list_matches(e, base, component, &names);
	for (size_t i = 0; status == ATOM_OK && i < names.count; i++)
		status = enter(e, base, names.items[i], at);
	names_free(&names);
	return status;
}

atom_status pattern_expand(const char *base, const char *pattern,
			   atom_status (*found)(void *argument,
						const char *path),
			   void *argument, const char **why_r)
{
	struct expanding *e;
	char path[PATH_MAX];
	atom_status status;
	int length;

	if (*pattern == '/')
		base = "";
	if (!pattern_is_one(pattern)) {
		length = snprintf(path, sizeof(path), "%s%s", base, pattern);
		if (length > 0 && (size_t)length < sizeof(path))
			return found(argument, path);
		*why_r = "it is too long";
		return ATOM_EINVAL;
	}
	e = mem_zalloc(sizeof(*e));
	if (e == NULL)
		return ATOM_ENOMEM;
	e->found = found;
	e->argument = argument;
	status = split(e, pattern);
	if (status == ATOM_OK)
		status = walk(e, *pattern == '/' ? "/" : base, 0);
	if (e->why)
		*why_r = e->why;
	mem_free(e);
	return status;
}
