/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/verify_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

#define HEAD_MAX ((size_t)NOTE_READ_MAX)
/* A segment may go while it is being pruned: look again. */
#define TRIES 3

const char *verify_verdict_name(enum verify_verdict verdict)
{
	return verdict == VERIFY_SOUND	    ? "sound"
	       : verdict == VERIFY_TAMPERED ? "tampered"
					    : "incomplete";
}

void verify_result_fini(struct verify_result *result)
{
	buffer_fini(&result->unknown);
	buffer_fini(&result->unfinished);
}

atom_status verify_bad(struct walk *walk, enum verify_verdict verdict,
		       uint64_t first_bad, const char *format, ...)
{
	struct verify_result *result = walk->result;
	va_list args;

	assert(result->verdict == VERIFY_SOUND);
	result->verdict = verdict;
	result->first_bad = first_bad;
	result->offset = walk->offset;
	(void)snprintf(result->file, sizeof(result->file), "%s", walk->file);
	va_start(args, format);
	(void)vsnprintf(result->reason, sizeof(result->reason), format, args);
	va_end(args);
	return ATOM_EDATALOSS;
}

uint64_t verify_uncovered(const struct walk *walk)
{
	return walk->signed_sequence < walk->sequence
		       ? walk->signed_sequence + 1
		       : walk->sequence;
}

atom_status verify_no_memory(struct walk *walk)
{
	return atom_fail(walk->err, ATOM_ENOMEM,
			 "no memory to verify the log with");
}

static atom_status walk_folder(struct walk *walk, const struct folder *folder)
{
	atom_status status;

	if (folder->segment_count == 0 && !walk->has_head && !walk->key_text[0])
		return atom_fail(walk->err, ATOM_ENOENT,
				 "%s holds no audit log: no segment, no "
				 "signed head, no key",
				 folder->path);
	status = verify_reserve(walk);
	if (status == ATOM_OK)
		status = verify_outside_signatures(walk);
	if (status == ATOM_OK)
		status = verify_tombstones(walk);
	if (status == ATOM_OK)
		status = verify_segments(walk, folder);
	if (status == ATOM_OK)
		status = verify_end(walk);
	return status;
}

static atom_status try_once(const struct verify_request *request,
			    struct verify_result *result,
			    struct atom_error *err)
{
	struct walk *walk = mem_zalloc(sizeof(*walk));
	struct folder folder = { 0 };
	atom_status status;

	memset(result, 0, sizeof(*result));
	if (walk == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	walk->request = request;
	walk->result = result;
	walk->err = err;
	buffer_init(&walk->head, HEAD_MAX);
	buffer_init(&walk->sealed, 2 * SEGMENT_LINE_MAX);
	buffer_init(&walk->plain, 2 * SEGMENT_LINE_MAX);
	status = verify_read_key(walk);
	if (status == ATOM_OK)
		status = verify_read_head(walk);
	if (status == ATOM_OK || status == ATOM_EDATALOSS) {
		atom_status listed = folder_list(&folder, request->path, err);

		status = listed != ATOM_OK ? listed : status;
	}
	if (status == ATOM_OK)
		status = walk_folder(walk, &folder);
	if (status == ATOM_EDATALOSS && result->verdict != VERIFY_SOUND)
		status = ATOM_OK;
	result->signed_records = walk->signed_sequence;
	if (result->records > 0) {
		result->last = walk->sequence;
		result->first = walk->sequence - result->records + 1;
	}
	result->unknown = folder.unknown;
	result->unfinished = folder.unfinished;
	folder.unknown = folder.unfinished = (struct buffer){ 0 };
	folder_fini(&folder);
	buffer_fini(&walk->head);
	buffer_fini(&walk->sealed);
	buffer_fini(&walk->plain);
	mem_free(walk);
	return status;
}

atom_status verify_log(const struct verify_request *request,
		       struct verify_result *result_r, struct atom_error *err)
{
	atom_status status = ATOM_EBUSY;

	for (int i = 0; i < TRIES && status == ATOM_EBUSY; i++) {
		if (i > 0)
			verify_result_fini(result_r);
		status = try_once(request, result_r, err);
	}
	return status;
}
