/* SPDX-License-Identifier: Apache-2.0 */

#include "monitor/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"

#define MAGIC	     "atomd-history 1\n"
#define MAGIC_BYTES  (sizeof(MAGIC) - 1)
#define PURPOSE	     "history"
#define FRAME_MAX    ((size_t)1024 * 1024)
#define SEGMENT_MAX  ((int64_t)64 * 1024 * 1024)
#define IDENTITY_MAX 64

static void path_of(const struct segment_kind *kind,
		    const struct segment_place *place, int64_t start_ms,
		    char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s-%013" PRId64 ".seg",
		       place->folder, kind->word, start_ms);
}

static struct atom_span identity_of(const struct segment_kind *kind,
				    int64_t start_ms, uint32_t frame,
				    char text[IDENTITY_MAX])
{
	int length = snprintf(text, IDENTITY_MAX, "%s-%" PRId64 "/%" PRIu32,
			      kind->word, start_ms, frame);

	return (struct atom_span){ text, (size_t)length };
}

/* --- the list ------------------------------------------------------------ */

static bool room_for_one(struct segments *s)
{
	if (s->count < s->capacity)
		return true;

	size_t capacity = s->capacity * 2 + 16;
	struct segment *list = mem_realloc(s->list, capacity * sizeof(*list));

	if (!list)
		return false;
	s->list = list;
	s->capacity = capacity;
	return true;
}

static atom_status add_segment(struct segments *s, int64_t start_ms,
			       int64_t bytes)
{
	size_t at = s->count;

	pthread_mutex_lock(&s->lock);
	if (!room_for_one(s)) {
		pthread_mutex_unlock(&s->lock);
		return ATOM_ENOMEM;
	}
	while (at > 0 && s->list[at - 1].start_ms > start_ms)
		at--;
	memmove(s->list + at + 1, s->list + at,
		(s->count - at) * sizeof(*s->list));
	s->list[at] = (struct segment){ start_ms, bytes };
	s->count++;
	pthread_mutex_unlock(&s->lock);
	return ATOM_OK;
}

int64_t *segments_starts(struct segments *segments, size_t *count_r)
{
	int64_t *starts;

	pthread_mutex_lock(&segments->lock);
	*count_r = segments->count;
	starts = mem_array(segments->count + 1, sizeof(*starts));
	for (size_t i = 0; starts && i < segments->count; i++)
		starts[i] = segments->list[i].start_ms;
	pthread_mutex_unlock(&segments->lock);
	return starts;
}

/* The start of the segment that a file of this name is; -1: it is none. */
static int64_t start_of(const struct segment_kind *kind, const char *name)
{
	size_t word = strlen(kind->word);
	char *end;
	long long start;

	if (strncmp(name, kind->word, word) != 0 || name[word] != '-' ||
	    name[word + 1] < '0' || name[word + 1] > '9')
		return -1;
	errno = 0;
	start = strtoll(name + word + 1, &end, 10);
	return errno == 0 && strcmp(end, ".seg") == 0 ? start : -1;
}

static int64_t size_of(const char *path)
{
	struct stat stat = { 0 };
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd < 0)
		return 0;
	if (os.fstat(fd, &stat) != 0)
		stat.st_size = 0;
	(void)os.close(fd);
	return stat.st_size;
}

atom_status segments_open(struct segments *segments,
			  const struct segment_kind *kind,
			  const struct segment_place *place,
			  struct atom_error *err)
{
	atom_status status = ATOM_OK;
	const struct dirent *entry;
	DIR *folder;

	*segments = (struct segments){ .kind = kind,
				       .fd = -1,
				       .lock = PTHREAD_MUTEX_INITIALIZER };
	if (os.mkdir(place->folder, 0700) != 0 && errno != EEXIST)
		return atom_fail(err, ATOM_EIO, "history: make folder %s: %s",
				 place->folder, strerror(errno));
	folder = opendir(place->folder);
	if (!folder)
		return atom_fail(err, ATOM_EIO, "history: read folder %s: %s",
				 place->folder, strerror(errno));
	while (status == ATOM_OK && (entry = readdir(folder)) != NULL) {
		int64_t start_ms = start_of(kind, entry->d_name);
		char path[PATH_MAX];

		if (start_ms < 0)
			continue;
		path_of(kind, place, start_ms, path);
		status = add_segment(segments, start_ms, size_of(path));
	}
	(void)closedir(folder);
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "history: no memory");
}

static void end_segment(struct segments *s)
{
	if (s->fd >= 0)
		(void)os.close(s->fd);
	s->fd = -1;
	s->frames = 0;
	frame_state_clear(&s->state);
}

void segments_end(struct segments *segments)
{
	end_segment(segments);
}

void segments_close(struct segments *segments)
{
	end_segment(segments);
	frame_state_fini(&segments->state);
	mem_free(TAKE(segments->list));
	segments->count = segments->capacity = 0;
}

/* --- append -------------------------------------------------------------- */

bool segments_at_begin(const struct segments *segments, int64_t time_ms)
{
	return segments->fd < 0 ||
	       time_ms >= segments->list[segments->count - 1].start_ms +
				  segments->kind->span_ms;
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = os.write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return -1;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static atom_status begin_segment(struct segments *s,
				 const struct segment_place *place,
				 int64_t start_ms, struct atom_error *err)
{
	char path[PATH_MAX];

	end_segment(s);
	/* Behind one that is there and holds nothing that opens, the time of
	 * which may come again: the newest is the one that is written to. */
	if (s->count > 0 && start_ms <= s->list[s->count - 1].start_ms)
		start_ms = s->list[s->count - 1].start_ms + 1;
	path_of(s->kind, place, start_ms, path);
	s->fd = os.open(
		path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (s->fd < 0)
		return atom_fail(err, ATOM_EIO, "history: make %s: %s", path,
				 strerror(errno));
	if (add_segment(s, start_ms, (int64_t)MAGIC_BYTES) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "history: no memory");
	if (write_all(s->fd, MAGIC, MAGIC_BYTES) != 0)
		return atom_fail(err, ATOM_EIO, "history: write %s: %s", path,
				 strerror(errno));
	return ATOM_OK;
}

/* Length and sealed bytes in one write. */
static atom_status write_frame(struct segments *s,
			       const struct segment_place *place,
			       const struct buffer *plain,
			       struct atom_error *err)
{
	struct segment *segment = &s->list[s->count - 1];
	const struct atom_span bytes = { plain->bytes, plain->length };
	char text[IDENTITY_MAX];
	const struct atom_span identity =
		identity_of(s->kind, segment->start_ms, s->frames, text);
	char *out = mem_alloc(4 + plain->length + KEYRING_OVERHEAD);
	size_t length = 0;
	atom_status status;

	if (!out)
		return atom_fail(err, ATOM_ENOMEM, "history: no memory");
	status = keyring_seal(place->keyring, PURPOSE, &identity, &bytes,
			      out + 4, &length, err);
	for (unsigned int i = 0; i < 4; i++)
		out[i] = (char)(length >> 8 * i);
	if (status == ATOM_OK && write_all(s->fd, out, 4 + length) != 0)
		status = atom_fail(err, ATOM_EIO,
				   "history: write %s-%013" PRId64
				   ".seg in %s: %s",
				   s->kind->word, segment->start_ms,
				   place->folder, strerror(errno));
	if (status == ATOM_OK) {
		segment->bytes += (int64_t)(4 + length);
		s->frames++;
	}
	mem_free(out);
	return status;
}

atom_status segments_append(struct segments *segments,
			    const struct segment_place *place, int64_t time_ms,
			    const struct frame_series *declared,
			    size_t declared_count, const double *values,
			    uint32_t column_count, struct atom_error *err)
{
	struct buffer plain = BUFFER_INIT(FRAME_MAX);
	atom_status status = ATOM_OK;

	if (segments_at_begin(segments, time_ms))
		status = begin_segment(segments, place, time_ms, err);
	if (status == ATOM_OK) {
		status = frame_encode(&segments->state, time_ms, declared,
				      declared_count, values, column_count,
				      &plain);
		if (status != ATOM_OK)
			(void)atom_fail(err, status,
					"history: a sample of %" PRIu32
					" values: no memory",
					column_count);
	}
	if (status == ATOM_OK)
		status = write_frame(segments, place, &plain, err);
	if (status != ATOM_OK)
		end_segment(segments);
	buffer_fini(&plain);
	return status;
}

/* --- prune --------------------------------------------------------------- */

static void remove_segment(struct segments *s,
			   const struct segment_place *place, size_t number)
{
	char path[PATH_MAX];

	path_of(s->kind, place, s->list[number].start_ms, path);
	(void)os.unlink(path);
	pthread_mutex_lock(&s->lock);
	s->count--;
	memmove(s->list + number, s->list + number + 1,
		(s->count - number) * sizeof(*s->list));
	pthread_mutex_unlock(&s->lock);
}

void segments_prune(struct segments *segments,
		    const struct segment_place *place, int64_t now_ms)
{
	const int64_t oldest_ms =
		now_ms - segments->kind->keep_ms - segments->kind->span_ms;
	int64_t bytes = 0;

	while (segments->count > 0 &&
	       segments->list[segments->count - 1].start_ms > now_ms) {
		end_segment(segments);
		remove_segment(segments, place, segments->count - 1);
	}
	for (size_t i = 0; i < segments->count; i++)
		bytes += segments->list[i].bytes;
	/* Never the one that is written to. */
	while (segments->count > 1 && (segments->list[0].start_ms < oldest_ms ||
				       bytes > segments->kind->bytes_max)) {
		bytes -= segments->list[0].bytes;
		remove_segment(segments, place, 0);
	}
}

/* --- read ---------------------------------------------------------------- */

static atom_status read_file(const char *path, struct buffer *out,
			     struct atom_error *err)
{
	int fd = os.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	atom_status status = ATOM_OK;
	ssize_t n = 0;

	if (fd < 0)
		return atom_fail(err, errno == ENOENT ? ATOM_ENOENT : ATOM_EIO,
				 "history: open %s: %s", path, strerror(errno));
	do {
		if (buffer_reserve(out, 65536) != ATOM_OK) {
			status = atom_fail(err, ATOM_ENOMEM,
					   "history: read %s: no memory, or it "
					   "is larger than a segment is",
					   path);
			break;
		}
		n = os.read(fd, out->bytes + out->length, 65536);
		if (n > 0)
			out->length += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 && status == ATOM_OK)
		status = atom_fail(err, ATOM_EIO, "history: read %s: %s", path,
				   strerror(errno));
	(void)os.close(fd);
	return status;
}

/* The frame at `*at`, opened into `plain`.  False: there is none. */
static bool open_frame(const struct segment_kind *kind,
		       const struct segment_place *place, int64_t start_ms,
		       const struct buffer *file, size_t *at, uint32_t number,
		       struct atom_span *frame_r, char *plain)
{
	const uint8_t *from = (const uint8_t *)file->bytes + *at;
	struct atom_span identity, sealed;
	char text[IDENTITY_MAX];
	size_t length;

	if (file->length - *at < 4)
		return false;
	length = from[0] | (size_t)from[1] << 8 | (size_t)from[2] << 16 |
		 (size_t)from[3] << 24;
	if (length > file->length - *at - 4)
		return false;
	identity = identity_of(kind, start_ms, number, text);
	sealed = (struct atom_span){ (const char *)from + 4, length };
	*at += 4 + length;
	frame_r->bytes = plain;
	return keyring_unseal(place->keyring, PURPOSE, &identity, &sealed,
			      plain, &frame_r->length, NULL) == ATOM_OK;
}

atom_status segment_read(const struct segment_kind *kind,
			 const struct segment_place *place, int64_t start_ms,
			 const struct segment_reader *reader,
			 struct atom_error *err)
{
	struct buffer file = BUFFER_INIT((size_t)SEGMENT_MAX);
	struct frame_state state = { 0 };
	struct atom_span frame = { 0 };
	char path[PATH_MAX];
	char *plain = NULL;
	size_t at = MAGIC_BYTES;
	atom_status status;

	path_of(kind, place, start_ms, path);
	status = read_file(path, &file, err);
	if (status != ATOM_OK || file.length < MAGIC_BYTES ||
	    memcmp(file.bytes, MAGIC, MAGIC_BYTES) != 0)
		goto out;
	plain = mem_alloc(file.length);
	if (!plain) {
		status = atom_fail(err, ATOM_ENOMEM, "history: no memory");
		goto out;
	}
	for (uint32_t i = 0; status == ATOM_OK; i++) {
		int64_t time_ms = 0;

		if (!open_frame(kind, place, start_ms, &file, &at, i, &frame,
				plain))
			break;
		status = frame_decode(&state, &frame, reader->declare,
				      reader->argument, &time_ms);
		if (status == ATOM_EDATALOSS) {
			status = ATOM_OK;
			break;
		}
		if (status == ATOM_OK)
			status = reader->frame(reader->argument, time_ms,
					       state.columns,
					       state.column_count);
	}
out:
	frame_state_fini(&state);
	mem_free(plain);
	buffer_fini(&file);
	return status;
}
