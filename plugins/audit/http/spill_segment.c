/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/spill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "spill-"

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t first)
{
	(void)snprintf(name, SEGMENT_NAME_SIZE, PREFIX "%020" PRIu64, first);
}

/* --- the list --------------------------------------------------------------- */

struct segment *segment_add(struct spill *spill, uint64_t first)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	if (segment == NULL)
		return NULL;
	segment->first = first;
	if (spill->last != NULL)
		spill->last->next = segment;
	else
		spill->first = segment;
	spill->last = segment;
	return segment;
}

static void remove_file(struct spill *spill, uint64_t first)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(name, first);
	(void)unlinkat(spill->directory, name, 0);
}

void segment_remove_first(struct spill *spill)
{
	struct segment *segment = spill->first;

	remove_file(spill, segment->first);
	if (spill->read_fd >= 0)
		(void)close(spill->read_fd);
	spill->read_fd = -1;
	spill->read_at = 0;
	spill->bytes -= segment->length;
	spill->first = segment->next;
	if (spill->last == segment) {
		spill->last = NULL;
		if (spill->write_fd >= 0)
			(void)close(spill->write_fd);
		spill->write_fd = -1;
	}
	free(segment);
}

void segment_remove_last(struct spill *spill)
{
	struct segment *before = NULL, *last = spill->last;

	for (struct segment *s = spill->first; s != last; s = s->next)
		before = s;
	if (before == NULL) {
		segment_remove_first(spill);
		return;
	}
	remove_file(spill, last->first);
	before->next = NULL;
	spill->last = before;
	free(last);
}

/* --- reading ---------------------------------------------------------------- */

/* `length` bytes at `at`, or up to the file's end. */
static atom_status read_at(int fd, uint8_t *to, size_t length, uint64_t at,
			   size_t *got_r, struct atom_error *err)
{
	size_t used = 0;

	while (used < length) {
		ssize_t got =
			pread(fd, to + used, length - used, (off_t)(at + used));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return atom_fail(err, ATOM_EIO, "spill: read: %s",
					 strerror(errno));
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*got_r = used;
	return ATOM_OK;
}

static bool buffer_holds(struct spill *spill, size_t size)
{
	uint8_t *buffer;

	if (size <= spill->buffer_size)
		return true;
	buffer = realloc(spill->buffer, size);
	if (buffer == NULL)
		return false;
	spill->buffer = buffer;
	spill->buffer_size = size;
	return true;
}

/* `wanted` bytes at `at`, in the spill's buffer. */
static atom_status fetch(struct spill *spill, int fd, uint64_t at,
			 size_t wanted, struct atom_error *err)
{
	size_t got = 0;
	atom_status status;

	if (!buffer_holds(spill, wanted))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = read_at(fd, spill->buffer, wanted, at, &got, err);
	if (status != ATOM_OK)
		return status;
	if (got == 0)
		return ATOM_ENOENT;
	return got < wanted ? ATOM_EDATALOSS : ATOM_OK;
}

atom_status segment_read(struct spill *spill, int fd, uint64_t at,
			 struct entry *entry, size_t *size_r,
			 struct atom_error *err)
{
	size_t sealed;
	atom_status status = fetch(spill, fd, at, ENTRY_HEAD, err);

	*size_r = 0;
	if (status != ATOM_OK)
		return status;
	sealed = spill_sealed_size(spill->buffer);
	if (sealed > 0) {
		status = fetch(spill, fd, at, sealed, err);
		if (status != ATOM_OK)
			return status;
		*size_r = sealed;
		return spill_open_sealed(spill, spill->buffer, sealed, entry,
					 err);
	}
	/* Of a version that did not seal. */
	status = entry_decode(spill->buffer, ENTRY_HEAD, entry, size_r);
	if (status != ATOM_ENOENT)
		return status;
	status = fetch(spill, fd, at, entry_size(entry), err);
	if (status == ATOM_OK)
		status = entry_decode(spill->buffer, entry_size(entry), entry,
				      size_r);
	return status == ATOM_ENOENT ? ATOM_EDATALOSS : status;
}

/* --- what an earlier run left ----------------------------------------------- */

static void move_on(struct position *position, const struct entry *entry)
{
	if (entry->ordinal <= position->taken)
		return;
	position->taken = entry->ordinal;
	position->sequence = entry->sequence;
	memcpy(position->hash, entry->hash, sizeof(position->hash));
	if (entry->kind != ENTRY_CHECKPOINT)
		return;
	position->checkpoint = entry->sequence;
	position->range_count = entry->range_count;
	memcpy(position->range, entry->range, (size_t)entry->range_count * 32);
}

/* Acknowledged entries between what was read last and `entry`. */
static uint64_t missing_before(const struct spill *spill,
			       const struct entry *entry)
{
	uint64_t known = spill->appended > spill->consumed ? spill->appended
							   : spill->consumed;

	return entry->ordinal > known + 1 ? entry->ordinal - known - 1 : 0;
}

static atom_status scan_one(struct spill *spill, struct segment *segment,
			    struct position *position, struct atom_error *err)
{
	char name[SEGMENT_NAME_SIZE];
	struct entry entry = { 0 };
	struct stat st;
	atom_status status = ATOM_OK;
	size_t size = 0;
	int fd;

	segment_name(name, segment->first);
	fd = openat(spill->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) != 0) {
		status = atom_fail(err, ATOM_EIO, "spill %s/%s: %s",
				   spill->path, name, strerror(errno));
		goto out;
	}
	while ((status = segment_read(spill, fd, segment->length, &entry, &size,
				      err)) == ATOM_OK) {
		uint64_t lost = missing_before(spill, &entry);

		if (lost > 0)
			spill->damage(spill->argument, name, segment->length,
				      lost);
		segment->length += size;
		if (entry.ordinal > spill->appended)
			spill->appended = entry.ordinal;
		move_on(position, &entry);
	}
	if (status == ATOM_EDATALOSS && segment->length == 0 && size > 0)
		status = atom_fail(err, ATOM_EDATALOSS,
				   "spill %s/%s does not open: it was sealed "
				   "under another keyring, or is damaged; "
				   "restore the keyring, or move the file away "
				   "and lose what waits in it",
				   spill->path, name);
	else if (status == ATOM_ENOENT || status == ATOM_EDATALOSS)
		status = ATOM_OK;
	if (status != ATOM_OK)
		goto out;
	if ((uint64_t)st.st_size > segment->length)
		spill->damage(spill->argument, name, segment->length, 0);
	spill->bytes += segment->length;
out:
	if (fd >= 0)
		(void)close(fd);
	return status;
}

static int is_segment(const struct dirent *entry)
{
	const char *digits = entry->d_name + strlen(PREFIX);

	return strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 &&
	       strlen(digits) == 20 &&
	       strspn(digits, "0123456789") == strlen(digits);
}

atom_status segments_scan(struct spill *spill, struct position *position,
			  struct atom_error *err)
{
	struct dirent **names = NULL;
	int count =
		scandirat(spill->directory, ".", &names, is_segment, alphasort);
	atom_status status = ATOM_OK;

	if (count < 0)
		return atom_fail(err, ATOM_EIO, "spill %s: %s", spill->path,
				 strerror(errno));
	for (int i = 0; i < count; i++) {
		uint64_t first =
			strtoull(names[i]->d_name + strlen(PREFIX), NULL, 10);
		struct segment *segment;

		free(names[i]);
		if (status != ATOM_OK)
			continue;
		segment = segment_add(spill, first);
		if (segment == NULL) {
			status = atom_fail(err, ATOM_ENOMEM, "out of memory");
			continue;
		}
		status = scan_one(spill, segment, position, err);
		if (status == ATOM_OK && segment->length == 0)
			segment_remove_last(spill);
	}
	free(names);
	return status;
}
