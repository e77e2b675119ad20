/* SPDX-License-Identifier: Apache-2.0 */

/* Keys and signatures: the other half of note.h. */

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/note.h"
#include "core/text.h"

static const char origin[] = "atomd-audit/";
static const char private_prefix[] = "PRIVATE+KEY+";

/* The algorithm byte of Ed25519 in C2SP's signed notes. */
enum {
	ALGORITHM_ED25519 = 0x01
};

/* base64 of an algorithm byte and a key */
#define KEY_TEXT 44

atom_status note_public_key(const uint8_t seed[NOTE_KEY_BYTES],
			    uint8_t key_r[NOTE_KEY_BYTES],
			    struct atom_error *err)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
						     seed, NOTE_KEY_BYTES);
	size_t length = NOTE_KEY_BYTES;
	bool made =
		key && EVP_PKEY_get_raw_public_key(key, key_r, &length) == 1;

	EVP_PKEY_free(key);
	if (!made)
		return atom_fail(err, ATOM_ENOMEM,
				 "OpenSSL cannot make an Ed25519 key");
	return ATOM_OK;
}

atom_status note_sign(const uint8_t seed[NOTE_KEY_BYTES], const void *bytes,
		      size_t length, uint8_t signature_r[NOTE_SIGNATURE_BYTES],
		      struct atom_error *err)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
						     seed, NOTE_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t made = NOTE_SIGNATURE_BYTES;
	bool is_signed =
		key && context &&
		EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(context, signature_r, &made, bytes, length) == 1;

	assert(!is_signed || made == NOTE_SIGNATURE_BYTES);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	if (!is_signed)
		return atom_fail(err, ATOM_ENOMEM,
				 "OpenSSL cannot sign with Ed25519");
	return ATOM_OK;
}

bool note_signature_fits(const uint8_t key[NOTE_KEY_BYTES], const void *bytes,
			 size_t length,
			 const uint8_t signature[NOTE_SIGNATURE_BYTES])
{
	EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
						       key, NOTE_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool fits =
		public && context &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
		EVP_DigestVerify(context, signature, NOTE_SIGNATURE_BYTES,
				 bytes, length) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public);
	return fits;
}

bool note_base64_read(const char *text, size_t text_length, uint8_t *out,
		      size_t length)
{
	char again[128];
	uint8_t bytes[sizeof(again)];
	size_t blocks = (length + 2) / 3;
	int read;

	assert(blocks * 4 < sizeof(again));
	if (text_length != blocks * 4)
		return false;
	/* OpenSSL forgives white space and stray bits; what it makes of the
	 * text must make the text. */
	read = EVP_DecodeBlock(bytes, (const unsigned char *)text,
			       (int)text_length);
	if (read < (int)length)
		return false;
	memcpy(out, bytes, length);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	(void)text_base64(out, length, again, sizeof(again));
	return memcmp(again, text, text_length) == 0;
}

static bool key_hash(struct note_verifier *v)
{
	uint8_t hash[DIGEST_BYTES];
	uint8_t tail[2 + NOTE_KEY_BYTES] = { '\n', ALGORITHM_ED25519 };

	memcpy(tail + 2, v->key, NOTE_KEY_BYTES);
	if (!digest_of(v->name, strlen(v->name), tail, sizeof(tail), hash))
		return false;
	memcpy(v->key_hash, hash, NOTE_KEY_HASH);
	return true;
}

atom_status note_signer_init(struct note_signer *signer, const char *log_id,
			     const uint8_t seed[NOTE_KEY_BYTES],
			     struct atom_error *err)
{
	struct note_verifier *v = &signer->verifier;
	atom_status status;

	memset(signer, 0, sizeof(*signer));
	if (!chain_is_log_id(log_id))
		return atom_fail(
			err, ATOM_EINVAL,
			"a log id is 16 lower-case hexadecimal digits");
	memcpy(signer->log_id, log_id, CHAIN_LOG_ID);
	memcpy(signer->seed, seed, NOTE_KEY_BYTES);
	snprintf(v->name, sizeof(v->name), "%s%s", origin, log_id);
	status = note_public_key(seed, v->key, err);
	if (status == ATOM_OK && !key_hash(v))
		status = atom_fail(err, ATOM_ENOMEM, "no memory to hash with");
	if (status != ATOM_OK)
		note_signer_wipe(signer);
	return status;
}

void note_signer_wipe(struct note_signer *signer)
{
	OPENSSL_cleanse(signer, sizeof(*signer));
}

static void key_text(const uint8_t key[NOTE_KEY_BYTES], char out[KEY_TEXT + 1])
{
	uint8_t bytes[1 + NOTE_KEY_BYTES] = { ALGORITHM_ED25519 };

	memcpy(bytes + 1, key, NOTE_KEY_BYTES);
	text_base64(bytes, sizeof(bytes), out, KEY_TEXT + 1);
	OPENSSL_cleanse(bytes, sizeof(bytes));
}

void note_verifier_text(const struct note_verifier *verifier,
			char out[NOTE_VERIFIER_MAX])
{
	char hash[NOTE_KEY_HASH * 2 + 1], key[KEY_TEXT + 1];

	text_to_hex(verifier->key_hash, NOTE_KEY_HASH, hash);
	key_text(verifier->key, key);
	snprintf(out, NOTE_VERIFIER_MAX, "%s+%s+%s", verifier->name, hash, key);
}

void note_signer_text(const struct note_signer *signer,
		      char out[NOTE_PRIVATE_KEY_MAX])
{
	char hash[NOTE_KEY_HASH * 2 + 1], key[KEY_TEXT + 1];
	int length;

	text_to_hex(signer->verifier.key_hash, NOTE_KEY_HASH, hash);
	key_text(signer->seed, key);
	length = snprintf(out, NOTE_PRIVATE_KEY_MAX, "%s%s+%s+%s",
			  private_prefix, signer->verifier.name, hash, key);
	OPENSSL_cleanse(key, sizeof(key));
	assert(length > 0 && length < NOTE_PRIVATE_KEY_MAX);
}

/* "<name>+<hash>+<key>" with at most one '\n' behind: sets the name, the 4
 * bytes of the hash and the 32 of the key. */
static bool split_key(const char *text, char name[NOTE_NAME_LENGTH + 1],
		      char hash[NOTE_KEY_HASH * 2 + 1],
		      uint8_t key[NOTE_KEY_BYTES])
{
	uint8_t bytes[1 + NOTE_KEY_BYTES];
	size_t length = strlen(text);
	const size_t whole =
		NOTE_NAME_LENGTH + 1 + (size_t)NOTE_KEY_HASH * 2 + 1 + KEY_TEXT;
	const char *hash_text = text + NOTE_NAME_LENGTH + 1;
	bool fits;

	if (length > 0 && text[length - 1] == '\n')
		length--;
	if (length != whole || strncmp(text, origin, sizeof(origin) - 1) != 0 ||
	    text[NOTE_NAME_LENGTH] != '+' ||
	    hash_text[(size_t)NOTE_KEY_HASH * 2] != '+')
		return false;
	memcpy(name, text, NOTE_NAME_LENGTH);
	name[NOTE_NAME_LENGTH] = '\0';
	memcpy(hash, hash_text, (size_t)NOTE_KEY_HASH * 2);
	hash[NOTE_KEY_HASH * 2] = '\0';
	fits = chain_is_log_id(name + sizeof(origin) - 1) &&
	       note_base64_read(text + length - KEY_TEXT, KEY_TEXT, bytes,
				sizeof(bytes)) &&
	       bytes[0] == ALGORITHM_ED25519;
	if (fits)
		memcpy(key, bytes + 1, NOTE_KEY_BYTES);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return fits;
}

static bool hash_is(const struct note_verifier *v, const char *hash)
{
	char right[NOTE_KEY_HASH * 2 + 1];

	text_to_hex(v->key_hash, NOTE_KEY_HASH, right);
	return strcmp(hash, right) == 0;
}

atom_status note_verifier_parse(const char *text,
				struct note_verifier *verifier_r,
				struct atom_error *err)
{
	struct note_verifier v = { .name = "" };
	char hash[NOTE_KEY_HASH * 2 + 1];

	if (!split_key(text, v.name, hash, v.key))
		return atom_fail(
			err, ATOM_EINVAL,
			"not a verifier key: expected atomd-audit/<log id>+<8 hexadecimal digits>+<base64 of 33 bytes>");
	if (!key_hash(&v))
		return atom_fail(err, ATOM_ENOMEM, "no memory to hash with");
	if (!hash_is(&v, hash))
		return atom_fail(
			err, ATOM_EINVAL,
			"the verifier key's hash is %s, but its name and key make another: a part of it was changed",
			hash);
	*verifier_r = v;
	return ATOM_OK;
}

atom_status note_signer_parse(const char *text, struct note_signer *signer_r,
			      struct atom_error *err)
{
	char name[NOTE_NAME_LENGTH + 1], hash[NOTE_KEY_HASH * 2 + 1];
	uint8_t seed[NOTE_KEY_BYTES];
	atom_status status;

	if (strncmp(text, private_prefix, sizeof(private_prefix) - 1) != 0 ||
	    !split_key(text + sizeof(private_prefix) - 1, name, hash, seed))
		return atom_fail(
			err, ATOM_EINVAL,
			"not a private key: expected PRIVATE+KEY+atomd-audit/<log id>+<8 hexadecimal digits>+<base64 of 33 bytes>");
	status = note_signer_init(signer_r, name + sizeof(origin) - 1, seed,
				  err);
	OPENSSL_cleanse(seed, sizeof(seed));
	if (status == ATOM_OK && !hash_is(&signer_r->verifier, hash)) {
		note_signer_wipe(signer_r);
		status = atom_fail(
			err, ATOM_EINVAL,
			"the private key's hash does not fit its name and key: a part of it was changed");
	}
	return status;
}
