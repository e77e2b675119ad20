/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/digest.h"

#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static bool usable;
/* Lives as long as the process. */
static EVP_MD *sha256;

static void free_context(void *context)
{
	EVP_MD_CTX_free(context);
}

static void prepare(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	usable = sha256 != NULL &&
		 pthread_key_create(&context_key, free_context) == 0;
}

static EVP_MD_CTX *context_of_thread(void)
{
	EVP_MD_CTX *context;

	if (pthread_once(&once, prepare) != 0 || !usable)
		return NULL;
	context = pthread_getspecific(context_key);
	if (context)
		return context;
	context = EVP_MD_CTX_new();
	if (context && pthread_setspecific(context_key, context) != 0) {
		EVP_MD_CTX_free(context);
		context = NULL;
	}
	return context;
}

bool digest_of(const void *first, size_t first_length, const void *second,
	       size_t second_length, uint8_t hash_r[DIGEST_BYTES])
{
	EVP_MD_CTX *context = context_of_thread();

	return context && EVP_DigestInit_ex2(context, sha256, NULL) == 1 &&
	       EVP_DigestUpdate(context, first, first_length) == 1 &&
	       EVP_DigestUpdate(context, second, second_length) == 1 &&
	       EVP_DigestFinal_ex(context, hash_r, NULL) == 1;
}
