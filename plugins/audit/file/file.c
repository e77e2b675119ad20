/* SPDX-License-Identifier: Apache-2.0 */

/* audit/file: the audit log in segments of a folder. */

#include "sink_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Records of one sealed frame, and their bytes at most about. */
#define FRAME_RECORDS 512
#define FRAME_BYTES   ((size_t)256 * 1024)

static const char *const sync_words[] = { "fdatasync", NULL };

static const struct atom_option file_options[] = {
	ATOM_OPTION_STRING(struct file_options, path, "", ATOM_REQUIRED,
			   "the folder, made when absent (0700); nothing else "
			   "may be kept in it"),
	ATOM_OPTION_SIZE(struct file_options, segment_size, "64M", 65536,
			 268435456, 0,
			 "a new segment is begun at the next checkpoint"),
	ATOM_OPTION_DURATION(struct file_options, segment_age, "7d", 0,
			     3153600000000.0, 0,
			     "the same by age; 0 = by size only"),
	ATOM_OPTION_DURATION(struct file_options, retention, "0", 0,
			     3153600000000.0, 0,
			     "segments whose records are all older are "
			     "removed; 0 = for ever"),
	ATOM_OPTION_SIZE(struct file_options, keep_size, "0", 0,
			 1125899906842624.0, 0,
			 "the oldest segments go when all together are "
			 "larger; 0 = all are kept"),
	ATOM_OPTION_SIZE(struct file_options, low_space, "256M", 0,
			 1125899906842624.0, 0,
			 "warns when the disk has less room"),
	ATOM_OPTION_BOOL(struct file_options, encrypt, "false", 0,
			 "seal the records with the daemon's keyring "
			 "(AES-256-GCM)"),
	ATOM_OPTION_CHOICE(struct file_options, sync, "fdatasync", sync_words,
			   0, "how a record is made durable"),
};

/* --- life ----------------------------------------------------------------- */

int64_t sink_now_ms(const struct sink *sink)
{
	struct timespec now;

	if (sink->clock != NULL)
		return sink->clock->realtime_ms(sink->host);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void sink_log(const struct sink *sink, int32_t level, const char *event,
	      const char *format, ...)
{
	char message[1024];
	va_list args;

	if (sink->log == NULL)
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	sink->log->write(sink->host, level, event, message, NULL, 0);
}

static void destroy(void *self)
{
	struct sink *sink = self;

	segment_close(sink);
	if (sink->folder >= 0)
		(void)audit_disk.close(sink->folder);
	digest_free(&sink->digest);
	text_fini(&sink->lines);
	text_fini(&sink->covered);
	text_fini(&sink->plain);
	free(sink);
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	atom_status status;

	if (sink == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	sink->host = host;
	sink->options = options;
	sink->fd = sink->folder = -1;
	sink->log = atom_service(host, ATOM_LOG);
	sink->metric = atom_service(host, ATOM_METRIC);
	sink->clock = atom_service(host, ATOM_CLOCK);
	sink->seal = atom_service(host, ATOM_SEAL);
	sink->digest = digest_new();
	if (sink->digest == NULL)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	else if (sink->options->encrypt && sink->seal == NULL)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "encrypt = true takes the daemon's keyring "
				   "(%s), which this daemon does not offer; "
				   "set encrypt = false",
				   ATOM_SEAL);
	else
		status = folder_open(sink, err);
	if (status != ATOM_OK) {
		destroy(sink);
		return status;
	}
	space_begin(sink);
	*self_r = sink;
	return ATOM_OK;
}

/* --- records -------------------------------------------------------------- */

static atom_status check_record(const struct sink *sink, uint64_t expected,
				const struct atom_audit_record *record,
				struct atom_error *err)
{
	if (record->sequence != expected)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: expected record %" PRIu64
				 " next, was given %" PRIu64,
				 sink->path, expected, record->sequence);
	if (record->json.length == 0 ||
	    memchr(record->json.bytes, '\n', record->json.length) != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: record %" PRIu64 " is not one line",
				 sink->path, record->sequence);
	if (record->json.length > LINE_RECORD_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "%s: record %" PRIu64 " has %zu bytes, over "
				 "the %zu of a line",
				 sink->path, record->sequence,
				 record->json.length, LINE_RECORD_MAX);
	return ATOM_OK;
}

/* The R lines in sink->plain as one E line. */
static atom_status seal_lines(struct sink *sink, uint64_t first, uint64_t count,
			      struct atom_error *err)
{
	char name[96];
	struct atom_span identity = { name, 0 };
	struct atom_span plain = { sink->plain.bytes, sink->plain.length };
	atom_status status;
	size_t length;
	char *sealed;

	(void)snprintf(name, sizeof(name),
		       "segment %" PRIu64 " records %" PRIu64 " %" PRIu64,
		       sink->head.number, first, count);
	identity.length = strlen(name);
	sealed = malloc(plain.length + ATOM_SEAL_OVERHEAD);
	if (sealed == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	status = sink->seal->seal(sink->host, &identity, &plain, sealed,
				  &length, err);
	if (status == ATOM_OK)
		line_write_sealed(&sink->lines, first, count, sealed, length);
	free(sealed);
	return status;
}

static const struct atom_audit_record *record_at(const void *records,
						 size_t stride, size_t i)
{
	return (const void *)((const char *)records + i * stride);
}

static atom_status seal_records(struct sink *sink, const void *records,
				size_t count, size_t stride,
				struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0, begin = 0; status == ATOM_OK && i < count; i++) {
		if (i == begin)
			text_clear(&sink->plain);
		line_write_record(&sink->plain, NULL,
				  record_at(records, stride, i));
		if (sink->plain.failed)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		if (i + 1 < count && i + 1 - begin < FRAME_RECORDS &&
		    sink->plain.length < FRAME_BYTES)
			continue;
		status = seal_lines(sink,
				    record_at(records, stride, begin)->sequence,
				    i + 1 - begin, err);
		begin = i + 1;
	}
	return status;
}

static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct sink *sink = self;
	const struct atom_audit_record *last;
	atom_status status = sink_recover(sink, err);

	for (size_t i = 0; status == ATOM_OK && i < count; i++)
		status = check_record(sink, sink->written.sequence + i + 1,
				      record_at(records, stride, i), err);
	if (status != ATOM_OK || count == 0)
		return status;
	status = segment_ready(sink, err);
	if (status != ATOM_OK)
		return status;
	segment_begin_lines(sink);
	if (sink->head.sealed)
		status = seal_records(sink, records, count, stride, err);
	for (size_t i = 0; !sink->head.sealed && i < count; i++)
		line_write_record(&sink->lines, &sink->covered,
				  record_at(records, stride, i));
	if (status == ATOM_OK)
		status = segment_append(sink, false, err);
	if (status != ATOM_OK)
		return status;
	last = record_at(records, stride, count - 1);
	sink->written.sequence = last->sequence;
	sink->written.has_hash = true;
	memcpy(sink->written.hash, last->hash, sizeof(last->hash));
	sink->at_checkpoint = false;
	return ATOM_OK;
}

/* What a failure has lost was answered for by nobody: until it is written
 * again there is nothing that could be called durable. */
static atom_status sync_records(void *self, struct atom_error *err)
{
	struct sink *sink = self;
	atom_status status = sink_recover(sink, err);

	if (status != ATOM_OK)
		return status;
	if (sink->written.sequence < sink->owed)
		return atom_fail(err, ATOM_EIO,
				 "%s: records %" PRIu64 " to %" PRIu64
				 " were lost by a failed write and have to be "
				 "written again",
				 sink->path, sink->written.sequence + 1,
				 sink->owed);
	status = segment_sync(sink, err);
	if (status == ATOM_OK)
		sink->owed = 0;
	return status;
}

/* --- checkpoints ---------------------------------------------------------- */

static atom_status check_head(const struct sink *sink,
			      const struct atom_audit_checkpoint *head,
			      struct atom_error *err)
{
	if (head->sequence != sink->written.sequence ||
	    head->sequence < sink->owed)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: a checkpoint of %" PRIu64
				 " records, but %" PRIu64 " are here",
				 sink->path, head->sequence,
				 sink->written.sequence);
	if (head->range_count !=
		    (uint32_t)__builtin_popcountll(head->sequence) ||
	    head->note.length == 0 || head->note.length >= LINE_NOTE_MAX ||
	    memchr(head->note.bytes, '\0', head->note.length) != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: the checkpoint of %" PRIu64
				 " records has no range or note that fits it",
				 sink->path, head->sequence);
	if (head->verifier == NULL || head->verifier[0] == '\0' ||
	    strlen(head->verifier) >= LINE_VERIFIER_MAX ||
	    strpbrk(head->verifier, " \n") != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "%s: a checkpoint without a verifier key",
				 sink->path);
	if (sink->verifier[0] != '\0' &&
	    strcmp(sink->verifier, head->verifier) != 0)
		return atom_fail(err, ATOM_ESTATE,
				 "%s belongs to the log of %s, this daemon "
				 "signs as %s: give its log a folder of its "
				 "own, or bring the old signing key back",
				 sink->path, sink->verifier, head->verifier);
	return ATOM_OK;
}

static atom_status keep_key(struct sink *sink, const char *verifier,
			    struct atom_error *err)
{
	char line[LINE_VERIFIER_MAX + 1];
	int length;
	atom_status status;

	(void)snprintf(sink->verifier, sizeof(sink->verifier), "%s", verifier);
	if (sink->has_key_file)
		return ATOM_OK;
	length = snprintf(line, sizeof(line), "%s\n", verifier);
	status =
		folder_replace(sink, KEY_NAME, line, (size_t)length, NULL, err);
	sink->has_key_file = status == ATOM_OK;
	return status;
}

static void copy_head(struct signed_head *kept,
		      const struct atom_audit_checkpoint *head)
{
	kept->sequence = head->sequence;
	kept->range_count = head->range_count;
	if (head->range_count > 0)
		memcpy(kept->range, head->range,
		       (size_t)head->range_count * DIGEST_BYTES);
	kept->note_length = head->note.length;
	memcpy(kept->note, head->note.bytes, head->note.length);
	kept->note[head->note.length] = '\0';
}

static atom_status checkpoint(void *self,
			      const struct atom_audit_checkpoint *head,
			      struct atom_error *err)
{
	struct sink *sink = self;
	atom_status status = sink_recover(sink, err);

	if (status == ATOM_OK)
		status = check_head(sink, head, err);
	if (status == ATOM_OK)
		status = keep_key(sink, head->verifier, err);
	if (status == ATOM_OK)
		status = segment_ready(sink, err);
	if (status != ATOM_OK)
		return status;
	segment_begin_lines(sink);
	copy_head(&sink->next, head);
	text_add(&sink->lines, "C ", 2);
	line_write_signed_head(&sink->lines, &sink->next);
	text_add(&sink->lines, " ", 1);
	status = segment_append(sink, true, err);
	if (status == ATOM_OK)
		status = segment_sync(sink, err);
	if (status != ATOM_OK)
		return status;
	sink->kept = sink->next;
	sink->at_checkpoint = true;
	status = folder_replace(sink, HEAD_NAME, head->note.bytes,
				head->note.length, NULL, err);
	space_check(sink);
	prune_by_options(sink, head->time_ms);
	return status;
}

static atom_status last(void *self, struct atom_audit_position *position_r,
			struct atom_error *err)
{
	struct sink *sink = self;
	atom_status status = sink_recover(sink, err);

	if (status != ATOM_OK)
		return status;
	position_r->sequence = sink->synced.sequence;
	position_r->checkpoint = sink->kept.sequence;
	position_r->range_count = sink->kept.range_count;
	memcpy(position_r->hash, sink->synced.hash, sizeof(position_r->hash));
	memcpy(position_r->range, sink->kept.range, sizeof(sink->kept.range));
	if (ATOM_HAS(position_r, note))
		position_r->note = (struct atom_span){ sink->kept.note,
						       sink->kept.note_length };
	return ATOM_OK;
}

static const struct atom_audit_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.write = write_records,
	.sync = sync_records,
	.checkpoint = checkpoint,
	.last = last,
	.read = sink_read,
	.prune = sink_prune,
};

ATOM_PLUGIN("file", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_AUDIT, "file",
			   "the audit log in a folder, which can be verified "
			   "without the daemon",
			   &ops, file_options, struct file_options));
