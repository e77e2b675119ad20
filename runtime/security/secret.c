/* SPDX-License-Identifier: Apache-2.0 */
#include "security/secret.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
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

/* One keyed context a loop (control's is the last), made once: setting the
 * key costs more than the hash. */
static EVP_MAC_CTX *contexts[LOOP_MAX + 1];
static uint8_t pepper_bytes[SECRET_PEPPER_BYTES];
static EVP_MAC *hmac;

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

atom_status secret_set_pepper(const uint8_t pepper[SECRET_PEPPER_BYTES],
			      struct atom_error *err)
{
	memcpy(pepper_bytes, pepper, SECRET_PEPPER_BYTES);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (hmac == NULL)
		return atom_fail(err, ATOM_EINTERNAL,
				 "OpenSSL offers no HMAC: is its default "
				 "provider switched off?");
	return ATOM_OK;
}

static EVP_MAC_CTX *context_new(void)
{
	char digest[] = "SHA256";
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);

	if (context != NULL &&
	    EVP_MAC_init(context, pepper_bytes, sizeof(pepper_bytes),
			 parameters) != 1) {
		EVP_MAC_CTX_free(context);
		context = NULL;
	}
	return context;
}

atom_status secret_hash(const char *text, size_t length,
			uint8_t hash_r[SECRET_HASH_LENGTH])
{
	EVP_MAC_CTX **context = &contexts[loop_index(loop_current())];
	size_t n = 0;

	if (*context == NULL)
		*context = context_new();
	if (*context == NULL)
		return ATOM_ENOMEM;
	/* No key given: the one set before stays. */
	if (EVP_MAC_init(*context, NULL, 0, NULL) != 1 ||
	    EVP_MAC_update(*context, (const unsigned char *)text, length) !=
		    1 ||
	    EVP_MAC_final(*context, hash_r, &n, SECRET_HASH_LENGTH) != 1 ||
	    n != SECRET_HASH_LENGTH)
		return ATOM_EINTERNAL;
	return ATOM_OK;
}

void secret_trace(const char *owner, const char *name,
		  char trace_r[SECRET_TRACE_MAX])
{
	uint8_t hash[SECRET_HASH_LENGTH];
	char text[512], hex[sizeof(hash) * 2 + 1];
	int length = snprintf(text, sizeof(text), "%s/%s", owner, name);

	trace_r[0] = '\0';
	if (length < 0 || (size_t)length >= sizeof(text) ||
	    secret_hash(text, (size_t)length, hash) != ATOM_OK)
		return;
	text_to_hex(hash, sizeof(hash), hex);
	memcpy(trace_r, hex, SECRET_TRACE_MAX - 1);
	trace_r[SECRET_TRACE_MAX - 1] = '\0';
}

void secret_fini(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		EVP_MAC_CTX_free(contexts[i]);
		contexts[i] = NULL;
	}
	EVP_MAC_free(hmac);
	hmac = NULL;
	OPENSSL_cleanse(pepper_bytes, sizeof(pepper_bytes));
}
