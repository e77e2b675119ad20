/* SPDX-License-Identifier: Apache-2.0 */
/* Every call with a key has an HMAC: with OpenSSL 3.0's EVP_MAC most of its
 * cost is contexts that are allocated and freed.  SHA256_* are called
 * deprecated since they know no providers; the code is the same. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "security/secret.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "core/os.h"
#include "core/text.h"

static const char alphabet[] =
	"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 of four bits, reflected polynomial 0xedb88320. */
static const uint32_t crc_of_nibble[16] = {
	0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
	0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
	0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

/* HMAC-SHA256 that has taken in the pepper, before the text and before the
 * hash of it: set once, and copied for each key that is checked. */
static SHA256_CTX inner, outer;
static bool has_pepper;

uint32_t secret_crc32(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < length; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ crc_of_nibble[crc & 15];
		crc = crc >> 4 ^ crc_of_nibble[crc & 15];
	}
	return ~crc;
}

void secret_check(const char *text, size_t length, char out[SECRET_CHECK])
{
	uint32_t crc = secret_crc32(text, length);

	for (int i = SECRET_CHECK - 1; i >= 0; i--, crc /= 62)
		out[i] = alphabet[crc % 62];
}

/* Uniform characters: bytes from 248 on are thrown away. */
static atom_status random_text(char *out, size_t length)
{
	uint8_t bytes[64];
	size_t n = 0, at = sizeof(bytes);

	while (n < length) {
		if (at == sizeof(bytes)) {
			if (os.random(bytes, sizeof(bytes)) != 0)
				return ATOM_EIO;
			at = 0;
		}
		if (bytes[at] < 248)
			out[n++] = alphabet[bytes[at] % 62];
		at++;
	}
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return ATOM_OK;
}

atom_status secret_renew(const char id[SECRET_ID_LENGTH + 1], char *text,
			 struct atom_error *err)
{
	char *at = text + sizeof(SECRET_PREFIX) - 1;
	atom_status status;

	memcpy(text, SECRET_PREFIX, sizeof(SECRET_PREFIX) - 1);
	memcpy(at, id, SECRET_ID_LENGTH);
	at += SECRET_ID_LENGTH;
	*at++ = '_';
	status = random_text(at, SECRET_RANDOM);
	if (status != ATOM_OK)
		return atom_fail(err, status, "no random bytes to be had");
	at += SECRET_RANDOM;
	secret_check(text, (size_t)(at - text), at);
	at[SECRET_CHECK] = '\0';
	return ATOM_OK;
}

atom_status secret_make(char *text, char id[SECRET_ID_LENGTH + 1],
			struct atom_error *err)
{
	atom_status status = random_text(id, SECRET_ID_LENGTH);

	if (status != ATOM_OK)
		return atom_fail(err, status, "no random bytes to be had");
	id[SECRET_ID_LENGTH] = '\0';
	return secret_renew(id, text, err);
}

static bool is_base62(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= '0' && text[i] <= '9') ||
		      (text[i] >= 'A' && text[i] <= 'Z') ||
		      (text[i] >= 'a' && text[i] <= 'z')))
			return false;
	return true;
}

bool secret_parse(const char *text, char id[SECRET_ID_LENGTH + 1])
{
	const char *name = text + 4;
	const char *secret = name + SECRET_ID_LENGTH + 1;
	char check[SECRET_CHECK];

	if (strlen(text) != SECRET_TEXT_LENGTH ||
	    strncmp(text, SECRET_PREFIX, 4) != 0 || secret[-1] != '_' ||
	    !is_base62(name, SECRET_ID_LENGTH) ||
	    !is_base62(secret, SECRET_RANDOM + SECRET_CHECK))
		return false;
	secret_check(text, SECRET_TEXT_LENGTH - SECRET_CHECK, check);
	if (CRYPTO_memcmp(check, secret + SECRET_RANDOM, SECRET_CHECK) != 0)
		return false;
	memcpy(id, name, SECRET_ID_LENGTH);
	id[SECRET_ID_LENGTH] = '\0';
	return true;
}

/* RFC 2104: the pepper, filled up to a block, exclusive or `pad`. */
static bool keyed(SHA256_CTX *state_r,
		  const uint8_t pepper[SECRET_PEPPER_BYTES], uint8_t pad)
{
	uint8_t block[SHA256_CBLOCK];
	bool done;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (i < SECRET_PEPPER_BYTES ? pepper[i] : 0) ^ pad;
	done = SHA256_Init(state_r) == 1 &&
	       SHA256_Update(state_r, block, sizeof(block)) == 1;
	OPENSSL_cleanse(block, sizeof(block));
	return done;
}

atom_status secret_set_pepper(const uint8_t pepper[SECRET_PEPPER_BYTES],
			      struct atom_error *err)
{
	has_pepper = keyed(&inner, pepper, 0x36) && keyed(&outer, pepper, 0x5c);
	if (!has_pepper)
		return atom_fail(err, ATOM_EINTERNAL,
				 "OpenSSL does not hash by SHA-256");
	return ATOM_OK;
}

atom_status secret_hash(const char *text, size_t length,
			uint8_t hash_r[SECRET_HASH_LENGTH])
{
	SHA256_CTX state = inner;
	uint8_t within[SHA256_DIGEST_LENGTH];
	bool done = has_pepper && SHA256_Update(&state, text, length) == 1 &&
		    SHA256_Final(within, &state) == 1;

	state = outer;
	done = done && SHA256_Update(&state, within, sizeof(within)) == 1 &&
	       SHA256_Final(hash_r, &state) == 1;
	/* What is left of the pepper in it. */
	OPENSSL_cleanse(&state, sizeof(state));
	return done ? ATOM_OK : ATOM_EINTERNAL;
}

void secret_trace(const char *owner, const char *name,
		  char trace_r[SECRET_TRACE_MAX])
{
	uint8_t hash[SECRET_HASH_LENGTH];
	char text[512], hex[sizeof(hash) * 2 + 1];
	int length = snprintf(text, sizeof(text), "%s/%s", owner, name);

	trace_r[0] = '\0';
	if ((size_t)length >= sizeof(text) ||
	    secret_hash(text, (size_t)length, hash) != ATOM_OK)
		return;
	text_to_hex(hash, sizeof(hash), hex);
	memcpy(trace_r, hex, SECRET_TRACE_MAX - 1);
	trace_r[SECRET_TRACE_MAX - 1] = '\0';
}

void secret_fini(void)
{
	has_pepper = false;
	OPENSSL_cleanse(&inner, sizeof(inner));
	OPENSSL_cleanse(&outer, sizeof(outer));
}
