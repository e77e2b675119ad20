/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

struct stage stages[2] = {
	{ .lock = PTHREAD_MUTEX_INITIALIZER,
	  .changed = PTHREAD_COND_INITIALIZER },
	{ .lock = PTHREAD_MUTEX_INITIALIZER,
	  .changed = PTHREAD_COND_INITIALIZER },
};

static char folder[256];

/* --- the sink ------------------------------------------------------------------ */

static bool fails(_Atomic int *left)
{
	int n = atomic_load(left);

	if (n > 0)
		atomic_fetch_sub(left, 1);
	return n > 0;
}

static atom_status create(struct stage *s, void **self_r,
			  struct atom_error *err)
{
	bool was;

	if (s->tried != NULL)
		s->tried();
	(void)pthread_mutex_lock(&s->lock);
	was = s->open;
	s->open = true;
	(void)pthread_mutex_unlock(&s->lock);
	if (was)
		return atom_fail(err, ATOM_EBUSY, "somebody has it open");
	if (fails(&s->fail_creates)) {
		s->open = false;
		return atom_fail(err, ATOM_EIO, "no such disk");
	}
	*self_r = s;
	return ATOM_OK;
}

static atom_status create_first(const struct atom_host *host,
				const void *options, void **self_r,
				struct atom_error *err)
{
	(void)host;
	(void)options;
	return create(&stages[0], self_r, err);
}

static atom_status create_second(const struct atom_host *host,
				 const void *options, void **self_r,
				 struct atom_error *err)
{
	(void)host;
	(void)options;
	return create(&stages[1], self_r, err);
}

static void destroy(void *self)
{
	struct stage *s = self;
	void (*closing)(void) = atomic_exchange(&s->closing, NULL);

	if (closing != NULL)
		closing();
	(void)pthread_mutex_lock(&s->lock);
	s->open = false;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

static void cut(struct stage *s, size_t count)
{
	while (s->count > count)
		free(s->lines[--s->count].json);
}

static atom_status take(struct stage *s, const void *records, size_t count,
			size_t stride, struct atom_error *err)
{
	if (s->tried != NULL)
		s->tried();
	s->writes++;
	(void)pthread_cond_broadcast(&s->changed);
	while (s->hang)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	if (fails(&s->fail_writes)) {
		cut(s, s->synced);
		(void)atom_fail(err, ATOM_EIO, "no space left on device");
		err->retry_after_ms = atomic_load(&s->retry_after_ms);
		return ATOM_EIO;
	}
	for (size_t i = 0; i < count; i++) {
		const struct atom_audit_record *r =
			(const void *)((const char *)records + i * stride);
		struct stage_line *line;

		/* At least once is a follower's promise. */
		if (s->count > 0 &&
		    r->sequence <= s->lines[s->count - 1].sequence)
			continue;
		if (s->count == s->room) {
			s->room = s->room ? s->room * 2 : 1024;
			s->lines =
				realloc(s->lines, s->room * sizeof(*s->lines));
			CHECK(s->lines != NULL);
		}
		line = &s->lines[s->count++];
		line->sequence = r->sequence;
		line->time_ms = r->time_ms;
		memcpy(line->hash, r->hash, sizeof(line->hash));
		line->json = strndup(r->json.bytes, r->json.length);
		CHECK(line->json != NULL);
		CHECK(r->event_type[0] != '\0' && r->category[0] != '\0');
	}
	return ATOM_OK;
}

static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct stage *s = self;
	atom_status status;

	(void)pthread_mutex_lock(&s->lock);
	status = take(s, records, count, stride, err);
	(void)pthread_mutex_unlock(&s->lock);
	return status;
}

static atom_status sync_records(void *self, struct atom_error *err)
{
	struct stage *s = self;
	atom_status status = ATOM_OK;

	(void)pthread_mutex_lock(&s->lock);
	s->syncs++;
	if (fails(&s->fail_syncs)) {
		cut(s, s->synced);
		status = atom_fail(err, ATOM_EIO, "sync failed");
	} else if (atomic_load(&s->lossy)) {
		status = atom_fail(err, ATOM_ENOTSUP, "who knows");
	}
	s->synced = s->count;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	return status;
}

static atom_status keep_head(void *self,
			     const struct atom_audit_checkpoint *head,
			     struct atom_error *err)
{
	struct stage *s = self;

	(void)err;
	(void)pthread_mutex_lock(&s->lock);
	/* All up to it has been given, nothing after it. */
	CHECK(s->count > 0 &&
	      s->lines[s->count - 1].sequence == head->sequence);
	CHECK(memcmp(s->lines[s->count - 1].hash, head->hash, 32) == 0);
	s->heads++;
	s->position.checkpoint = head->sequence;
	s->position.range_count = head->range_count;
	memcpy(s->position.range, head->range,
	       (size_t)head->range_count * TREE_HASH);
	memcpy(s->note, head->note.bytes, head->note.length);
	s->position.note.length = head->note.length;
	(void)snprintf(s->verifier, sizeof(s->verifier), "%s", head->verifier);
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
	return ATOM_OK;
}

static atom_status last(void *self, struct atom_audit_position *position_r,
			struct atom_error *err)
{
	struct stage *s = self;

	(void)err;
	(void)pthread_mutex_lock(&s->lock);
	s->position.note.bytes = s->note;
	s->position.sequence = s->count ? s->lines[s->count - 1].sequence : 0;
	if (s->count)
		memcpy(s->position.hash, s->lines[s->count - 1].hash, 32);
	s->position.struct_size = position_r->struct_size;
	*position_r = s->position;
	(void)pthread_mutex_unlock(&s->lock);
	return ATOM_OK;
}

static atom_status read_records(void *self, uint64_t after, uint64_t limit,
				atom_audit_visit visit, void *argument,
				struct atom_error *err)
{
	struct stage *s = self;
	uint64_t given = 0;

	(void)err;
	for (size_t i = 0; i < s->count && given < limit; i++) {
		const struct stage_line *line = &s->lines[i];
		struct atom_audit_record r = {
			.struct_size = sizeof(r),
			.sequence = line->sequence,
			.time_ms = line->time_ms,
			.category = "",
			.event_type = "",
			.json = { line->json, strlen(line->json) },
		};

		if (line->sequence <= after)
			continue;
		memcpy(r.hash, line->hash, sizeof(r.hash));
		given++;
		if (visit(argument, &r) != 0)
			break;
	}
	return ATOM_OK;
}

static atom_status prune(void *self, uint64_t sequence, uint64_t *removed_r,
			 struct atom_error *err)
{
	struct stage *s = self;
	size_t gone = 0;

	(void)err;
	(void)pthread_mutex_lock(&s->lock);
	while (gone < s->count && s->lines[gone].sequence <= sequence)
		free(s->lines[gone++].json);
	memmove(s->lines, s->lines + gone,
		(s->count - gone) * sizeof(*s->lines));
	s->count -= gone;
	s->synced -= gone;
	*removed_r = gone;
	(void)pthread_mutex_unlock(&s->lock);
	return ATOM_OK;
}

#define OPS(create_)                                                         \
	{                                                                    \
		.struct_size = sizeof(struct atom_audit_ops),                \
		.create = (create_), .destroy = destroy,                     \
		.write = write_records, .sync = sync_records,                \
		.checkpoint = keep_head, .last = last, .read = read_records, \
		.prune = prune                                               \
	}

static const struct atom_audit_ops ops[2] = { OPS(create_first),
					      OPS(create_second) };

static const struct atom_component declared[2] = {
	{ .struct_size = sizeof(struct atom_component),
	  .kind = ATOM_KIND_AUDIT,
	  .name = "first",
	  .ops = (const struct atom_ops *)(const void *)&ops[0] },
	{ .struct_size = sizeof(struct atom_component),
	  .kind = ATOM_KIND_AUDIT,
	  .name = "second",
	  .ops = (const struct atom_ops *)(const void *)&ops[1] },
};

static const struct component components[2] = {
	{ .declared = &declared[0],
	  .kind_word = "audit",
	  .name = "first",
	  .ops = (const struct atom_ops *)(const void *)&ops[0] },
	{ .declared = &declared[1],
	  .kind_word = "audit",
	  .name = "second",
	  .ops = (const struct atom_ops *)(const void *)&ops[1] },
};

static atom_status find(const char *kind, const char *name,
			const struct component **component_r,
			struct atom_error *err)
{
	(void)kind;
	for (int i = 0; i < 2; i++)
		if (strcmp(components[i].name, name) == 0) {
			*component_r = &components[i];
			return ATOM_OK;
		}
	return atom_fail(err, ATOM_ENOENT, "no sink %s", name);
}

/* --- around it ------------------------------------------------------------------ */

const char *audit_fixture_folder(void)
{
	return folder;
}

struct config *audit_fixture_config(const char *sinks)
{
	struct buffer errors = BUFFER_INIT(65536);
	struct config *config = NULL;
	char path[300];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/atomd.conf", folder);
	file = fopen(path, "w");
	CHECK(file != NULL);
	CHECK(fprintf(file,
		      "state: { directory = \"%s\"; };\n"
		      "audit_sinks = ( %s );\n",
		      folder, sinks) > 0);
	CHECK(fclose(file) == 0);
	if (config_load(path, NULL, 0, &config, &errors) != ATOM_OK) {
		printf("# %s\n", errors.bytes);
		CHECK(config != NULL);
	}
	buffer_fini(&errors);
	return config;
}

void audit_fixture_begin(void)
{
	const char *above = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%s/audit-XXXXXX",
		       above ? above : "/tmp");
	CHECK(mkdtemp(folder) != NULL);
	audit_find_component = find;
}

static int remove_one(const char *path, const struct stat *stat_of, int type,
		      struct FTW *where)
{
	(void)stat_of;
	(void)type;
	(void)where;
	return remove(path);
}

void audit_fixture_end(void)
{
	for (int i = 0; i < 2; i++) {
		stage_clear(&stages[i]);
		free(stages[i].lines);
	}
	(void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void stage_clear(struct stage *s)
{
	(void)pthread_mutex_lock(&s->lock);
	cut(s, 0);
	s->synced = 0;
	memset(&s->position, 0, sizeof(s->position));
	s->heads = s->writes = s->syncs = 0;
	(void)pthread_mutex_unlock(&s->lock);
}

void stage_hang(struct stage *s, bool hang)
{
	(void)pthread_mutex_lock(&s->lock);
	s->hang = hang;
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->lock);
}

void stage_wait(struct stage *s, size_t count)
{
	(void)pthread_mutex_lock(&s->lock);
	while (s->synced < count)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

void stage_wait_writes(struct stage *s, unsigned int count)
{
	(void)pthread_mutex_lock(&s->lock);
	while (s->writes < count)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

void stage_wait_closed(struct stage *s)
{
	(void)pthread_mutex_lock(&s->lock);
	while (s->open)
		(void)pthread_cond_wait(&s->changed, &s->lock);
	(void)pthread_mutex_unlock(&s->lock);
}

void stage_verify(struct stage *s)
{
	struct audit_log log = { .sequence = 0 };
	struct note_verifier verifier;
	struct note_head head;
	uint8_t root[TREE_HASH];

	CHECK(note_verifier_parse(s->verifier, &verifier, NULL) == ATOM_OK);
	CHECK(note_verify(s->note, s->position.note.length, &verifier, &head,
			  NULL) == ATOM_OK);
	CHECK(chain_genesis(head.log_id, log.hash));
	for (size_t i = 0; i < s->count; i++) {
		struct atom_audit_record r = {
			.json = { s->lines[i].json, strlen(s->lines[i].json) },
		};
		char number[64];

		CHECK(s->lines[i].sequence == i + 1);
		(void)snprintf(number, sizeof(number), ",\"sequence\":%zu,",
			       i + 1);
		CHECK(strstr(s->lines[i].json, number) != NULL);
		CHECK(log_step(&log, &r));
		CHECK(memcmp(r.hash, s->lines[i].hash, 32) == 0);
		if (log.sequence == head.size) {
			CHECK(tree_root(&log.range, root));
			CHECK(memcmp(root, head.root, sizeof(root)) == 0);
			CHECK(memcmp(log.hash, head.chain, 32) == 0);
		}
	}
	CHECK(log.sequence == head.size);
}
