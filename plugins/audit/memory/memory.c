/* SPDX-License-Identifier: Apache-2.0 */

/* audit/memory: the last records, in memory only. */

#include <stdlib.h>
#include <string.h>

#include <atomd/audit.h>

struct memory_options {
	int64_t records;
	int32_t accept_loss;
};

static const struct atom_option memory_options[] = {
	ATOM_OPTION_INT_UNIT(struct memory_options, records, "1000", 1, 100000,
			     0, "records", "how many are kept; the oldest go"),
	ATOM_OPTION_BOOL(struct memory_options, accept_loss, "false", 0,
			 "call them durable, though a restart loses them"),
};

/* A ring: record `sequence` stands in its place modulo `records`. */
struct memory {
	const struct memory_options *options;
	char **lines;
	uint64_t last;
	uint8_t hash[32];
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct memory *memory = calloc(1, sizeof(*memory));

	(void)host;
	if (memory == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	memory->options = options;
	memory->lines = calloc((size_t)memory->options->records,
			       sizeof(*memory->lines));
	if (memory->lines == NULL) {
		free(memory);
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
	*self_r = memory;
	return ATOM_OK;
}

static void destroy(void *self)
{
	struct memory *memory = self;

	for (int64_t i = 0; i < memory->options->records; i++)
		free(memory->lines[i]);
	free(memory->lines);
	free(memory);
}

static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct memory *memory = self;
	const uint64_t size = (uint64_t)memory->options->records;

	for (size_t i = 0; i < count; i++) {
		const struct atom_audit_record *record =
			(const void *)((const char *)records + i * stride);
		char *line = strndup(record->json.bytes, record->json.length);

		if (line == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		free(memory->lines[record->sequence % size]);
		memory->lines[record->sequence % size] = line;
		memory->last = record->sequence;
		memcpy(memory->hash, record->hash, sizeof(memory->hash));
	}
	return ATOM_OK;
}

static atom_status sync_records(void *self, struct atom_error *err)
{
	const struct memory *memory = self;

	if (memory->options->accept_loss)
		return ATOM_OK;
	return atom_fail(err, ATOM_ENOTSUP,
			 "audit/memory keeps nothing over a restart; set "
			 "accept_loss = true if that is meant");
}

static atom_status last(void *self, struct atom_audit_position *position_r,
			struct atom_error *err)
{
	const struct memory *memory = self;

	(void)err;
	position_r->sequence = memory->last;
	position_r->checkpoint = 0;
	position_r->range_count = 0;
	memcpy(position_r->hash, memory->hash, sizeof(memory->hash));
	return ATOM_OK;
}

static const struct atom_audit_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.write = write_records,
	.sync = sync_records,
	.last = last,
};

ATOM_PLUGIN("memory", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_AUDIT, "memory",
			   "the last audit records, in memory only", &ops,
			   memory_options, struct memory_options));
