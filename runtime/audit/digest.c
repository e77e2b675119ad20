/* SPDX-License-Identifier: Apache-2.0 */

/* SHA256_* are called deprecated since they know no providers; what they
 * compute is what EVP's provider computes by the same code. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "audit/digest.h"

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
