/* SPDX-License-Identifier: Apache-2.0 */

/* The newest segment: begun, written, synced, given up. */

#include "sink_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define OUT_OF_MEMORY "out of memory"

void segment_close(struct sink *sink)
{
	if (sink->fd >= 0)
		(void)audit_disk.close(sink->fd);
	sink->fd = -1;
}

/* Never to be written or synced again.  Cutting off what was not synced is a
 * courtesy to readers: the next segment's head says where this one ends. */
static atom_status give_up(struct sink *sink, const char *doing, int why,
			   struct atom_error *err)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(sink->head.number, name);
	(void)snprintf(sink->reason, sizeof(sink->reason),
		       "failed: cannot %s %s: %s", doing, name, strerror(why));
	(void)audit_disk.truncate(sink->fd, sink->synced_length);
	segment_close(sink);
	/* One that has nothing but a head does not count: the next one takes
	 * its name, so that a full disk does not fill with such. */
	if (sink->synced_length == sink->head.length) {
		sink->has_segment = sink->head.has_previous;
		sink->head.number--;
		sink->synced_length = sink->head.previous_length;
		memcpy(sink->synced_digest, sink->head.previous_digest,
		       sizeof(sink->synced_digest));
	}
	sink->length = sink->synced_length;
	if (sink->owed < sink->written.sequence)
		sink->owed = sink->written.sequence;
	sink->written = sink->synced;
	sink_log(sink, ATOM_LOG_ERROR, "audit_segment_failed",
		 "cannot %s %s/%s: %s; what was synced of it stays, and a new "
		 "segment is begun",
		 doing, sink->path, name, strerror(why));
	space_segment_failed(sink);
	space_failed(sink, why);
	return atom_fail(err, ATOM_EIO, "cannot %s %s/%s: %s", doing,
			 sink->path, name, strerror(why));
}

/* --- beginning ------------------------------------------------------------ */

static void fill_head(struct sink *sink, struct segment_head *head)
{
	*head = (struct segment_head){
		.number = sink->has_segment ? sink->head.number + 1 : 1,
		.begun_ms = sink_now_ms(sink),
		.has_previous = sink->has_segment,
		.previous = sink->head.number,
		.previous_length = sink->synced_length,
		.before = sink->synced.sequence,
		.has_hash = sink->synced.has_hash,
		.sealed = sink->options->encrypt != 0,
	};
	(void)snprintf(head->reason, sizeof(head->reason), "%s",
		       sink->reason[0] ? sink->reason : "first");
	(void)snprintf(head->verifier, sizeof(head->verifier), "%s",
		       sink->verifier);
	memcpy(head->previous_digest, sink->synced_digest,
	       sizeof(head->previous_digest));
	memcpy(head->hash, sink->synced.hash, sizeof(head->hash));
	head->checkpoint = sink->kept;
}

static atom_status begin(struct sink *sink, struct atom_error *err)
{
	struct segment_head head;
	char name[SEGMENT_NAME_MAX];
	atom_status status;
	int fd = -1;

	fill_head(sink, &head);
	text_clear(&sink->lines);
	if (!line_write_segment_head(&sink->lines, sink->digest, &head))
		return atom_fail(err, ATOM_ENOMEM, OUT_OF_MEMORY);
	segment_name(head.number, name);
	head.length = (off_t)sink->lines.length;
	errno = 0;
	status = folder_replace(sink, name, sink->lines.bytes,
				sink->lines.length, &fd, err);
	if (fd < 0) {
		space_failed(sink, errno);
		return status;
	}
	sink->head = head;
	sink->fd = fd;
	sink->has_segment = true;
	sink->length = sink->synced_length = head.length;
	sink->mark_due = sink->at_checkpoint = false;
	if (!digest_now(sink->digest, sink->synced_digest))
		return give_up(sink, "begin", ENOMEM, err);
	if (status != ATOM_OK)
		return give_up(sink, "sync the name of", EIO, err);
	return ATOM_OK;
}

/* Only behind a checkpoint: its note and range stand in the new head, so that
 * the log can be verified from there on when what is before is pruned. */
static bool is_full(struct sink *sink)
{
	const struct file_options *options = sink->options;
	const char *reason = NULL;

	if (!sink->at_checkpoint || sink->length != sink->synced_length)
		return false;
	if (sink->head.sealed != (options->encrypt != 0))
		reason = "encrypt";
	else if (sink->length >= options->segment_size)
		reason = "size";
	else if (options->segment_age > 0 &&
		 sink_now_ms(sink) - sink->head.begun_ms >=
			 options->segment_age)
		reason = "age";
	if (reason != NULL)
		(void)snprintf(sink->reason, sizeof(sink->reason), "%s",
			       reason);
	return reason != NULL;
}

atom_status segment_ready(struct sink *sink, struct atom_error *err)
{
	if (sink->fd >= 0 && !is_full(sink))
		return ATOM_OK;
	segment_close(sink);
	return begin(sink, err);
}

/* --- writing ------------------------------------------------------------- */

#define MARK_LENGTH (2 + 2 * (size_t)DIGEST_BYTES + 1)

void segment_begin_lines(struct sink *sink)
{
	text_clear(&sink->lines);
	text_clear(&sink->covered);
	if (sink->mark_due && text_room(&sink->lines, MARK_LENGTH) != NULL)
		sink->lines.length = MARK_LENGTH;
}

/* Fills the room that was left for the mark; the digest has it then. */
static bool fill_mark(struct sink *sink)
{
	struct text mark = { 0 };
	bool done;

	text_add(&mark, "S ", 2);
	done = line_write_digest(&mark, 0, sink->digest) &&
	       mark.length == MARK_LENGTH;
	if (done)
		memcpy(sink->lines.bytes, mark.bytes, MARK_LENGTH);
	text_fini(&mark);
	return done;
}

atom_status segment_append(struct sink *sink, bool with_digest,
			   struct atom_error *err)
{
	struct text *lines = &sink->lines;
	const struct text *covered = &sink->covered;
	size_t start = sink->mark_due ? MARK_LENGTH : 0;
	struct atom_span bytes = { covered->bytes, covered->length };

	if (lines->failed || covered->failed)
		return atom_fail(err, ATOM_ENOMEM, OUT_OF_MEMORY);
	if (bytes.length == 0)
		bytes = (struct atom_span){ lines->bytes + start,
					    lines->length - start };
	if ((sink->mark_due && !fill_mark(sink)) ||
	    (with_digest && !line_write_digest(lines, start, sink->digest)) ||
	    (!with_digest &&
	     !digest_add(sink->digest, bytes.bytes, bytes.length)))
		return give_up(sink, "digest", ENOMEM, err);
	if (!write_all(sink->fd, lines->bytes, lines->length, sink->length))
		return give_up(sink, "write", errno, err);
	sink->length += (off_t)lines->length;
	sink->mark_due = false;
	return ATOM_OK;
}

atom_status segment_sync(struct sink *sink, struct atom_error *err)
{
	if (sink->fd < 0 || sink->length == sink->synced_length)
		return ATOM_OK;
	if (audit_disk.sync(sink->fd) != 0)
		return give_up(sink, "sync", errno, err);
	if (!digest_now(sink->digest, sink->synced_digest))
		return give_up(sink, "digest", ENOMEM, err);
	sink->synced = sink->written;
	sink->synced_length = sink->length;
	sink->mark_due = true;
	return ATOM_OK;
}
