/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory.h"

#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "core/os.h"

void *mem_alloc(size_t size)
{
	/* A NULL answer always means "no memory", also for nothing. */
	return os.alloc(size ? size : 1);
}

void *mem_zalloc(size_t size)
{
	void *p = mem_alloc(size);

	if (p)
		memset(p, 0, size);
	return p;
}

void *mem_array(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return mem_zalloc(bytes);
}

void *mem_realloc(void *old, size_t size)
{
	return os.realloc(old, size ? size : 1);
}

void mem_free(void *old)
{
	if (old)
		os.free(old);
}

char *mem_strdup(const char *text)
{
	return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t length)
{
	char *copy = length < SIZE_MAX ? mem_alloc(length + 1) : NULL;

	if (!copy)
		return NULL;
	if (length)
		memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

void mem_wipe_free(void *old, size_t length)
{
	if (!old)
		return;
	explicit_bzero(old, length);
	os.free(old);
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
size_t mem_used(void)
{
	struct mallinfo2 all = mallinfo2();

	return all.uordblks + all.hblkhd;
}

void mem_give_back(void)
{
	(void)malloc_trim(0);
}
#else
size_t mem_used(void)
{
	return 0;
}

void mem_give_back(void)
{
}
#endif
