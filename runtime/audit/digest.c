/* SPDX-License-Identifier: Apache-2.0 */

/* SHA256_* are called deprecated since they know no providers; what they
 * compute is what EVP's provider computes by the same code. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "audit/digest.h"

#include <endian.h>
#include <string.h>

#include <openssl/sha.h>

bool digest_of(const void *first, size_t first_length, const void *second,
	       size_t second_length, uint8_t hash_r[DIGEST_BYTES])
{
	SHA256_CTX context;

	return SHA256_Init(&context) == 1 &&
	       SHA256_Update(&context, first, first_length) == 1 &&
	       SHA256_Update(&context, second, second_length) == 1 &&
	       SHA256_Final(hash_r, &context) == 1;
}

#define BLOCK_BYTES ((size_t)64)

/* FIPS 180-4, 5.1.1: a one, zeros, and the length in bits, big-endian. */
bool digest_of_two(uint8_t blocks[DIGEST_TWO_BLOCKS], size_t length,
		   uint8_t hash_r[DIGEST_BYTES])
{
	const uint64_t bits = htobe64((uint64_t)length * 8);
	SHA256_CTX context;

	memset(blocks + length, 0, DIGEST_TWO_BLOCKS - length);
	blocks[length] = 0x80;
	memcpy(blocks + DIGEST_TWO_BLOCKS - sizeof(bits), &bits, sizeof(bits));
	if (SHA256_Init(&context) != 1)
		return false;
	SHA256_Transform(&context, blocks);
	SHA256_Transform(&context, blocks + BLOCK_BYTES);
	for (size_t i = 0; i < DIGEST_BYTES / sizeof(uint32_t); i++) {
		const uint32_t word = htobe32(context.h[i]);

		memcpy(hash_r + i * sizeof(word), &word, sizeof(word));
	}
	return true;
}
