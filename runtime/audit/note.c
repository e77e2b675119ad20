/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/note.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

static const char origin[] = "atomd-audit/";
/* U+2014 and a space */
static const char dash[] = "\xe2\x80\x94 ";

#define HASH_TEXT      44 /* base64 of 32 bytes */
#define SIGNATURE_TEXT 92 /* base64 of 4 + 64 bytes */

atom_status note_make(const struct note_signer *signer,
		      const struct note_head *head, char out[NOTE_TEXT_MAX],
		      size_t *length_r, struct atom_error *err)
{
	char root[HASH_TEXT + 1], chain[CHAIN_HASH * 2 + 1];
	char time[TEXT_TIME_MAX], text[SIGNATURE_TEXT + 1];
	uint8_t signature[NOTE_KEY_HASH + NOTE_SIGNATURE_BYTES];
	int body, tail;
	atom_status status;

	if (strcmp(head->log_id, signer->log_id) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "the key is log %s's, the head is of log %s",
				 signer->log_id, head->log_id);
	text_base64(head->root, TREE_HASH, root, sizeof(root));
	text_to_hex(head->chain, CHAIN_HASH, chain);
	text_of_time(head->time_ms, time);
	body = snprintf(out, NOTE_TEXT_MAX,
			"%s%s\n%llu\n%s\nchain %s\ntime %s\n", origin,
			head->log_id, (unsigned long long)head->size, root,
			chain, time);
	assert(body > 0 && body < NOTE_TEXT_MAX);
	memcpy(signature, signer->verifier.key_hash, NOTE_KEY_HASH);
	status = note_sign(signer->seed, out, (size_t)body,
			   signature + NOTE_KEY_HASH, err);
	if (status != ATOM_OK)
		return status;
	text_base64(signature, sizeof(signature), text, sizeof(text));
	tail = snprintf(out + body, NOTE_TEXT_MAX - (size_t)body, "\n%s%s %s\n",
			dash, signer->verifier.name, text);
	assert(tail > 0 && body + tail < NOTE_TEXT_MAX);
	*length_r = (size_t)body + (size_t)tail;
	return ATOM_OK;
}

/* --- parsing ------------------------------------------------------------- */

struct reader {
	const char *at, *end;
	unsigned int line; /* of the line taken last, from 1 */
	struct atom_error *err;
};

static atom_status wrong(const struct reader *r, const char *expected)
{
	return atom_fail(r->err, ATOM_EINVAL,
			 "signed note, line %u: expected %s", r->line,
			 expected);
}

/* The next line without its '\n'; false at the end and for one without. */
static bool take_line(struct reader *r, const char **line_r, size_t *length_r)
{
	const char *end = memchr(r->at, '\n', (size_t)(r->end - r->at));

	r->line++;
	if (end == NULL)
		return false;
	*line_r = r->at;
	*length_r = (size_t)(end - r->at);
	r->at = end + 1;
	return true;
}

/* The next line behind `prefix`. */
static bool take(struct reader *r, const char *prefix, const char **rest_r,
		 size_t *length_r)
{
	size_t skip = strlen(prefix);

	if (!take_line(r, rest_r, length_r) || *length_r < skip ||
	    memcmp(*rest_r, prefix, skip) != 0)
		return false;
	*rest_r += skip;
	*length_r -= skip;
	return true;
}

/* Decimal without zeros in front, up to 2^63 - 1 as others' logs. */
static bool read_size(const char *text, size_t length, uint64_t *size_r)
{
	uint64_t value = 0;

	if (length < 1 || length > 19 || (text[0] == '0' && length > 1))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
	}
	*size_r = value;
	return value <= INT64_MAX;
}

static bool read_hex(const char *text, size_t length, uint8_t *out,
		     size_t out_length)
{
	static const char digits[] = "0123456789abcdef";

	if (length != out_length * 2)
		return false;
	for (size_t i = 0; i < length; i++) {
		const char *digit = memchr(digits, text[i], 16);

		if (digit == NULL)
			return false;
		out[i / 2] = (uint8_t)((unsigned int)out[i / 2] << 4 |
				       (unsigned int)(digit - digits));
	}
	return true;
}

/* Only as text_of_time() writes it. */
static bool read_time(const char *text, size_t length, int64_t *ms_r)
{
	char copy[TEXT_TIME_MAX], again[TEXT_TIME_MAX];

	if (length >= sizeof(copy) || memchr(text, '\0', length))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (!text_to_time(copy, ms_r))
		return false;
	text_of_time(*ms_r, again);
	return strcmp(copy, again) == 0;
}

static atom_status read_head(struct reader *r, struct note_head *head)
{
	const char *text;
	size_t length;

	if (!take(r, origin, &text, &length) || length != CHAIN_LOG_ID)
		return wrong(r, "atomd-audit/ and 16 hexadecimal digits");
	memcpy(head->log_id, text, CHAIN_LOG_ID);
	if (!chain_is_log_id(head->log_id))
		return wrong(r, "atomd-audit/ and 16 hexadecimal digits");
	if (!take(r, "", &text, &length) ||
	    !read_size(text, length, &head->size))
		return wrong(r, "the number of records");
	if (!take(r, "", &text, &length) ||
	    !note_base64_read(text, length, head->root, TREE_HASH))
		return wrong(r, "the root, base64 of 32 bytes");
	if (!take(r, "chain ", &text, &length) ||
	    !read_hex(text, length, head->chain, CHAIN_HASH))
		return wrong(r, "chain and 64 hexadecimal digits");
	if (!take(r, "time ", &text, &length) ||
	    !read_time(text, length, &head->time_ms))
		return wrong(r, "time and a time as 2026-01-02T03:04:05.678Z");
	return ATOM_OK;
}

/* "<name> <base64>": a name is neither empty nor holds a plus or a space, and
 * a signature is at least a key hash and one byte. */
static bool signature_parts(const char *text, size_t length,
			    size_t *name_length_r)
{
	const char *space = memchr(text, ' ', length);
	size_t name, rest;

	if (space == NULL || space == text)
		return false;
	name = (size_t)(space - text);
	rest = length - name - 1;
	for (size_t i = 0; i < name; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == '+' ||
		    text[i] == 0x7f)
			return false;
	for (size_t i = name + 1; i < length; i++) {
		char c = text[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '+' || c == '/';

		if (!word && !(c == '=' && i + 2 >= length))
			return false;
	}
	*name_length_r = name;
	return rest >= 8 && rest % 4 == 0;
}

/* Is this signature line by the verifier's key, and right? */
static bool signed_by(const struct note_verifier *verifier, const char *text,
		      size_t length, size_t name_length, const char *body,
		      size_t body_length)
{
	uint8_t bytes[NOTE_KEY_HASH + NOTE_SIGNATURE_BYTES];

	return name_length == strlen(verifier->name) &&
	       memcmp(text, verifier->name, name_length) == 0 &&
	       note_base64_read(text + name_length + 1,
				length - name_length - 1, bytes,
				sizeof(bytes)) &&
	       memcmp(bytes, verifier->key_hash, NOTE_KEY_HASH) == 0 &&
	       note_signature_fits(verifier->key, body, body_length,
				   bytes + NOTE_KEY_HASH);
}

static atom_status read_note(const char *text, size_t length,
			     const struct note_verifier *verifier,
			     struct note_head *head_r, struct atom_error *err)
{
	struct reader r = { .at = text, .end = text + length, .err = err };
	struct note_head head = { .size = 0 };
	const char *line;
	size_t line_length, name_length, body;
	bool verified = false;
	unsigned int signatures = 0;
	atom_status status;

	if (length > NOTE_READ_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a signed note of %zu bytes: at most %d",
				 length, NOTE_READ_MAX);
	status = read_head(&r, &head);
	if (status != ATOM_OK)
		return status;
	body = (size_t)(r.at - text);
	if (!take(&r, "", &line, &line_length) || line_length != 0)
		return wrong(&r, "an empty line");
	do {
		if (!take(&r, dash, &line, &line_length) ||
		    !signature_parts(line, line_length, &name_length))
			return wrong(&r, "an em dash, a name and a signature");
		if (++signatures > NOTE_SIGNATURES_MAX)
			return wrong(&r, "at most 16 signatures");
		if (verifier && !verified)
			verified = signed_by(verifier, line, line_length,
					     name_length, text, body);
	} while (r.at < r.end);
	if (verifier && !verified)
		return atom_fail(
			err, ATOM_EDATALOSS,
			"the head of %llu records is not signed by the key of %s",
			(unsigned long long)head.size, verifier->name);
	/* The name of the key is the name of its log. */
	if (verifier &&
	    strcmp(verifier->name + sizeof(origin) - 1, head.log_id) != 0)
		return atom_fail(err, ATOM_EDATALOSS,
				 "the head is of log %s, the key is of %s",
				 head.log_id, verifier->name);
	*head_r = head;
	return ATOM_OK;
}

atom_status note_parse(const char *text, size_t length,
		       struct note_head *head_r, struct atom_error *err)
{
	return read_note(text, length, NULL, head_r, err);
}

atom_status note_verify(const char *text, size_t length,
			const struct note_verifier *verifier,
			struct note_head *head_r, struct atom_error *err)
{
	return read_note(text, length, verifier, head_r, err);
}
