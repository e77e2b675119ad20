/* SPDX-License-Identifier: Apache-2.0 */

/* The folder: one writer, nothing that strangers may write to, files that are
 * replaced as a whole. */

#include "sink_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_FILE_MAX ((off_t)64 * 1024 * 1024)

static atom_status set_path(struct sink *sink, struct atom_error *err)
{
	const char *path = sink->options->path;
	bool absolute = path[0] == '/';
	int length = snprintf(sink->path, sizeof(sink->path), "%s%s%s",
			      absolute ? "" : sink->host->directory,
			      absolute ? "" : "/", path);

	if (path[0] == '\0')
		return atom_fail(err, ATOM_EINVAL,
				 "`path` is empty: name the folder that the "
				 "audit log is kept in");
	if (length < 0 || (size_t)length >= sizeof(sink->path))
		return atom_fail(err, ATOM_EINVAL,
				 "`path` is longer than %zu bytes",
				 sizeof(sink->path) - 1);
	return ATOM_OK;
}

atom_status folder_open(struct sink *sink, struct atom_error *err)
{
	atom_status status = set_path(sink, err);
	struct stat st;

	if (status != ATOM_OK)
		return status;
	sink->folder = audit_disk.folder(sink->path);
	if (sink->folder < 0)
		return atom_fail(err, ATOM_EIO, "cannot use the folder %s: %s",
				 sink->path, strerror(errno));
	if (audit_disk.stat(sink->folder, &st) != 0)
		return atom_fail(err, ATOM_EIO, "cannot look at %s: %s",
				 sink->path, strerror(errno));
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return atom_fail(err, ATOM_EPERM,
				 "%s can be written by others (mode %04o); "
				 "chmod 0700 it",
				 sink->path, (unsigned int)st.st_mode & 07777);
	if (audit_disk.lock(sink->folder) == 0)
		return ATOM_OK;
	if (errno == EWOULDBLOCK)
		return atom_fail(err, ATOM_EBUSY,
				 "%s is in use by another writer: each audit "
				 "log has one daemon and one file sink",
				 sink->path);
	return atom_fail(err, ATOM_EIO, "cannot lock %s: %s", sink->path,
			 strerror(errno));
}

void segment_name(uint64_t number, char out[SEGMENT_NAME_MAX])
{
	(void)snprintf(out, SEGMENT_NAME_MAX, "segment-%08" PRIu64 ".log",
		       number);
}

/* --- what is there -------------------------------------------------------- */

struct numbers {
	uint64_t *items;
	size_t count, capacity;
};

static bool number_of(const char *name, uint64_t *number_r)
{
	const size_t before = strlen("segment-"), behind = strlen(".log");
	size_t length = strlen(name);
	char again[SEGMENT_NAME_MAX];
	struct atom_span digits;

	if (length < before + 8 + behind)
		return false;
	digits = (struct atom_span){ name + before, length - before - behind };
	while (digits.length > 1 && digits.bytes[0] == '0') {
		digits.bytes++;
		digits.length--;
	}
	if (!text_to_number(&digits, number_r) || *number_r == 0)
		return false;
	segment_name(*number_r, again);
	return strcmp(again, name) == 0;
}

static int note_number(void *argument, const char *name)
{
	struct numbers *numbers = argument;
	uint64_t number;

	if (!number_of(name, &number))
		return 0;
	if (numbers->count == numbers->capacity) {
		size_t capacity =
			numbers->capacity ? 2 * numbers->capacity : 64;
		uint64_t *items =
			reallocarray(numbers->items, capacity, sizeof(*items));

		if (items == NULL) {
			errno = ENOMEM;
			return -1;
		}
		numbers->items = items;
		numbers->capacity = capacity;
	}
	numbers->items[numbers->count++] = number;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

atom_status folder_segments(const struct sink *sink, uint64_t **numbers_r,
			    size_t *count_r, struct atom_error *err)
{
	struct numbers numbers = { 0 };

	if (audit_disk.list(sink->folder, note_number, &numbers) != 0) {
		free(numbers.items);
		return atom_fail(err, ATOM_EIO, "cannot list %s: %s",
				 sink->path, strerror(errno));
	}
	if (numbers.count > 1)
		qsort(numbers.items, numbers.count, sizeof(*numbers.items),
		      by_number);
	*numbers_r = numbers.items;
	*count_r = numbers.count;
	return ATOM_OK;
}

/* Names of half-made files, each ended by a NUL. */
static int note_unfinished(void *argument, const char *name)
{
	static const char *const whole[] = { HEAD_NAME, KEY_NAME,
					     TOMBSTONES_NAME, RESERVE_NAME };
	char plain[SEGMENT_NAME_MAX];
	size_t length = strlen(name);
	uint64_t number;

	if (length < 5 || length - 4 >= sizeof(plain) ||
	    strcmp(name + length - 4, ".new") != 0)
		return 0;
	memcpy(plain, name, length - 4);
	plain[length - 4] = '\0';
	if (number_of(plain, &number))
		text_add(argument, name, length + 1);
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (strcmp(plain, whole[i]) == 0)
			text_add(argument, name, length + 1);
	return 0;
}

atom_status folder_clean(const struct sink *sink, struct atom_error *err)
{
	atom_status status = ATOM_OK;
	struct text names = { 0 };

	if (audit_disk.list(sink->folder, note_unfinished, &names) != 0)
		status = atom_fail(err, ATOM_EIO, "cannot list %s: %s",
				   sink->path, strerror(errno));
	else if (names.failed)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	for (size_t at = 0; status == ATOM_OK && at < names.length;
	     at += strlen(names.bytes + at) + 1)
		if (audit_disk.unlink(sink->folder, names.bytes + at) != 0)
			status = atom_fail(
				err, ATOM_EIO, "cannot remove %s/%s: %s",
				sink->path, names.bytes + at, strerror(errno));
	text_fini(&names);
	return status;
}

/* --- whole files ---------------------------------------------------------- */

bool write_all(int fd, const char *bytes, size_t length, off_t at)
{
	while (length > 0) {
		ssize_t done = audit_disk.write(fd, bytes, length, at);

		if (done < 0)
			return false;
		if (done == 0) {
			errno = EIO;
			return false;
		}
		bytes += done;
		length -= (size_t)done;
		at += done;
	}
	return true;
}

atom_status folder_replace(const struct sink *sink, const char *name,
			   const char *bytes, size_t length, int *fd_r,
			   struct atom_error *err)
{
	const char *doing = "make";
	char temporary[SEGMENT_NAME_MAX + 8];
	atom_status status;
	int fd, why;

	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);
	(void)audit_disk.unlink(sink->folder, temporary);
	fd = audit_disk.open(sink->folder, temporary, O_RDWR | O_CREAT | O_EXCL,
			     0600);
	if (fd < 0)
		goto failed;
	doing = "write";
	if (!write_all(fd, bytes, length, 0))
		goto failed;
	doing = "sync";
	if (audit_disk.sync(fd) != 0)
		goto failed;
	doing = "rename";
	if (audit_disk.rename(sink->folder, temporary, name) != 0)
		goto failed;
	if (audit_disk.sync_names(sink->folder) != 0) {
		status = atom_fail(err, ATOM_EIO,
				   "cannot sync the folder %s after %s: %s",
				   sink->path, name, strerror(errno));
		if (fd_r == NULL)
			(void)audit_disk.close(fd);
		else
			*fd_r = fd;
		return status;
	}
	if (fd_r != NULL)
		*fd_r = fd;
	else
		(void)audit_disk.close(fd);
	return ATOM_OK;

failed:
	why = errno;
	status = atom_fail(err, ATOM_EIO, "cannot %s %s/%s: %s", doing,
			   sink->path, temporary, strerror(why));
	if (fd >= 0)
		(void)audit_disk.close(fd);
	(void)audit_disk.unlink(sink->folder, temporary);
	errno = why;
	return status;
}

atom_status folder_read(const struct sink *sink, const char *name,
			struct text *text, struct atom_error *err)
{
	int fd = audit_disk.open(sink->folder, name, O_RDONLY, 0);
	atom_status status = ATOM_OK;
	struct stat st;
	off_t at = 0;

	if (fd < 0)
		return atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				 "cannot open %s/%s: %s", sink->path, name,
				 strerror(errno));
	if (audit_disk.stat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > SMALL_FILE_MAX) {
		status = atom_fail(err, ATOM_EDATALOSS,
				   "%s/%s: expected a file of at most 64 MiB",
				   sink->path, name);
		goto out;
	}
	while (at < st.st_size) {
		size_t want = (size_t)(st.st_size - at);
		char *room = text_room(text, want);
		ssize_t got = room ? audit_disk.read(fd, room, want, at) : -1;

		if (got <= 0) {
			status = atom_fail(err, ATOM_EIO, "cannot read %s/%s",
					   sink->path, name);
			goto out;
		}
		text->length += (size_t)got;
		at += got;
	}
out:
	(void)audit_disk.close(fd);
	return status;
}
