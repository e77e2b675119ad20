/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_NOTE_H
#define AUDIT_NOTE_H

/*
 * The signed head of an audit log as text: a checkpoint (C2SP tlog-checkpoint)
 * in a signed note (C2SP signed-note), which tools for transparency logs read.
 *
 *	atomd-audit/<log id>
 *	<records, decimal>
 *	<root of the tree, base64>
 *	chain <hash of the last record, hexadecimal>
 *	time <RFC 3339, milliseconds, UTC>
 *
 *	— atomd-audit/<log id> <base64(key hash || signature)>
 *
 * The signature is Ed25519 (RFC 8032) over all lines up to the empty one.
 * The key hash, 4 bytes, is the beginning of SHA-256(name || "\n" || 0x01 ||
 * public key); the verifier key as text is
 *
 *	<name>+<key hash, hexadecimal>+<base64(0x01 || public key)>
 *
 * Parsing is strict: one way to write each head, nothing before, between or
 * behind.  Signatures of others (witnesses) may stand beside ours.  Pure, no
 * allocation but OpenSSL's own.  [any]
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "audit/chain.h"
#include "audit/tree.h"

#define NOTE_KEY_BYTES	     32 /* public or private */
#define NOTE_SIGNATURE_BYTES 64
#define NOTE_KEY_HASH	     4
/* "atomd-audit/" and the log id */
#define NOTE_NAME_LENGTH (12 + CHAIN_LOG_ID)
/* A note of ours with its NUL; and the longest that is read, with the
 * signatures of witnesses. */
#define NOTE_TEXT_MAX	     512
#define NOTE_READ_MAX	     8192
#define NOTE_SIGNATURES_MAX  16
#define NOTE_VERIFIER_MAX    128
#define NOTE_PRIVATE_KEY_MAX 160

struct note_head {
	char log_id[CHAIN_LOG_ID + 1];
	uint64_t size; /* records */
	int64_t time_ms;
	uint8_t root[TREE_HASH];
	uint8_t chain[CHAIN_HASH];
};

struct note_verifier {
	char name[NOTE_NAME_LENGTH + 1];
	uint8_t key[NOTE_KEY_BYTES];
	uint8_t key_hash[NOTE_KEY_HASH];
};

struct note_signer {
	struct note_verifier verifier;
	char log_id[CHAIN_LOG_ID + 1];
	uint8_t seed[NOTE_KEY_BYTES]; /* private: wipe it */
};

/* --- keys ---------------------------------------------------------------- */

/* The signer that a private key (RFC 8032's 32 bytes) makes. */
atom_status note_signer_init(struct note_signer *signer, const char *log_id,
			     const uint8_t seed[NOTE_KEY_BYTES],
			     struct atom_error *err);
/* As text of one line without '\n', as other tools for signed notes keep it:
 * "PRIVATE+KEY+<name>+<key hash>+<base64(0x01 || private key)>".  Secret. */
void note_signer_text(const struct note_signer *signer,
		      char out[NOTE_PRIVATE_KEY_MAX]);
/* From that text, with or without '\n' at its end; ATOM_EINVAL says what is
 * wrong and shows nothing of the key. */
atom_status note_signer_parse(const char *text, struct note_signer *signer_r,
			      struct atom_error *err);
void note_signer_wipe(struct note_signer *signer);

void note_verifier_text(const struct note_verifier *verifier,
			char out[NOTE_VERIFIER_MAX]);
/* With or without '\n' at its end. */
atom_status note_verifier_parse(const char *text,
				struct note_verifier *verifier_r,
				struct atom_error *err);

/* --- notes --------------------------------------------------------------- */

/* Writes and signs; `head->log_id` must be the signer's.  Ends in "\n" and a
 * NUL that *length_r does not count. */
atom_status note_make(const struct note_signer *signer,
		      const struct note_head *head, char out[NOTE_TEXT_MAX],
		      size_t *length_r, struct atom_error *err);
/* What the note says, whoever has signed it: no proof of anything.
 * ATOM_EINVAL names the line that is wrong. */
atom_status note_parse(const char *text, size_t length,
		       struct note_head *head_r, struct atom_error *err);
/* The same, and that the verifier's key has signed it; ATOM_EDATALOSS: well
 * formed, but the key has not. */
atom_status note_verify(const char *text, size_t length,
			const struct note_verifier *verifier,
			struct note_head *head_r, struct atom_error *err);

/* --- the signature alone ------------------------------------------------- */

/* Ed25519 by OpenSSL. */
atom_status note_sign(const uint8_t seed[NOTE_KEY_BYTES], const void *bytes,
		      size_t length, uint8_t signature_r[NOTE_SIGNATURE_BYTES],
		      struct atom_error *err);
bool note_signature_fits(const uint8_t key[NOTE_KEY_BYTES], const void *bytes,
			 size_t length,
			 const uint8_t signature[NOTE_SIGNATURE_BYTES]);
atom_status note_public_key(const uint8_t seed[NOTE_KEY_BYTES],
			    uint8_t key_r[NOTE_KEY_BYTES],
			    struct atom_error *err);

/* Base64 (RFC 4648, 4) with padding, the only way to write `length` bytes;
 * false when the text is anything else. */
bool note_base64_read(const char *text, size_t text_length, uint8_t *out,
		      size_t length);

#endif
