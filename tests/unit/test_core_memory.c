/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Giving back what a start has touched: the pages go, what is in them stays,
 * and a page that somebody has written to is not one of them.
 */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/memory.h"

#define PAGE_BYTES 4096
#define PAGE_COUNT 192
/* The kernel's admin-guide/mm/pagemap.rst; a page that is moved counts as
 * swapped. */
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)
/* A page that is asked for comes with neighbours, some 64 KiB to 128 KiB. */
#define NEIGHBOURS 64

/* Of the program's own file, and read alone. */
static const unsigned char table[PAGE_COUNT * PAGE_BYTES] __attribute__((
	aligned(PAGE_BYTES))) = { [0] = 1, [PAGE_COUNT * PAGE_BYTES - 1] = 2 };

/* Its words for the pages of `table` of /proc/self/pagemap. */
static void look(uint64_t words[PAGE_COUNT])
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t got = pread(
		fd, words, PAGE_COUNT * sizeof(words[0]),
		(off_t)((uintptr_t)table / PAGE_BYTES * sizeof(words[0])));

	close(fd);
	cr_assert_eq(got, (ssize_t)(PAGE_COUNT * sizeof(words[0])));
}

/* How many are there of those that come only if they are asked for.  One that
 * was written to is there as well while the kernel moves it, or has put it into
 * swap; one of the file the kernel may take at any time. */
static unsigned int pages_there(void)
{
	uint64_t words[PAGE_COUNT];
	unsigned int count = 0;

	look(words);
	for (size_t i = NEIGHBOURS; i < PAGE_COUNT - NEIGHBOURS; i++)
		count += (words[i] & (PAGE_PRESENT | PAGE_SWAPPED)) != 0;
	return count;
}

static unsigned int sum_of_table(void)
{
	const volatile unsigned char *bytes = table;
	unsigned int sum = 0;

	for (size_t i = 0; i < sizeof(table); i += PAGE_BYTES)
		sum += bytes[i] + bytes[i + PAGE_BYTES - 1];
	return sum;
}

Test(core_memory, pages_of_files_go_and_come_again)
{
	if (sysconf(_SC_PAGESIZE) != PAGE_BYTES)
		cr_skip_test("pages of another size");
	cr_assert_eq(sum_of_table(), 3);
	cr_assert_gt(pages_there(), 0);
	mem_settle();
	cr_assert_eq(pages_there(), 0);
	cr_assert_eq(sum_of_table(), 3);
}

Test(core_memory, a_page_that_was_written_to_stays)
{
	/* As a debugger does with its breakpoints. */
	unsigned char *page =
		(unsigned char *)(uintptr_t)table + PAGE_COUNT / 2 * PAGE_BYTES;

	if (sysconf(_SC_PAGESIZE) != PAGE_BYTES)
		cr_skip_test("pages of another size");
	cr_assert_eq(sum_of_table(), 3);
	cr_assert_eq(mprotect(page, PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	page[0] = 40;
	cr_assert_eq(mprotect(page, PAGE_BYTES, PROT_READ), 0);
	mem_settle();
	/* As a kernel does that is short of memory, where it has swap. */
	(void)madvise(page, PAGE_BYTES, MADV_PAGEOUT);
	cr_assert_eq(pages_there(), 1);
	cr_assert_eq(sum_of_table(), 43);
}
