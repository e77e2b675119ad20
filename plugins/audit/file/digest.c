/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

struct digest {
	EVP_MD *sha256;
	EVP_MD_CTX *running;
	EVP_MD_CTX *other; /* for what shall not change `running` */
};

struct digest *digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));

	if (digest == NULL)
		return NULL;
	digest->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	digest->running = EVP_MD_CTX_new();
	digest->other = EVP_MD_CTX_new();
	if (digest->sha256 == NULL || digest->running == NULL ||
	    digest->other == NULL || !digest_reset(digest))
		digest_free(&digest);
	return digest;
}

void digest_free(struct digest **digest)
{
	if (*digest == NULL)
		return;
	EVP_MD_CTX_free((*digest)->other);
	EVP_MD_CTX_free((*digest)->running);
	EVP_MD_free((*digest)->sha256);
	free(*digest);
	*digest = NULL;
}

bool digest_reset(struct digest *digest)
{
	return EVP_DigestInit_ex2(digest->running, digest->sha256, NULL) == 1;
}

bool digest_add(struct digest *digest, const void *bytes, size_t length)
{
	return EVP_DigestUpdate(digest->running, bytes, length) == 1;
}

bool digest_with(const struct digest *digest, const void *bytes, size_t length,
		 uint8_t hash_r[DIGEST_BYTES])
{
	return EVP_MD_CTX_copy_ex(digest->other, digest->running) == 1 &&
	       EVP_DigestUpdate(digest->other, bytes, length) == 1 &&
	       EVP_DigestFinal_ex(digest->other, hash_r, NULL) == 1;
}

bool digest_now(const struct digest *digest, uint8_t hash_r[DIGEST_BYTES])
{
	return digest_with(digest, "", 0, hash_r);
}

bool digest_step(const struct digest *digest, const uint8_t hash[DIGEST_BYTES],
		 const void *bytes, size_t length, uint8_t hash_r[DIGEST_BYTES])
{
	return EVP_DigestInit_ex2(digest->other, digest->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(digest->other, hash, DIGEST_BYTES) == 1 &&
	       EVP_DigestUpdate(digest->other, bytes, length) == 1 &&
	       EVP_DigestFinal_ex(digest->other, hash_r, NULL) == 1;
}
