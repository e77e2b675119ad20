/* SPDX-License-Identifier: Apache-2.0 */

/* Records read back, for searches and for sinks that catch up. */

#include "sink_priv.h"

#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

atom_status segment_open(const struct sink *sink, uint64_t number,
			 struct segment_head *head_r, int *fd_r,
			 struct atom_error *err)
{
	struct digest *digest = digest_new();
	enum head_state state = HEAD_MORE;
	atom_status status = ATOM_OK;
	char name[SEGMENT_NAME_MAX];
	struct atom_span line;
	struct scan scan;
	struct stat st;
	off_t offset = 0;
	int fd;

	segment_name(number, name);
	fd = audit_disk.open(sink->folder, name, O_RDWR, 0);
	scan_init(&scan, fd, 0, INT64_MAX);
	if (digest == NULL || fd < 0 || audit_disk.stat(fd, &st) != 0) {
		status =
			atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				  "cannot open %s/%s: %s", sink->path, name,
				  strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		status = damaged(sink, number, 0, err, "no regular file");
		goto out;
	}
	for (unsigned int i = 0; state == HEAD_MORE; i++) {
		if (scan_next(&scan, &line, &offset) != SCAN_LINE)
			break;
		state = line_read_segment_head(head_r, i, &line, digest);
	}
	if (state != HEAD_WHOLE || head_r->number != number)
		status = damaged(sink, number, offset, err,
				 "a head that is not what was written");
out:
	scan_fini(&scan);
	digest_free(&digest);
	if (status == ATOM_OK)
		*fd_r = fd;
	else if (fd >= 0)
		(void)audit_disk.close(fd);
	return status;
}

atom_status segment_unseal(struct sink *sink, uint64_t number,
			   const struct sealed_line *sealed,
			   struct atom_error *err)
{
	char name[96];
	struct atom_span identity = { name, 0 }, text = { NULL, 0 };
	char *bytes = malloc(sealed->base64.length);
	atom_status status;
	char *room;
	size_t length = 0;

	(void)snprintf(name, sizeof(name),
		       "segment %" PRIu64 " records %" PRIu64 " %" PRIu64,
		       number, sealed->first, sealed->count);
	identity.length = strlen(name);
	text_clear(&sink->plain);
	if (bytes == NULL ||
	    (room = text_room(&sink->plain, sealed->base64.length)) == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
		goto out;
	}
	text.bytes = bytes;
	if (sink->seal == NULL)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "segment %" PRIu64 " of %s is sealed, and "
				   "this daemon has no keyring (%s)",
				   number, sink->path, ATOM_SEAL);
	else if (!text_from_base64(&sealed->base64, bytes, &text.length))
		status = atom_fail(err, ATOM_EDATALOSS,
				   "segment %" PRIu64 " of %s has a sealed "
				   "line that is no base64",
				   number, sink->path);
	else
		status = sink->seal->open(sink->host, &identity, &text, room,
					  &length, err);
	if (status == ATOM_OK)
		sink->plain.length = length;
out:
	free(bytes);
	return status;
}

/* --- one reading ---------------------------------------------------------- */

struct reading {
	struct sink *sink;
	uint64_t after;
	uint64_t left;
	atom_audit_visit visit;
	void *argument;
	bool ended;
	uint64_t number; /* of the segment */
	struct position position;
};

/* Each record is checked against the one before, so that what is handed on is
 * what was written. */
static atom_status take_record(struct reading *reading,
			       const struct atom_span *line, off_t offset,
			       struct atom_error *err)
{
	struct position *before = &reading->position;
	const struct sink *sink = reading->sink;
	struct record_members members;
	struct record_line found;
	uint8_t hash[DIGEST_BYTES];

	if (!line_read_record(line, &found) ||
	    found.sequence != before->sequence + 1)
		return damaged(sink, reading->number, offset, err,
			       "a line that is not the next record");
	if (found.sequence > sink->synced.sequence) {
		reading->ended = true;
		return ATOM_OK;
	}
	before->sequence = found.sequence;
	if (found.sequence > reading->after && before->has_hash &&
	    (!digest_step(before->hash, found.json.bytes, found.json.length,
			  hash) ||
	     memcmp(hash, found.hash, sizeof(hash)) != 0))
		return damaged(sink, reading->number, offset, err,
			       "a record that its hash does not fit");
	before->has_hash = true;
	memcpy(before->hash, found.hash, sizeof(before->hash));
	if (found.sequence <= reading->after)
		return ATOM_OK;
	record_members(&found.json, &members);
	struct atom_audit_record record = {
		.struct_size = sizeof(record),
		.severity = members.severity,
		.sequence = found.sequence,
		.time_ms = members.time_ms,
		.category = members.category,
		.event_type = members.event_type,
		.json = found.json,
	};
	memcpy(record.hash, found.hash, sizeof(record.hash));
	reading->left--;
	reading->ended = reading->visit(reading->argument, &record) != 0 ||
			 reading->left == 0;
	return ATOM_OK;
}

static atom_status take_sealed(struct reading *reading,
			       const struct atom_span *line, off_t offset,
			       struct atom_error *err)
{
	struct sink *sink = reading->sink;
	struct sealed_line sealed;
	atom_status status;
	size_t at = 0;

	if (!line_read_sealed(line, &sealed) ||
	    sealed.first != reading->position.sequence + 1)
		return damaged(sink, reading->number, offset, err,
			       "a line that is not the next sealed one");
	if (sealed.first + sealed.count - 1 < reading->after) {
		/* Its last hash is inside of it. */
		reading->position.sequence += sealed.count;
		reading->position.has_hash = false;
		return ATOM_OK;
	}
	status = segment_unseal(sink, reading->number, &sealed, err);
	while (status == ATOM_OK && at < sink->plain.length &&
	       !reading->ended) {
		const char *begin = sink->plain.bytes + at;
		const char *end = memchr(begin, '\n', sink->plain.length - at);
		struct atom_span inner = { begin,
					   end ? (size_t)(end - begin) : 0 };

		status = take_record(reading, &inner, offset, err);
		at += inner.length + 1;
	}
	return status;
}

static atom_status read_segment(struct reading *reading, int fd,
				const struct segment_head *head, off_t end,
				struct atom_error *err)
{
	atom_status status = ATOM_OK;
	enum scan_result result;
	struct atom_span line;
	struct scan scan;
	off_t offset;

	scan_init(&scan, fd, head->length, end);
	while (status == ATOM_OK && !reading->ended &&
	       (result = scan_next(&scan, &line, &offset)) != SCAN_END) {
		if (result == SCAN_FAILED)
			status =
				atom_fail(err, ATOM_EIO, "cannot read %s: %s",
					  reading->sink->path, strerror(errno));
		else if (result == SCAN_PARTIAL)
			status = damaged(reading->sink, reading->number, offset,
					 err, "a line without an end");
		else if (line.length > 0 && line.bytes[0] == 'R' &&
			 !head->sealed)
			status = take_record(reading, &line, offset, err);
		else if (line.length > 0 && line.bytes[0] == 'E' &&
			 head->sealed)
			status = take_sealed(reading, &line, offset, err);
		else if (line.length == 0 ||
			 (line.bytes[0] != 'S' && line.bytes[0] != 'C'))
			status = damaged(reading->sink, reading->number, offset,
					 err, "a line of no known kind");
	}
	scan_fini(&scan);
	return status;
}

/* --- which segments ------------------------------------------------------- */

static atom_status before_of(const struct sink *sink, uint64_t number,
			     uint64_t *before_r, struct atom_error *err)
{
	struct segment_head head = { 0 };
	atom_status status;
	int fd = -1;

	status = segment_open(sink, number, &head, &fd, err);
	if (status != ATOM_OK)
		return status;
	(void)audit_disk.close(fd);
	*before_r = head.before;
	return ATOM_OK;
}

/* The last segment that begins at or before the record behind `after`: they
 * are in order, so half of them at a time are ruled out. */
static atom_status find_start(const struct sink *sink, const uint64_t *numbers,
			      size_t count, uint64_t after, size_t *index_r,
			      struct atom_error *err)
{
	size_t low = 0, high = count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		uint64_t before;
		atom_status status =
			before_of(sink, numbers[middle], &before, err);

		if (status != ATOM_OK)
			return status;
		if (before <= after)
			low = middle;
		else
			high = middle;
	}
	*index_r = low;
	return ATOM_OK;
}

/* What of a segment counts stands in the head of the next: one that was given
 * up after a failed write may have more behind it. */
static atom_status read_all(struct reading *reading, const uint64_t *numbers,
			    size_t count, size_t index, struct atom_error *err)
{
	const struct sink *sink = reading->sink;
	struct segment_head head = { 0 }, next = { 0 };
	int fd = -1, next_fd = -1;
	atom_status status =
		segment_open(sink, numbers[index], &head, &fd, err);

	while (status == ATOM_OK && !reading->ended) {
		off_t end = sink->synced_length;

		if (index + 1 < count) {
			status = segment_open(sink, numbers[index + 1], &next,
					      &next_fd, err);
			if (status != ATOM_OK)
				break;
			end = next.previous_length;
		}
		reading->number = numbers[index];
		reading->position =
			(struct position){ head.before, head.has_hash, { 0 } };
		memcpy(reading->position.hash, head.hash, DIGEST_BYTES);
		status = read_segment(reading, fd, &head, end, err);
		if (++index == count)
			break;
		(void)audit_disk.close(fd);
		fd = next_fd;
		next_fd = -1;
		head = next;
	}
	if (fd >= 0)
		(void)audit_disk.close(fd);
	if (next_fd >= 0)
		(void)audit_disk.close(next_fd);
	return status;
}

atom_status sink_read(void *self, uint64_t after, uint64_t limit,
		      atom_audit_visit visit, void *argument,
		      struct atom_error *err)
{
	struct sink *sink = self;
	struct reading reading = {
		.sink = sink,
		.after = after,
		.left = limit,
		.visit = visit,
		.argument = argument,
	};
	uint64_t *numbers = NULL;
	size_t count = 0, index = 0;
	atom_status status = sink_recover(sink, err);

	if (status != ATOM_OK || limit == 0 || after >= sink->synced.sequence)
		return status;
	status = folder_segments(sink, &numbers, &count, err);
	if (status == ATOM_OK && count > 0)
		status = find_start(sink, numbers, count, after, &index, err);
	if (status == ATOM_OK && count > 0)
		status = read_all(&reading, numbers, count, index, err);
	free(numbers);
	return status;
}
