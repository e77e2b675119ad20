/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "audit_offline.h"
#include "commands.h"
#include "ctl.h"

#include "audit/prove.h"
#include "audit/segment_read.h"
#include "core/text.h"
#include "keyring/keyring.h"

#include <string.h>

#define HEX_MAX (2 * TREE_HASH + 1)

static int need_sequence(struct ctl *ctl, const char *word, uint64_t *number_r)
{
	int64_t number;
	if (!text_to_int(word, &number) || number < 1)
		return ctl_fail(ctl, CTL_USAGE,
				"expected the number of a record, 1 or more, "
				"found '%.40s'",
				word);
	*number_r = (uint64_t)number;
	return CTL_DONE;
}

/* --- making one ----------------------------------------------------------- */

static json_t *hex(const uint8_t hash[TREE_HASH])
{
	char text[HEX_MAX];
	text_to_hex(hash, TREE_HASH, text);
	return json_string(text);
}

static json_t *document_of(const struct record_proof *proof)
{
	char verifier[NOTE_VERIFIER_MAX];
	json_t *path = json_array();
	note_verifier_text(&proof->key, verifier);
	for (uint32_t i = 0; path && i < proof->path.count; i++)
		json_array_append_new(path, hex(proof->path.hashes[i]));
	return json_pack("{s:I, s:s%, s:o, s:o, s:s, s:s}", "sequence",
			 (json_int_t)proof->sequence, "record",
			 proof->record.bytes, proof->record.length, "leaf_hash",
			 hex(proof->leaf), "path", path, "note", proof->note,
			 "verifier_key", verifier);
}

static int prove(struct ctl *ctl)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct verify_unsealer unsealer;
	struct keyring *keyring = NULL;
	struct audit_place place = { 0 };
	struct record_proof proof;
	uint64_t sequence = 0;
	if (ctl->word_count < 1)
		return ctl_fail(ctl, CTL_USAGE,
				"which record? audit prove SEQUENCE [DIR], or "
				"--check FILE");
	int code = need_sequence(ctl, ctl->words[0], &sequence);
	if (code == CTL_DONE)
		code = audit_place_find(ctl, 1, &place);
	if (code == CTL_DONE)
		code = audit_keyring(ctl, &keyring, &unsealer);
	if (code == CTL_DONE &&
	    prove_record(text_string(&place.folder), sequence,
			 keyring ? &unsealer : NULL, &proof, &err) != ATOM_OK)
		code = ctl_fail(ctl, CTL_FAILED, "%s", err.message);
	keyring_free(&keyring);
	audit_place_fini(&place);
	if (code != CTL_DONE)
		return code;
	json_t *document = document_of(&proof);
	code = document ? ctl_print_json(ctl, document) : ctl_fail_memory(ctl);
	json_decref(document);
	record_proof_fini(&proof);
	return code;
}

/* --- checking one --------------------------------------------------------- */

static bool read_hash(const json_t *value, uint8_t hash_r[TREE_HASH])
{
	const char *text = json_string_value(value);
	char again[HEX_MAX];
	if (!text || strlen(text) != HEX_MAX - 1)
		return false;
	for (size_t i = 0; i < TREE_HASH; i++) {
		unsigned int byte;
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		hash_r[i] = (uint8_t)byte;
	}
	text_to_hex(hash_r, TREE_HASH, again);
	return !strcmp(text, again);
}

static bool read_path(const json_t *list, struct tree_proof *path_r)
{
	size_t index;
	json_t *item;
	if (!json_is_array(list) || json_array_size(list) > TREE_PROOF_MAX)
		return false;
	path_r->count = (uint32_t)json_array_size(list);
	json_array_foreach(
		list, index,
		item) if (!read_hash(item, path_r->hashes[index])) return false;
	return true;
}

/* The members of a proof; what is more than those is nobody's word. */
static bool read_proof(const json_t *document, struct record_proof *proof_r,
		       struct atom_error *err)
{
	const json_t *record = json_object_get(document, "record");
	const json_t *note = json_object_get(document, "note");
	const char *verifier = member_string(document, "verifier_key");
	json_int_t sequence =
		json_integer_value(json_object_get(document, "sequence"));
	if (sequence < 1 || !json_is_string(record) || !json_is_string(note) ||
	    json_string_length(note) > NOTE_READ_MAX || !verifier ||
	    !read_hash(json_object_get(document, "leaf_hash"), proof_r->leaf) ||
	    !read_path(json_object_get(document, "path"), &proof_r->path)) {
		atom_fail(err, ATOM_EINVAL,
			  "expected sequence, record, leaf_hash, path, note "
			  "and verifier_key as 'audit prove' prints them");
		return false;
	}
	proof_r->sequence = (uint64_t)sequence;
	proof_r->note_length = json_string_length(note);
	memcpy(proof_r->note, json_string_value(note),
	       proof_r->note_length + 1);
	return note_verifier_parse(verifier, &proof_r->key, err) == ATOM_OK &&
	       buffer_append(&proof_r->record, json_string_value(record),
			     json_string_length(record)) == ATOM_OK;
}

static int print_checked(struct ctl *ctl, const struct record_proof *proof,
			 const struct note_head *head, bool has_key)
{
	if (ctl_has(ctl, OPTION_JSON)) {
		json_t *document =
			json_pack("{s:b, s:I, s:I, s:s, s:b}", "proved", 1,
				  "sequence", (json_int_t)proof->sequence,
				  "tree_size", (json_int_t)head->size, "log",
				  head->log_id, "key_given", has_key);
		int code = document ? ctl_print_json(ctl, document)
				    : ctl_fail_memory(ctl);
		json_decref(document);
		return code;
	}
	ctl_say(ctl,
		"record %llu is in log %s, in the signed head of %llu "
		"records\n",
		(unsigned long long)proof->sequence, head->log_id,
		(unsigned long long)head->size);
	if (!has_key)
		fputs("The key was taken from the proof itself; give the one "
		      "you trust with --public-key.\n",
		      stderr);
	return CTL_DONE;
}

static int check(struct ctl *ctl, const char *path)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct record_proof proof = { 0 };
	struct note_verifier key;
	struct note_head head;
	json_error_t error;
	bool has_key;
	int code = audit_public_key(ctl, &key, &has_key);
	if (code != CTL_DONE)
		return code;
	json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!document)
		return ctl_fail(ctl, CTL_FAILED, "%s: %s", path, error.text);
	buffer_init(&proof.record, SEGMENT_LINE_MAX);
	if (!read_proof(document, &proof, &err) ||
	    prove_check(&proof, has_key ? &key : &proof.key, &head, &err) !=
		    ATOM_OK)
		code = ctl_fail(ctl, CTL_FAILED, "%s proves nothing: %s", path,
				err.message);
	else
		code = print_checked(ctl, &proof, &head, has_key);
	record_proof_fini(&proof);
	json_decref(document);
	return code;
}

int cmd_audit_prove(struct ctl *ctl)
{
	const char *file = ctl_option(ctl, OPTION_CHECK);
	if (!file)
		return prove(ctl);
	if (ctl->word_count > 0)
		return ctl_fail(ctl, CTL_USAGE,
				"--check FILE needs no record and no folder: "
				"all is in the file");
	return check(ctl, file);
}
