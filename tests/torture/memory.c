/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: it fails, and what of it is in use is counted. */
#include "faults.h"

#include <malloc.h>
#include <stdatomic.h>

/* dlsym may allocate before malloc is found: from here, never given back. */
static char early[65536];
static _Atomic size_t early_used;

static void *early_alloc(size_t size)
{
	size_t at = atomic_fetch_add(&early_used, (size + 31) / 16 * 16);

	return at + size > sizeof(early) ? NULL : early + at;
}

static int is_early(const void *old)
{
	return (const char *)old >= early &&
	       (const char *)old < early + sizeof(early);
}

static void *counted(void *made)
{
	if (made != NULL && !is_early(made))
		count_memory(1, (int64_t)malloc_usable_size(made));
	return made;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
static int finding;

static void *next_malloc(size_t size)
{
	static void *(*next)(size_t);

	if (next == NULL) {
		if (finding)
			return early_alloc(size);
		finding = 1;
		next = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_NEXT, "malloc");
		finding = 0;
	}
	return next(size);
}

void *malloc(size_t size)
{
	int why;

	if (fails(F_MALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	return counted(next_malloc(size));
}

void *calloc(size_t count, size_t size)
{
	static void *(*next)(size_t, size_t);
	int why;

	if (next == NULL) {
		if (finding)
			return early_alloc(count * size);
		finding = 1;
		next = (void *(*)(size_t, size_t))(uintptr_t)dlsym(RTLD_NEXT,
								   "calloc");
		finding = 0;
	}
	if (fails(F_CALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	return counted(next(count, size));
}

void *realloc(void *old, size_t size)
{
	static void *(*next)(void *, size_t);
	int64_t had;
	void *made;
	int why;

	if (next == NULL)
		next = (void *(*)(void *, size_t))(uintptr_t)dlsym(RTLD_NEXT,
								   "realloc");
	if (fails(F_REALLOC, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	if (is_early(old)) {
		size_t known = (size_t)(early + sizeof(early) - (char *)old);

		made = counted(next_malloc(size));
		if (made != NULL)
			memcpy(made, old, size < known ? size : known);
		return made;
	}
	had = old != NULL ? (int64_t)malloc_usable_size(old) : 0;
	made = next(old, size);
	if (made != NULL || (old != NULL && size == 0))
		count_memory(-(old != NULL), -had);
	return counted(made);
}

void free(void *old)
{
	static void (*next)(void *);

	if (is_early(old) || old == NULL)
		return;
	if (next == NULL)
		next = (void (*)(void *))(uintptr_t)dlsym(RTLD_NEXT, "free");
	count_memory(-1, -(int64_t)malloc_usable_size(old));
	next(old);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
	int why;
	NEXT(posix_memalign);

	if (fails(F_MEMALIGN, -1, &why))
		return ENOMEM;
	why = next(result, alignment, size);
	if (why == 0)
		(void)counted(*result);
	return why;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	int why;
	NEXT(aligned_alloc);

	if (fails(F_MEMALIGN, -1, &why)) {
		errno = ENOMEM;
		return NULL;
	}
	return counted(next(alignment, size));
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
