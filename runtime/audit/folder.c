/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/segment_read.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

#define PATH_BYTES 4096
#define STEP	   ((size_t)256 * 1024)
#define NAMES_MAX  ((size_t)1024 * 1024)

/* --- names ---------------------------------------------------------------- */

void folder_segment_name(uint64_t number, char out[FOLDER_NAME_MAX])
{
	(void)snprintf(out, FOLDER_NAME_MAX, "segment-%08" PRIu64 ".log",
		       number);
}

static bool is_segment(const char *name, uint64_t *number_r)
{
	char digits[24], again[FOLDER_NAME_MAX];
	size_t length = strlen(name);
	int64_t number;

	if (length < 20 || length > 30 || strncmp(name, "segment-", 8) != 0)
		return false;
	memcpy(digits, name + 8, length - 12);
	digits[length - 12] = '\0';
	if (!text_to_int(digits, &number) || number <= 0)
		return false;
	*number_r = (uint64_t)number;
	folder_segment_name(*number_r, again);
	return strcmp(again, name) == 0;
}

static bool is_ours(const char *name)
{
	static const char *const names[] = { FOLDER_HEAD, FOLDER_KEY,
					     FOLDER_TOMBSTONES,
					     FOLDER_RESERVE };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* "head.new" and the like. */
static bool is_unfinished(const char *name)
{
	char whole[FOLDER_NAME_MAX];
	size_t length = strlen(name);
	uint64_t number;

	if (length < 5 || length - 4 >= sizeof(whole) ||
	    strcmp(name + length - 4, ".new") != 0)
		return false;
	memcpy(whole, name, length - 4);
	whole[length - 4] = '\0';
	return is_ours(whole) || is_segment(whole, &number);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool add_segment(struct folder *folder, size_t *room, uint64_t number)
{
	if (folder->segment_count == *room) {
		size_t more = *room ? 2 * *room : 64;
		uint64_t *segments =
			mem_realloc(folder->segments, more * sizeof(*segments));

		if (segments == NULL)
			return false;
		folder->segments = segments;
		*room = more;
	}
	folder->segments[folder->segment_count++] = number;
	return true;
}

static bool note_name(struct folder *folder, size_t *room, const char *name)
{
	struct buffer *names;
	uint64_t number;

	if (is_segment(name, &number))
		return add_segment(folder, room, number);
	if (is_ours(name))
		return true;
	names = is_unfinished(name) ? &folder->unfinished : &folder->unknown;
	return buffer_append_text(names, name) == ATOM_OK &&
	       buffer_append_char(names, '\n') == ATOM_OK;
}

atom_status folder_list(struct folder *folder, const char *path,
			struct atom_error *err)
{
	DIR *names = opendir(path);
	struct dirent *entry;
	size_t room = 0;
	bool done = true;

	*folder = (struct folder){ .path = path };
	buffer_init(&folder->unknown, NAMES_MAX);
	buffer_init(&folder->unfinished, NAMES_MAX);
	if (names == NULL)
		return atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				 "cannot open the folder %s: %s", path,
				 strerror(errno));
	while (done && (errno = 0, entry = readdir(names)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			done = note_name(folder, &room, entry->d_name);
	if (entry == NULL && errno != 0) {
		(void)closedir(names);
		return atom_fail(err, ATOM_EIO, "cannot list the folder %s",
				 path);
	}
	(void)closedir(names);
	if (!done)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for the names in %s", path);
	if (folder->segment_count > 1)
		qsort(folder->segments, folder->segment_count,
		      sizeof(*folder->segments), by_number);
	return ATOM_OK;
}

void folder_fini(struct folder *folder)
{
	mem_free(folder->segments);
	buffer_fini(&folder->unknown);
	buffer_fini(&folder->unfinished);
	folder->segments = NULL;
	folder->segment_count = 0;
}

/* --- files ---------------------------------------------------------------- */

static atom_status open_file(const char *path, const char *name, int *fd_r,
			     struct atom_error *err)
{
	char whole[PATH_BYTES];
	struct stat st;
	atom_status status;
	int fd, length;

	length = snprintf(whole, sizeof(whole), "%s/%s", path, name);
	if (length < 0 || (size_t)length >= sizeof(whole))
		return atom_fail(err, ATOM_EINVAL, "the name of %s is too long",
				 path);
	fd = os.open(whole, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd < 0)
		return atom_fail(err,
				 errno == ENOENT  ? ATOM_ENOENT
				 : errno == ELOOP ? ATOM_EDATALOSS
						  : ATOM_EIO,
				 "cannot open %s: %s", whole, strerror(errno));
	status = ATOM_OK;
	if (os.fstat(fd, &st) != 0)
		status = atom_fail(err, ATOM_EIO, "cannot look at %s: %s",
				   whole, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		status = atom_fail(err, ATOM_EDATALOSS, "%s is no regular file",
				   whole);
	if (status == ATOM_OK)
		*fd_r = fd;
	else
		(void)os.close(fd);
	return status;
}

/* Up to `length` bytes more; bytes read, 0 at the end, -1 with errno. */
static ssize_t append_read(int fd, struct buffer *out, size_t length)
{
	ssize_t got;

	if (buffer_reserve(out, length) != ATOM_OK) {
		errno = ENOMEM;
		return -1;
	}
	do
		got = os.read(fd, out->bytes + out->length, length);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		out->length += (size_t)got;
		out->bytes[out->length] = '\0';
	}
	return got;
}

static atom_status read_all(int fd, const char *name, struct buffer *out,
			    struct atom_error *err)
{
	for (;;) {
		size_t room = out->max - out->length;
		ssize_t got;
		char more;

		if (room == 0) {
			got = os.read(fd, &more, 1);
			return got == 0 ? ATOM_OK
					: atom_fail(err, ATOM_EDATALOSS,
						    "%s has more than %zu "
						    "bytes",
						    name, out->max);
		}
		got = append_read(fd, out, room < STEP ? room : STEP);
		if (got == 0)
			return ATOM_OK;
		if (got < 0)
			return atom_fail(err, ATOM_EIO, "cannot read %s: %s",
					 name, strerror(errno));
	}
}

atom_status folder_read(const char *path, const char *name, struct buffer *out,
			struct atom_error *err)
{
	atom_status status;
	int fd = -1;

	status = open_file(path, name, &fd, err);
	if (status != ATOM_OK)
		return status;
	status = read_all(fd, name, out, err);
	(void)os.close(fd);
	return status;
}

/* --- lines ---------------------------------------------------------------- */

atom_status folder_lines_open(struct folder_lines *lines, const char *path,
			      const char *name, struct atom_error *err)
{
	*lines = (struct folder_lines){ .fd = -1 };
	buffer_init(&lines->window, 2 * (SEGMENT_LINE_MAX + STEP));
	return open_file(path, name, &lines->fd, err);
}

void folder_lines_close(struct folder_lines *lines)
{
	if (lines->fd >= 0)
		(void)os.close(lines->fd);
	lines->fd = -1;
	buffer_fini(&lines->window);
}

enum folder_line folder_lines_next(struct folder_lines *lines,
				   struct atom_span *line_r)
{
	struct buffer *window = &lines->window;
	size_t seen = 0;

	for (;;) {
		size_t left = window->length - lines->given;
		char *begin = left ? window->bytes + lines->given : NULL;
		char *end = left > seen
				    ? memchr(begin + seen, '\n', left - seen)
				    : NULL;
		ssize_t got;

		if (end != NULL) {
			line_r->bytes = begin;
			line_r->length = (size_t)(end - begin);
			lines->given += line_r->length + 1;
			lines->offset += line_r->length + 1;
			return FOLDER_LINE;
		}
		if (left > SEGMENT_LINE_MAX)
			return FOLDER_PARTIAL;
		seen = left;
		if (lines->given > 0)
			buffer_consume(window, lines->given);
		lines->given = 0;
		got = append_read(lines->fd, window, STEP);
		if (got < 0)
			return FOLDER_FAILED;
		if (got == 0)
			return left > 0 ? FOLDER_PARTIAL : FOLDER_END;
	}
}

/* The table of system calls knows no seek: begin anew and read on. */
atom_status folder_lines_rest(struct folder_lines *lines, const char *path,
			      const char *name, uint64_t from,
			      struct buffer *out, struct atom_error *err)
{
	atom_status status;
	uint64_t at = 0;

	folder_lines_close(lines);
	status = folder_lines_open(lines, path, name, err);
	while (status == ATOM_OK && at < from) {
		size_t step = from - at < STEP ? (size_t)(from - at) : STEP;
		ssize_t got;

		buffer_clear(&lines->window);
		got = append_read(lines->fd, &lines->window, step);
		if (got <= 0)
			return atom_fail(err, ATOM_EIO, "%s became shorter",
					 name);
		at += (uint64_t)got;
	}
	return status == ATOM_OK ? read_all(lines->fd, name, out, err) : status;
}
