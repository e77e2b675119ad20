/* SPDX-License-Identifier: Apache-2.0 */

/* SHA256_* are called deprecated since they know no providers; what they
 * compute is what EVP's provider computes by the same code. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "digest.h"

#include <stdlib.h>

#include <openssl/sha.h>

struct digest {
	SHA256_CTX running;
};

struct digest *digest_new(void)
{
	struct digest *digest = calloc(1, sizeof(*digest));

	if (digest != NULL && !digest_reset(digest))
		digest_free(&digest);
	return digest;
}

void digest_free(struct digest **digest)
{
	free(*digest);
	*digest = NULL;
}

bool digest_reset(struct digest *digest)
{
	return SHA256_Init(&digest->running) == 1;
}

bool digest_add(struct digest *digest, const void *bytes, size_t length)
{
	return SHA256_Update(&digest->running, bytes, length) == 1;
}

bool digest_with(const struct digest *digest, const void *bytes, size_t length,
		 uint8_t hash_r[DIGEST_BYTES])
{
	SHA256_CTX other = digest->running;

	return SHA256_Update(&other, bytes, length) == 1 &&
	       SHA256_Final(hash_r, &other) == 1;
}

bool digest_now(const struct digest *digest, uint8_t hash_r[DIGEST_BYTES])
{
	return digest_with(digest, "", 0, hash_r);
}

bool digest_step(const uint8_t hash[DIGEST_BYTES], const void *bytes,
		 size_t length, uint8_t hash_r[DIGEST_BYTES])
{
	uint8_t leaf[DIGEST_BYTES];
	SHA256_CTX context;

	return SHA256_Init(&context) == 1 &&
	       SHA256_Update(&context, "\0", 1) == 1 &&
	       SHA256_Update(&context, bytes, length) == 1 &&
	       SHA256_Final(leaf, &context) == 1 &&
	       SHA256_Init(&context) == 1 &&
	       SHA256_Update(&context, hash, DIGEST_BYTES) == 1 &&
	       SHA256_Update(&context, leaf, DIGEST_BYTES) == 1 &&
	       SHA256_Final(hash_r, &context) == 1;
}
