/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "audit_offline.h"
#include "commands.h"
#include "ctl.h"

#include "audit/outside.h"
#include "audit/verify.h"
#include "keyring/keyring.h"

#include <string.h>

/* Names, one a line, as a list. */
static json_t *names_of(const struct buffer *names)
{
	json_t *list = json_array();
	const char *at = names->bytes;
	size_t left = names->length;
	while (list && left > 0) {
		const char *end = memchr(at, '\n', left);
		size_t length = end ? (size_t)(end - at) : left;
		/* A name that is no UTF-8 is told as such, not left out. */
		json_t *name = json_stringn(at, length);
		json_array_append_new(list,
				      name ? name : json_string("(not UTF-8)"));
		length += end ? 1 : 0;
		at += length;
		left -= length;
	}
	return list;
}

static json_t *or_null(uint64_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *document_of(const struct verify_result *r)
{
	json_t *document = json_pack(
		"{s:I, s:o, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
		"s:o, s:o}",
		"records", (json_int_t)r->records, "first_bad",
		or_null(r->first_bad), "verdict",
		verify_verdict_name(r->verdict), "first", or_null(r->first),
		"last", or_null(r->last), "signed",
		(json_int_t)r->signed_records, "pruned", (json_int_t)r->pruned,
		"unread", (json_int_t)r->unread, "torn_bytes",
		(json_int_t)r->torn_bytes, "remains_bytes",
		(json_int_t)r->remains_bytes, "checkpoints",
		(json_int_t)r->notes, "checkpoints_unchecked",
		(json_int_t)r->notes_unchecked, "unknown_files",
		names_of(&r->unknown), "unfinished_files",
		names_of(&r->unfinished));
	if (document && r->file[0]) {
		json_object_set_new(document, "file", json_string(r->file));
		json_object_set_new(document, "offset",
				    json_integer((json_int_t)r->offset));
	}
	if (document && r->reason[0])
		json_object_set_new(document, "reason", json_string(r->reason));
	return document;
}

static void print_names(const struct ctl *ctl, const char *what,
			const struct buffer *names)
{
	if (names->length == 0)
		return;
	fprintf(stdout, "%s:\n", what);
	terminal_write(stdout, names->bytes, names->length, !ctl->terminal.out);
}

static void print_result(const struct ctl *ctl, const struct verify_result *r)
{
	printf("%s: %llu records", verify_verdict_name(r->verdict),
	       (unsigned long long)r->records);
	if (r->records > 0)
		printf(", %llu to %llu", (unsigned long long)r->first,
		       (unsigned long long)r->last);
	if (r->signed_records > 0)
		printf(", signed up to %llu",
		       (unsigned long long)r->signed_records);
	if (r->pruned > 0)
		printf(", pruned up to %llu", (unsigned long long)r->pruned);
	putchar('\n');
	if (r->notes + r->notes_unchecked > 0)
		printf("%zu signed heads kept outside agree, %zu are of "
		       "records that are not here\n",
		       r->notes, r->notes_unchecked);
	if (r->torn_bytes > 0)
		printf("%llu bytes at the end were torn by a crash; they were "
		       "acknowledged to nobody\n",
		       (unsigned long long)r->torn_bytes);
	if (r->reason[0])
		ctl_say(ctl, "%s\n", r->reason);
	print_names(ctl, "files that do not belong to the log", &r->unknown);
	print_names(ctl, "files that were being made", &r->unfinished);
}

/* The sentence of a bad verdict. */
static int fail_verdict(struct ctl *ctl, const struct verify_result *r)
{
	char record[64] = "";
	char place[FOLDER_NAME_MAX + 32] = "";
	if (r->first_bad)
		snprintf(record, sizeof(record), ", first bad record %llu",
			 (unsigned long long)r->first_bad);
	if (r->file[0])
		snprintf(place, sizeof(place), "%s, byte %llu: ", r->file,
			 (unsigned long long)r->offset);
	return ctl_fail(ctl, CTL_FAILED, "the log is %s%s: %s%s",
			verify_verdict_name(r->verdict), record, place,
			r->reason);
}

int cmd_audit_verify(struct ctl *ctl)
{
	const char *checkpoints = ctl_option(ctl, OPTION_CHECKPOINTS);
	struct atom_error err = ATOM_ERROR_INIT;
	struct outside_notes notes = { 0 };
	struct verify_result result = { 0 };
	struct verify_unsealer unsealer;
	struct keyring *keyring = NULL;
	struct audit_place place;
	struct verify_request request = { 0 };
	int code = audit_place_find(ctl, 0, &place);
	if (code != CTL_DONE)
		goto out;
	request.path = text_string(&place.folder);
	if (place.has_key)
		request.key = &place.key;
	code = audit_keyring(ctl, &keyring, &unsealer);
	if (code != CTL_DONE)
		goto out;
	if (keyring)
		request.unsealer = &unsealer;
	if (checkpoints) {
		if (outside_add_file(&notes, checkpoints, &err) != ATOM_OK) {
			code = ctl_fail(ctl, CTL_FAILED, "--checkpoints: %s",
					err.message);
			goto out;
		}
		request.outside = &notes;
	}
	if (verify_log(&request, &result, &err) != ATOM_OK) {
		code = ctl_fail(ctl, CTL_FAILED, "%s", err.message);
		goto out;
	}
	if (ctl_has(ctl, OPTION_JSON)) {
		json_t *document = document_of(&result);
		code = document ? ctl_print_json(ctl, document)
				: ctl_fail_memory(ctl);
		json_decref(document);
	} else if (result.verdict == VERIFY_SOUND) {
		print_result(ctl, &result);
	}
	if (code == CTL_DONE && result.verdict != VERIFY_SOUND)
		code = fail_verdict(ctl, &result);
out:
	keyring_free(&keyring);
	verify_result_fini(&result);
	outside_fini(&notes);
	audit_place_fini(&place);
	return code;
}
