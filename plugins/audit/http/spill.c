/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of this many segments is easy on the eye and frees its room in
 * small steps. */
#define SEGMENTS    16
#define SEGMENT_MIN (64u * 1024)
#define SEGMENT_MAX (16u * 1024 * 1024)

/* --- the folder ------------------------------------------------------------- */

static atom_status make_folders(const char *path, struct atom_error *err)
{
	char *copy = strdup(path);
	atom_status status = ATOM_OK;

	if (copy == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	for (char *at = copy + 1; status == ATOM_OK; at++) {
		char was = *at;

		if (was != '/' && was != '\0')
			continue;
		*at = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			status = atom_fail(err, ATOM_EIO, "make %s: %s", copy,
					   strerror(errno));
		*at = was;
		if (was == '\0')
			break;
	}
	free(copy);
	return status;
}

static atom_status claim(struct spill *spill, struct atom_error *err)
{
	struct stat st;
	atom_status status = make_folders(spill->path, err);

	if (status != ATOM_OK)
		return status;
	spill->directory =
		open(spill->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spill->directory < 0 || fstat(spill->directory, &st) != 0)
		return atom_fail(err, ATOM_EIO, "spill folder %s: %s",
				 spill->path, strerror(errno));
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return atom_fail(
			err, ATOM_EPERM,
			"spill folder %s: expected that only its owner "
			"may write, found mode %03o; chmod go-w",
			spill->path, st.st_mode & 0777u);
	spill->lock = openat(spill->directory, "lock",
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spill->lock < 0)
		return atom_fail(err, ATOM_EIO, "spill folder %s: lock: %s",
				 spill->path, strerror(errno));
	if (flock(spill->lock, LOCK_EX | LOCK_NB) != 0)
		return atom_fail(err, ATOM_EBUSY,
				 "spill folder %s: another sink or daemon uses "
				 "it; give each its own",
				 spill->path);
	return ATOM_OK;
}

atom_status spill_open(struct spill *spill, const char *path,
		       const struct spill_sealer *sealer, uint64_t size_max,
		       spill_damage damage, void *argument,
		       struct position_file *file, struct position *position,
		       struct atom_error *err)
{
	uint64_t segment_max = size_max / SEGMENTS;
	atom_status status;

	if (segment_max < SEGMENT_MIN)
		segment_max = SEGMENT_MIN;
	if (segment_max > SEGMENT_MAX)
		segment_max = SEGMENT_MAX;
	*spill = (struct spill){
		.path = strdup(path),
		.directory = -1,
		.lock = -1,
		.write_fd = -1,
		.read_fd = -1,
		.host = sealer->host,
		.seal = sealer->seal,
		.size_max = size_max,
		.segment_max = segment_max,
		.damage = damage,
		.argument = argument,
	};
	file->fd = -1;
	if (spill->path == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = claim(spill, err);
	if (status == ATOM_OK)
		status = position_open(file, spill->directory, position, err);
	if (status == ATOM_OK) {
		spill->consumed = position->delivered;
		status = segments_scan(spill, position, err);
	}
	if (status == ATOM_OK) {
		spill_consume(spill, spill->consumed);
		return ATOM_OK;
	}
	position_close(file);
	spill_close(spill);
	return status;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void spill_close(struct spill *spill)
{
	while (spill->first != NULL) {
		struct segment *segment = spill->first;

		spill->first = segment->next;
		free(segment);
	}
	spill->last = NULL;
	close_fd(&spill->read_fd);
	close_fd(&spill->write_fd);
	close_fd(&spill->lock);
	close_fd(&spill->directory);
	free(spill->buffer);
	free(spill->plain);
	free(spill->path);
	pack_fini(&spill->sealed);
	spill->buffer = spill->plain = NULL;
	spill->path = NULL;
}

/* --- one end ---------------------------------------------------------------- */

bool spill_is_empty(const struct spill *spill)
{
	return spill->first == NULL;
}

static atom_status fail_disk(const struct spill *spill, const char *doing,
			     struct atom_error *err)
{
	return atom_fail(err, ATOM_EIO, "spill folder %s: %s: %s", spill->path,
			 doing, strerror(errno));
}

static atom_status new_segment(struct spill *spill, uint64_t first,
			       struct atom_error *err)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(name, first);
	close_fd(&spill->write_fd);
	/* One whose first append failed may still be there. */
	(void)unlinkat(spill->directory, name, 0);
	spill->write_fd = openat(spill->directory, name,
				 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (spill->write_fd < 0)
		return fail_disk(spill, "make a segment", err);
	if (segment_add(spill, first) == NULL) {
		close_fd(&spill->write_fd);
		(void)unlinkat(spill->directory, name, 0);
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
	if (fsync(spill->directory) != 0)
		return fail_disk(spill, "sync", err);
	return ATOM_OK;
}

static atom_status write_all(struct spill *spill, const struct pack *pack,
			     struct atom_error *err)
{
	size_t used = 0;

	while (used < pack->length) {
		ssize_t put = pwrite(spill->write_fd, pack->bytes + used,
				     pack->length - used,
				     (off_t)(spill->last->length + used));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return fail_disk(spill, "write", err);
		used += (size_t)put;
	}
	if (fdatasync(spill->write_fd) != 0)
		return fail_disk(spill, "sync", err);
	return ATOM_OK;
}

/* The last segment may not be written again. */
static void end_segment(struct spill *spill)
{
	if (spill->write_fd >= 0 && spill->last != NULL)
		(void)!ftruncate(spill->write_fd, (off_t)spill->last->length);
	close_fd(&spill->write_fd);
	if (spill->last != NULL && spill->last->length == 0)
		segment_remove_last(spill);
}

/* The first and the last of them; false: there is none. */
static bool ordinals_of(const struct pack *pack, uint64_t *first_r,
			uint64_t *last_r)
{
	struct entry entry = { 0 };

	for (size_t at = 0, size; at < pack->length; at += size) {
		if (entry_decode(pack->bytes + at, pack->length - at, &entry,
				 &size) != ATOM_OK)
			return false;
		if (at == 0)
			*first_r = entry.ordinal;
	}
	*last_r = entry.ordinal;
	return true;
}

atom_status spill_append(struct spill *spill, const struct pack *pack,
			 struct atom_error *err)
{
	const struct pack *on_disk = pack;
	uint64_t first, last;
	atom_status status = ATOM_OK;

	if (pack->length == 0)
		return ATOM_OK;
	if (!ordinals_of(pack, &first, &last))
		return atom_fail(err, ATOM_EINTERNAL, "no entries to spill");
	if (spill->seal != NULL) {
		on_disk = &spill->sealed;
		status = spill_seal_pack(spill, pack, &spill->sealed, err);
		if (status != ATOM_OK)
			return status;
	}
	if (spill->bytes + on_disk->length > spill->size_max)
		return atom_fail(err, ATOM_EBUSY,
				 "spill folder %s is full (%llu bytes): the "
				 "receiver has been away for too long; raise "
				 "spill_size",
				 spill->path, (unsigned long long)spill->bytes);
	if (spill->write_fd < 0 || spill->last->length >= spill->segment_max)
		status = new_segment(spill, first, err);
	if (status == ATOM_OK)
		status = write_all(spill, on_disk, err);
	if (status != ATOM_OK) {
		end_segment(spill);
		return status;
	}
	spill->last->length += on_disk->length;
	spill->bytes += on_disk->length;
	spill->appended = last;
	return ATOM_OK;
}

/* --- the other end ---------------------------------------------------------- */

void spill_consume(struct spill *spill, uint64_t ordinal)
{
	if (ordinal > spill->consumed)
		spill->consumed = ordinal;
	while (spill->first != NULL && spill->appended <= spill->consumed)
		segment_remove_first(spill);
}

static atom_status open_first(struct spill *spill, struct atom_error *err)
{
	char name[SEGMENT_NAME_SIZE];

	if (spill->read_fd >= 0)
		return ATOM_OK;
	segment_name(name, spill->first->first);
	spill->read_fd = openat(spill->directory, name,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (spill->read_fd < 0)
		return fail_disk(spill, name, err);
	return ATOM_OK;
}

/* What was whole when it was written or found is not any more: the rest of
 * the segment is given up. */
static void give_up_segment(struct spill *spill)
{
	char name[SEGMENT_NAME_SIZE];
	const struct segment *next = spill->first->next;
	uint64_t known = next != NULL ? next->first - 1 : spill->appended;

	segment_name(name, spill->first->first);
	spill->damage(spill->argument, name, spill->read_at,
		      known > spill->consumed ? known - spill->consumed : 1);
	segment_remove_first(spill);
	spill_consume(spill, known);
}

atom_status spill_peek(struct spill *spill, size_t records, size_t bytes,
		       struct pack *pack, struct atom_error *err)
{
	uint64_t at = spill->read_at;

	pack_clear(pack);
	while (spill->first != NULL && pack->count < records) {
		struct entry entry = { 0 };
		size_t size = 0;
		atom_status status = ATOM_ENOENT;

		if (at < spill->first->length) {
			status = open_first(spill, err);
			if (status == ATOM_OK)
				status = segment_read(spill, spill->read_fd, at,
						      &entry, &size, err);
			if (status == ATOM_ENOENT)
				status =
					ATOM_EDATALOSS; /* shorter than it was */
		}
		if (status == ATOM_OK && entry.ordinal <= spill->consumed) {
			at += size;
			spill->read_at = at;
			continue;
		}
		if (status != ATOM_OK && pack->count > 0)
			return ATOM_OK; /* what is there first */
		if (status == ATOM_EDATALOSS) {
			give_up_segment(spill);
			at = spill->read_at;
			continue;
		}
		if (status == ATOM_ENOENT) {
			segment_remove_first(spill);
			at = 0;
			continue;
		}
		if (status == ATOM_OK && pack->count > 0 &&
		    pack->length + size > bytes)
			return ATOM_OK;
		if (status == ATOM_OK)
			status = pack_add(pack, &entry, err);
		if (status != ATOM_OK)
			return status;
		at += size;
	}
	return ATOM_OK;
}
