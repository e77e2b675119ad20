/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/locked.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#include "core/memory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t (*area)[LOCKED_BYTES]; /* kept to the end of the process */
static bool used[LOCKED_COUNT];

static void make_area(void)
{
	const size_t size = (size_t)LOCKED_COUNT * LOCKED_BYTES;
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return;
	/* A child that is forked has no business with keys. */
	(void)madvise(pages, size, MADV_DONTDUMP);
	(void)madvise(pages, size, MADV_WIPEONFORK);
	(void)mlock(pages, size);
	area = pages;
}

uint8_t *locked_new(void)
{
	uint8_t *key = NULL;

	(void)pthread_mutex_lock(&lock);
	if (!area)
		make_area();
	for (size_t i = 0; area && !key && i < LOCKED_COUNT; i++) {
		if (used[i])
			continue;
		used[i] = true;
		key = area[i];
	}
	(void)pthread_mutex_unlock(&lock);
	return key;
}

void locked_free(uint8_t **key)
{
	uint8_t *freed = TAKE(*key);

	if (!freed)
		return;
	OPENSSL_cleanse(freed, LOCKED_BYTES);
	(void)pthread_mutex_lock(&lock);
	used[(size_t)(freed - area[0]) / LOCKED_BYTES] = false;
	(void)pthread_mutex_unlock(&lock);
}
