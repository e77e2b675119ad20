/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Forgetting.  Whole segments go, oldest first, and only up to one that
 * begins right behind a checkpoint: its head has the signed note and the range
 * of the tree, from which all that is kept can be verified.  The tombstone is
 * durable before the first segment goes; a crash in between leaves segments
 * that the next start removes.
 *
 *	T <first segment> <last segment> <first sequence> <records>
 *	  <hash before | -> <hash after> <time> <signed head> <digest>
 *
 * on one line; the digest is over all of the file before it.
 */

#include "sink_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_EVERY_MS ((int64_t)60 * 1000)

/* --- tombstones ----------------------------------------------------------- */

/* What the file says of its last line; all zero without one. */
struct grave {
	uint64_t last_segment;
	uint64_t last_sequence;
};

static bool read_tombstone(const struct atom_span *line, struct digest *digest,
			   struct grave *grave)
{
	struct atom_span rest, word;
	uint64_t numbers[4];

	if (line->length < 2 || line->bytes[0] != 'T' ||
	    !line_read_digest(line, digest, &rest))
		return false;
	for (size_t i = 0; i < 4; i++)
		if (!text_word(&rest, &word) ||
		    !text_to_number(&word, &numbers[i]))
			return false;
	if (numbers[0] != grave->last_segment + 1 || numbers[1] < numbers[0] ||
	    numbers[2] != grave->last_sequence + 1 || numbers[3] == 0)
		return false;
	grave->last_segment = numbers[1];
	grave->last_sequence += numbers[3];
	return true;
}

/* The file, behind `text`, and its digest. */
static atom_status read_tombstones(const struct sink *sink, struct text *text,
				   struct digest *digest, struct grave *grave_r,
				   struct atom_error *err)
{
	atom_status status = folder_read(sink, TOMBSTONES_NAME, text, err);
	size_t at = 0;

	*grave_r = (struct grave){ 0 };
	if (status == ATOM_ENOENT)
		return ATOM_OK;
	while (status == ATOM_OK && at < text->length) {
		const char *begin = text->bytes + at;
		const char *end = memchr(begin, '\n', text->length - at);
		struct atom_span line = { begin,
					  end ? (size_t)(end - begin) : 0 };

		if (end == NULL || !read_tombstone(&line, digest, grave_r))
			status = atom_fail(err, ATOM_EDATALOSS,
					   "%s/" TOMBSTONES_NAME
					   ": a line that is not what was "
					   "written at byte %zu",
					   sink->path, at);
		at += line.length + 1;
	}
	return status;
}

static atom_status bury(struct sink *sink, uint64_t first_segment,
			const struct segment_head *first,
			const struct segment_head *next, struct atom_error *err)
{
	struct digest *digest = digest_new();
	struct text text = { 0 };
	char time[TEXT_TIME_MAX];
	struct grave grave;
	atom_status status;
	size_t start;

	if (digest == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = read_tombstones(sink, &text, digest, &grave, err);
	if (status != ATOM_OK)
		goto out;
	start = text.length;
	text_of_time(sink_now_ms(sink), time);
	text_printf(&text, "T %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ",
		    first_segment, next->number - 1, first->before + 1,
		    next->before - first->before);
	if (first->has_hash)
		text_add_hex(&text, first->hash, sizeof(first->hash));
	else
		text_add(&text, "-", 1);
	text_add(&text, " ", 1);
	text_add_hex(&text, next->hash, sizeof(next->hash));
	text_printf(&text, " %s ", time);
	line_write_signed_head(&text, &next->checkpoint);
	text_add(&text, " ", 1);
	if (!line_write_digest(&text, start, digest))
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	else
		status = folder_replace(sink, TOMBSTONES_NAME, text.bytes,
					text.length, NULL, err);
out:
	digest_free(&digest);
	text_fini(&text);
	return status;
}

static atom_status remove_segments(const struct sink *sink,
				   const uint64_t *numbers, size_t count,
				   uint64_t last_segment,
				   struct atom_error *err)
{
	char name[SEGMENT_NAME_MAX];

	for (size_t i = 0; i < count && numbers[i] <= last_segment; i++) {
		segment_name(numbers[i], name);
		if (audit_disk.unlink(sink->folder, name) != 0)
			return atom_fail(err, ATOM_EIO,
					 "cannot remove %s/%s: %s", sink->path,
					 name, strerror(errno));
	}
	if (audit_disk.sync_names(sink->folder) != 0)
		return atom_fail(err, ATOM_EIO, "cannot sync the folder %s: %s",
				 sink->path, strerror(errno));
	return ATOM_OK;
}

atom_status prune_finish(struct sink *sink, struct atom_error *err)
{
	struct digest *digest = digest_new();
	struct text text = { 0 };
	uint64_t *numbers = NULL;
	size_t count = 0;
	struct grave grave = { 0 };
	atom_status status;

	if (digest == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = read_tombstones(sink, &text, digest, &grave, err);
	if (status == ATOM_OK)
		status = folder_segments(sink, &numbers, &count, err);
	if (status == ATOM_OK && count > 0 && numbers[0] <= grave.last_segment)
		status = remove_segments(sink, numbers, count,
					 grave.last_segment, err);
	free(numbers);
	digest_free(&digest);
	text_fini(&text);
	return status;
}

/* --- what may go ---------------------------------------------------------- */

struct wish {
	uint64_t sequence;   /* records up to this one */
	int64_t begun_by_ms; /* or all that were written before this time */
	uint64_t bytes;	     /* or so much */
};

/* Is all that comes before this segment wished away?  `bytes`: of what comes
 * before the one that it follows. */
static bool is_wished(const struct wish *wish, const struct segment_head *head,
		      uint64_t bytes)
{
	return head->before <= wish->sequence ||
	       head->begun_ms <= wish->begun_by_ms || bytes < wish->bytes;
}

static atom_status prune(struct sink *sink, const struct wish *wish,
			 uint64_t *removed_r, struct atom_error *err)
{
	struct segment_head *heads = calloc(3, sizeof(*heads));
	struct segment_head *first, *cut, *head;
	uint64_t *numbers = NULL;
	uint64_t bytes = 0;
	int64_t now_ms = sink_now_ms(sink);
	size_t count = 0;
	bool found = false, wished;
	atom_status status;

	*removed_r = 0;
	if (heads == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	first = &heads[0];
	cut = &heads[1];
	head = &heads[2];
	/* What an earlier one could not remove has its tombstone already. */
	status = prune_finish(sink, err);
	if (status == ATOM_OK)
		status = folder_segments(sink, &numbers, &count, err);
	for (size_t i = 0; status == ATOM_OK && i < count; i++) {
		int fd;

		status = segment_open(sink, numbers[i], head, &fd, err);
		if (status != ATOM_OK)
			break;
		(void)audit_disk.close(fd);
		if (i == 0) {
			*first = *head;
			continue;
		}
		wished = is_wished(wish, head, bytes);
		/* Begun by a clock that was ahead: those behind it tell. */
		if (!wished && head->begun_ms <= now_ms)
			break;
		bytes += (uint64_t)head->previous_length;
		if (wished && head->checkpoint.sequence == head->before &&
		    head->before > first->before) {
			*cut = *head;
			found = true;
		}
	}
	if (status == ATOM_OK && found)
		status = bury(sink, numbers[0], first, cut, err);
	if (status == ATOM_OK && found)
		status = remove_segments(sink, numbers, count, cut->number - 1,
					 err);
	if (status == ATOM_OK && found)
		*removed_r = cut->before - first->before;
	free(numbers);
	free(heads);
	return status;
}

atom_status sink_prune(void *self, uint64_t sequence, uint64_t *removed_r,
		       struct atom_error *err)
{
	const struct wish wish = { .sequence = sequence,
				   .begun_by_ms = INT64_MIN };
	struct sink *sink = self;
	atom_status status;

	*removed_r = 0;
	status = sink_recover(sink, err);
	return status == ATOM_OK ? prune(sink, &wish, removed_r, err) : status;
}

/* Bytes of all segments, the newest one too. */
static uint64_t bytes_kept(struct sink *sink)
{
	uint64_t *numbers = NULL, bytes = (uint64_t)sink->length;
	struct atom_error err = ATOM_ERROR_INIT;
	struct segment_head *head = malloc(sizeof(*head));
	size_t count = 0;

	if (head != NULL &&
	    folder_segments(sink, &numbers, &count, &err) == ATOM_OK)
		for (size_t i = 1; i < count; i++) {
			int fd;

			if (segment_open(sink, numbers[i], head, &fd, &err) !=
			    ATOM_OK)
				break;
			(void)audit_disk.close(fd);
			bytes += (uint64_t)head->previous_length;
		}
	free(numbers);
	free(head);
	return bytes;
}

void prune_by_options(struct sink *sink, int64_t now_ms)
{
	const struct file_options *options = sink->options;
	struct wish wish = { .begun_by_ms = INT64_MIN };
	struct atom_error err = ATOM_ERROR_INIT;
	uint64_t removed, bytes;

	/* Later than that is none of ours: the clock was set back. */
	if ((now_ms < sink->next_retention_ms &&
	     now_ms >= sink->next_retention_ms - CHECK_EVERY_MS) ||
	    (options->retention == 0 && options->keep_size == 0))
		return;
	sink->next_retention_ms = now_ms + CHECK_EVERY_MS;
	if (options->retention > 0)
		wish.begun_by_ms = now_ms - options->retention;
	if (options->keep_size > 0) {
		bytes = bytes_kept(sink);
		if (bytes > (uint64_t)options->keep_size)
			wish.bytes = bytes - (uint64_t)options->keep_size;
	}
	if (prune(sink, &wish, &removed, &err) != ATOM_OK)
		sink_log(sink, ATOM_LOG_WARN, "audit_prune_failed", "%s",
			 err.message);
	else if (removed > 0)
		sink_log(sink, ATOM_LOG_INFO, "audit_pruned",
			 "%s: %" PRIu64 " records removed, as retention and "
			 "keep_size say",
			 sink->path, removed);
}
