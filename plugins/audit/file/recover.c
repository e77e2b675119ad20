/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where the log stands after a start, from the newest segment alone.
 *
 * What is before the last mark (S line) had been made durable; a crash can
 * only have torn what is behind it.  A tail is torn when it has no line end,
 * or when a run of zero bytes shows that a page of it was never written; it
 * was acknowledged to nobody and is cut off.  Anything else that is wrong is
 * damage, and damage stops the daemon's log rather than being papered over.
 *
 * What is kept of the tail is written once more before it is synced: if the
 * daemon died of a failed sync, the kernel may hold those pages as clean
 * without their being on the disk.
 */

#include "sink_priv.h"

#include "scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Zeros that no single flipped bit makes. */
#define LOST_PAGE_MIN 16
#define SECTOR	      512

struct found {
	struct position position;
	struct signed_head *kept;
	bool has_kept, at_checkpoint;
	off_t mark; /* all before it had been synced */
	off_t good; /* whole lines up to here */
};

atom_status damaged(const struct sink *sink, uint64_t number, off_t offset,
		    struct atom_error *err, const char *what)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(number, name);
	return atom_fail(err, ATOM_EDATALOSS,
			 "%s/%s: %s at byte %lld; `atomctl audit verify` says "
			 "more, and the folder is to be kept as it is",
			 sink->path, name, what, (long long)offset);
}

/* --- records -------------------------------------------------------------- */

/* Does the record follow the one before? */
static bool step(struct position *position, const struct record_line *record)
{
	uint8_t hash[DIGEST_BYTES];

	if (record->sequence != position->sequence + 1)
		return false;
	/* hash(0) takes the log's id, which a sink is not told. */
	if (position->has_hash &&
	    (!digest_step(position->hash, record->json.bytes,
			  record->json.length, hash) ||
	     memcmp(hash, record->hash, sizeof(hash)) != 0))
		return false;
	position->sequence = record->sequence;
	position->has_hash = true;
	memcpy(position->hash, record->hash, sizeof(position->hash));
	return true;
}

static bool step_lines(const struct sink *sink, struct position *position)
{
	const char *at = sink->plain.bytes;
	const char *end = at + sink->plain.length;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct atom_span line = { at, stop ? (size_t)(stop - at) : 0 };
		struct record_line record;

		if (stop == NULL || !line_read_record(&line, &record) ||
		    !step(position, &record))
			return false;
		at = stop + 1;
	}
	return true;
}

/* ATOM_EDATALOSS, and no message: the line is not what it should be. */
static atom_status take_sealed(struct sink *sink, struct found *found,
			       const struct atom_span *line,
			       struct atom_error *err)
{
	struct position position = found->position;
	struct sealed_line sealed;
	atom_status status;

	if (!line_read_sealed(line, &sealed) ||
	    sealed.first != position.sequence + 1)
		return ATOM_EDATALOSS;
	status = segment_unseal(sink, sink->head.number, &sealed, err);
	if (status != ATOM_OK)
		return status;
	if (!step_lines(sink, &position) ||
	    position.sequence != sealed.first + sealed.count - 1)
		return ATOM_EDATALOSS;
	found->position = position;
	return ATOM_OK;
}

static atom_status take_line(struct sink *sink, struct found *found,
			     const struct atom_span *line, off_t offset,
			     struct atom_error *err)
{
	atom_status status = ATOM_EDATALOSS;
	struct record_line record;
	struct atom_span body;
	bool plain = !sink->head.sealed;
	size_t covered;

	switch (line->length > 0 ? line->bytes[0] : '\0') {
	case 'R':
		if (plain && line_read_record(line, &record) &&
		    step(&found->position, &record))
			status = ATOM_OK;
		break;
	case 'E':
		if (!plain)
			status = take_sealed(sink, found, line, err);
		break;
	case 'S':
		if (line_read_digest(line, sink->digest, &body) &&
		    body.length == 0) {
			found->mark = offset;
			return ATOM_OK;
		}
		return ATOM_EDATALOSS;
	case 'C':
		if (line_read_digest(line, sink->digest, &body) &&
		    line_read_signed_head(&body, &sink->next) &&
		    sink->next.sequence == found->position.sequence) {
			*found->kept = sink->next;
			found->at_checkpoint = true;
			return ATOM_OK;
		}
		return ATOM_EDATALOSS;
	default:
		break;
	}
	if (status != ATOM_OK)
		return status;
	found->at_checkpoint = false;
	/* With its end, which the scan has found behind it. */
	covered = line->bytes[0] == 'R' && record.sequence > 1
			  ? line->length - record.json.length
			  : line->length + 1;
	return digest_add(sink->digest, line->bytes, covered)
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM, "out of memory");
}

/* --- the tail ------------------------------------------------------------- */

static bool has_lost_page(const char *rest, size_t length, off_t offset)
{
	for (size_t i = 0; i < length; i++) {
		size_t begin = i;

		while (i < length && rest[i] == '\0')
			i++;
		if (i - begin >= LOST_PAGE_MIN &&
		    (i == length || (offset + (off_t)i) % SECTOR == 0))
			return true;
	}
	return false;
}

/* A mark behind the bad line: what is wrong had been synced. */
static bool has_mark(const char *rest, size_t length)
{
	const char *at = rest, *end = rest + length;

	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		struct atom_span digest = { at + 3, 2 * (size_t)DIGEST_BYTES };
		uint8_t hash[DIGEST_BYTES];

		at++;
		if ((size_t)(end - at) > 2 + digest.length && at[0] == 'S' &&
		    at[1] == ' ' && text_to_hex(&digest, hash, sizeof(hash)))
			return true;
	}
	return false;
}

/* A whole line whose end alone is wrong was written whole. */
static bool only_end_is_wrong(struct sink *sink, const struct found *found,
			      const char *rest, size_t length)
{
	struct position position = found->position;
	struct atom_span line = { rest, length - 1 }, body;
	struct record_line record;
	struct sealed_line sealed;

	if (length < 2)
		return false;
	switch (rest[0]) {
	case 'C':
	case 'S':
		return line_read_digest(&line, sink->digest, &body);
	case 'E':
		return line_read_sealed(&line, &sealed) &&
		       segment_unseal(sink, sink->head.number, &sealed, NULL) ==
			       ATOM_OK;
	default:
		return line_read_record(&line, &record) && position.has_hash &&
		       step(&position, &record);
	}
}

/* Is what stands from `found->good` on a torn tail? */
static atom_status judge_tail(struct sink *sink, const struct found *found,
			      off_t end, struct atom_error *err)
{
	size_t length = (size_t)(end - found->good);
	char *rest = malloc(length);
	atom_status status = ATOM_OK;
	size_t have = 0;

	if (rest == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	while (have < length) {
		ssize_t got =
			audit_disk.read(sink->fd, rest + have, length - have,
					found->good + (off_t)have);

		if (got <= 0) {
			status = atom_fail(err, ATOM_EIO, "cannot read %s: %s",
					   sink->path, strerror(errno));
			goto out;
		}
		have += (size_t)got;
	}
	if (has_mark(rest, length) ||
	    (!has_lost_page(rest, length, found->good) &&
	     (memchr(rest, '\n', length) != NULL ||
	      only_end_is_wrong(sink, found, rest, length))))
		status = damaged(sink, sink->head.number, found->good, err,
				 "a line that is not what was written");
out:
	free(rest);
	return status;
}

static atom_status rewrite(struct sink *sink, const struct found *found,
			   struct atom_error *err)
{
	off_t at = found->mark;
	char name[SEGMENT_NAME_MAX];
	char block[65536];

	segment_name(sink->head.number, name);
	while (at < found->good) {
		size_t want = sizeof(block);
		ssize_t got;

		if ((off_t)want > found->good - at)
			want = (size_t)(found->good - at);
		got = audit_disk.read(sink->fd, block, want, at);
		if (got <= 0 || !write_all(sink->fd, block, (size_t)got, at))
			goto failed;
		at += got;
	}
	if (audit_disk.truncate(sink->fd, found->good) == 0 &&
	    audit_disk.sync(sink->fd) == 0)
		return ATOM_OK;
failed:
	return atom_fail(err, ATOM_EIO,
			 "cannot make the tail of %s/%s durable: %s",
			 sink->path, name, strerror(errno));
}

/* --- the newest segment --------------------------------------------------- */

static atom_status scan_segment(struct sink *sink, struct found *found,
				off_t end, struct atom_error *err)
{
	atom_status status = ATOM_OK;
	enum scan_result result;
	struct atom_span line;
	struct scan scan;
	off_t offset;

	scan_init(&scan, sink->fd, sink->head.length, end);
	while ((result = scan_next(&scan, &line, &offset)) == SCAN_LINE) {
		status = take_line(sink, found, &line, offset, err);
		if (status != ATOM_OK)
			break;
		found->good = scan.offset;
	}
	if (result == SCAN_FAILED)
		status = atom_fail(err, ATOM_EIO, "cannot read %s: %s",
				   sink->path, strerror(errno));
	else if (result == SCAN_PARTIAL)
		status = ATOM_EDATALOSS;
	scan_fini(&scan);
	return status;
}

/* The digest over the segment's head, behind which the scan begins. */
static atom_status digest_head(struct sink *sink, struct atom_error *err)
{
	char block[65536];
	bool done = digest_reset(sink->digest);

	for (off_t at = 0; done && at < sink->head.length;) {
		size_t want = sizeof(block);
		ssize_t got;

		if ((off_t)want > sink->head.length - at)
			want = (size_t)(sink->head.length - at);
		got = audit_disk.read(sink->fd, block, want, at);
		done = got > 0 && digest_add(sink->digest, block, (size_t)got);
		at += got;
	}
	if (done)
		return ATOM_OK;
	return atom_fail(err, ATOM_EIO, "cannot read %s again", sink->path);
}

static atom_status recover_segment(struct sink *sink, uint64_t number,
				   struct atom_error *err)
{
	struct found found = { .kept = &sink->kept };
	atom_status status =
		segment_open(sink, number, &sink->head, &sink->fd, err);
	struct stat st;

	if (status != ATOM_OK)
		return status;
	if (audit_disk.stat(sink->fd, &st) != 0)
		return atom_fail(err, ATOM_EIO, "cannot look into %s: %s",
				 sink->path, strerror(errno));
	if (sink->head.sealed && sink->seal == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "the newest segment of %s is sealed, and this "
				 "daemon has no keyring (%s)",
				 sink->path, ATOM_SEAL);
	found.position.sequence = sink->head.before;
	found.position.has_hash = sink->head.has_hash;
	memcpy(found.position.hash, sink->head.hash, DIGEST_BYTES);
	found.mark = found.good = sink->head.length;
	sink->kept = sink->head.checkpoint;
	(void)snprintf(sink->verifier, sizeof(sink->verifier), "%s",
		       sink->head.verifier);
	status = digest_head(sink, err);
	if (status == ATOM_OK)
		status = scan_segment(sink, &found, st.st_size, err);
	if (status == ATOM_EDATALOSS) {
		status = judge_tail(sink, &found, st.st_size, err);
		if (status == ATOM_OK)
			sink_log(sink, ATOM_LOG_WARN, "audit_tail_cut",
				 "%s: %lld bytes behind record %" PRIu64
				 " were torn by a crash, had been acknowledged "
				 "to nobody and are cut off",
				 sink->path,
				 (long long)(st.st_size - found.good),
				 found.position.sequence);
	}
	if (status == ATOM_OK)
		status = rewrite(sink, &found, err);
	/* A line that was wrong has added nothing to the digest. */
	if (status == ATOM_OK && !digest_now(sink->digest, sink->synced_digest))
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	sink->written = sink->synced = found.position;
	sink->length = sink->synced_length = found.good;
	sink->at_checkpoint = found.at_checkpoint;
	sink->mark_due = found.good > sink->head.length;
	sink->has_segment = true;
	return status;
}

/* How many records the signed head of the folder covers; 0 without one. */
static atom_status head_covers(const struct sink *sink, uint64_t *sequence_r,
			       struct atom_error *err)
{
	struct text note = { 0 };
	atom_status status = folder_read(sink, HEAD_NAME, &note, err);
	const char *end = note.bytes + note.length;
	struct atom_span size = { 0 };
	char *line, *stop;

	*sequence_r = 0;
	if (status != ATOM_OK) {
		text_fini(&note);
		return status == ATOM_ENOENT ? ATOM_OK : status;
	}
	line = note.length ? memchr(note.bytes, '\n', note.length) : NULL;
	stop = line ? memchr(line + 1, '\n', (size_t)(end - line - 1)) : NULL;
	if (stop != NULL)
		size = (struct atom_span){ line + 1,
					   (size_t)(stop - line - 1) };
	if (!text_to_number(&size, sequence_r))
		status = atom_fail(err, ATOM_EDATALOSS,
				   "%s/" HEAD_NAME " is no signed head",
				   sink->path);
	text_fini(&note);
	return status;
}

/* It must not promise more than there is.  A kill may have come before it was
 * replaced: that is done now, so that it is at most one behind. */
static atom_status check_kept_head(const struct sink *sink,
				   struct atom_error *err)
{
	uint64_t sequence;
	atom_status status = head_covers(sink, &sequence, err);

	if (status != ATOM_OK)
		return status;
	if (sequence > sink->synced.sequence)
		return atom_fail(err, ATOM_EDATALOSS,
				 "%s/" HEAD_NAME " covers %" PRIu64
				 " records, but only %" PRIu64
				 " are here: the log was cut",
				 sink->path, sequence, sink->synced.sequence);
	if (sink->kept.note_length == 0 || sequence >= sink->kept.sequence)
		return ATOM_OK;
	return folder_replace(sink, HEAD_NAME, sink->kept.note,
			      sink->kept.note_length, NULL, err);
}

/* Without a key file a checkpoint makes one. */
static atom_status read_key(struct sink *sink, struct atom_error *err)
{
	struct text key = { 0 };
	atom_status status = folder_read(sink, KEY_NAME, &key, err);

	if (status == ATOM_ENOENT)
		return ATOM_OK;
	if (status == ATOM_OK) {
		sink->has_key_file = true;
		if (key.length > 0 && key.bytes[key.length - 1] == '\n')
			key.length--;
		if (key.length == 0 || key.length >= sizeof(sink->verifier))
			status = atom_fail(err, ATOM_EDATALOSS,
					   "%s/" KEY_NAME " is no verifier key",
					   sink->path);
		else
			(void)snprintf(sink->verifier, sizeof(sink->verifier),
				       "%.*s", (int)key.length, key.bytes);
	}
	text_fini(&key);
	return status;
}

atom_status sink_recover(struct sink *sink, struct atom_error *err)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	atom_status status;

	if (sink->recovered)
		return ATOM_OK;
	status = folder_clean(sink, err);
	if (status == ATOM_OK)
		status = prune_finish(sink, err);
	if (status == ATOM_OK)
		status = folder_segments(sink, &numbers, &count, err);
	if (status == ATOM_OK && count > 0)
		status = recover_segment(sink, numbers[count - 1], err);
	if (status == ATOM_OK)
		status = check_kept_head(sink, err);
	if (status == ATOM_OK)
		status = read_key(sink, err);
	free(numbers);
	sink->recovered = status == ATOM_OK;
	if (!sink->recovered)
		segment_close(sink);
	return status;
}
