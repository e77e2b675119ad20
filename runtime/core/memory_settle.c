/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a start leaves resident: code that ran once (the configuration's parser,
 * the setting up of libcrypto, a schema's statements), tables that were read
 * once, and the kernel's habit to map sixteen pages where one was asked for.
 */

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/memory.h"

/* Of /proc/PID/pagemap (the kernel's admin-guide/mm/pagemap.rst): a word a
 * page, this bit where it is the file's own and no copy with changes. */
#define PAGE_OF_FILE (UINT64_C(1) << 61)
#define PAGES	     512

struct settling {
	int pagemap;
	size_t page; /* bytes */
};

/* Pages `first` to `first + count` of the process; a page with changes is a
 * breakpoint's or a probe's, which would be lost. */
static void give_back(const struct settling *settling, uintptr_t first,
		      const uint64_t *words, size_t count)
{
	for (size_t i = 0, end; i < count; i = end + 1) {
		for (end = i; end < count && (words[end] & PAGE_OF_FILE) != 0;)
			end++;
		if (end > i)
			(void)madvise((void *)((first + i) * settling->page),
				      (end - i) * settling->page,
				      MADV_DONTNEED);
	}
}

static int settle_object(struct dl_phdr_info *info, size_t size, void *argument)
{
	const struct settling *settling = argument;
	uint64_t words[PAGES];

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;
		uintptr_t page = begin / settling->page;
		uintptr_t end = (begin + part->p_memsz) / settling->page;

		/* What may be written holds the process' own data. */
		if (part->p_type != PT_LOAD || (part->p_flags & PF_W) != 0)
			continue;
		while (page < end) {
			size_t most = end - page < PAGES ? end - page : PAGES;
			ssize_t got = pread(settling->pagemap, words,
					    most * sizeof(words[0]),
					    (off_t)(page * sizeof(words[0])));

			if (got < (ssize_t)sizeof(words[0]))
				break;
			most = (size_t)got / sizeof(words[0]);
			give_back(settling, page, words, most);
			page += most;
		}
	}
	return 0;
}

void mem_settle(void)
{
	struct settling settling = {
		.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
		.page = (size_t)sysconf(_SC_PAGESIZE),
	};

	mem_give_back();
	if (settling.pagemap < 0)
		return;
	(void)dl_iterate_phdr(settle_object, &settling);
	(void)close(settling.pagemap);
}
