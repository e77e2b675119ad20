/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H

/*
 * Through the seam: lets the n-th allocation fail, once.  A test that walks n
 * up until nothing failed any more has seen every allocation of what it
 * calls fail:
 *
 *	for (unsigned int n = 1; ; n++) {
 *		failing_memory_begin(n);
 *		status = call();
 *		if (!failing_memory_end())
 *			break;
 *		... status must be ATOM_ENOMEM and nothing changed ...
 *	}
 */

#include <stdbool.h>
#include <stdlib.h>

#include "core/os.h"

static unsigned int failing_memory_left; /* 0 = none fails any more */

static bool failing_memory_now(void)
{
	return failing_memory_left > 0 && --failing_memory_left == 0;
}

static void *failing_memory_alloc(size_t size)
{
	return failing_memory_now() ? NULL : malloc(size);
}

static void *failing_memory_realloc(void *old, size_t size)
{
	return failing_memory_now() ? NULL : realloc(old, size);
}

static void failing_memory_begin(unsigned int nth)
{
	failing_memory_left = nth;
	os.alloc = failing_memory_alloc;
	os.realloc = failing_memory_realloc;
}

/* Did one fail? */
static bool failing_memory_end(void)
{
	os.alloc = malloc;
	os.realloc = realloc;
	return failing_memory_left == 0;
}

#endif
