/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on purpose, in a daemon that knows nothing of it: loaded before libc
 * (LD_PRELOAD), it counts each allocation and each system call that can fail,
 * of the daemon and of the libraries in it, and makes the wanted one fail.
 *
 * A fault point is known by its place: the function and the stack of callers
 * as offsets in their modules, so that a place is the same in each run,
 * whatever threads do at the same time and wherever modules were loaded.  The
 * n-th call from the wanted place fails.
 *
 * Whoever gives the faults shares the file TORTURE_CONTROL with the daemon
 * (struct control), arms it when the daemon shall be counted, and reads there
 * what was met.  The first process that opens it owns it; children that
 * inherit the environment find it taken and are left alone.
 */
#include "faults.h"

#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>

enum sort {
	SORT_NONE,
	SORT_FILE,
	SORT_SOCKET,
	SORT_PIPE,
	SORT_OTHER
};

#define PLACES 16384
#define FRAMES 24
#define PAGE   4096 /* bytes, to which modules are aligned */

struct place {
	uint64_t hash;
	uint32_t function, sort, count;
	uint32_t page_offset; /* of the caller, wherever its module is */
};

/* Members' offsets stand in control.py as well. */
struct control {
	_Atomic uint32_t armed, owner, fired, lock;
	_Atomic uint64_t count;
	uint64_t target;	/* a place's hash; 0: places are learnt */
	_Atomic uint64_t until; /* so many calls from it, and one fails */
	int32_t error;
	uint32_t burst; /* so many allocations fail after it as well */
	uint32_t depth; /* frames that tell places apart */
	uint32_t places;
	/* Of the target: nobody else's stack need be looked at. */
	uint32_t function, page_offset;
	char where[2032], crash[1984];
	/* In use by what began after attach(): frees of older ones count. */
	_Atomic int64_t blocks, bytes;
	struct place place[PLACES];
};
_Static_assert(offsetof(struct control, where) == 64 &&
		       offsetof(struct control, place) == 4096,
	       "control.py knows them");

static struct control *control;
static _Atomic uint32_t failing; /* how many more of a burst */
static __thread int inside __attribute__((tls_model("initial-exec")));

struct frames {
	uintptr_t address[FRAMES + 4];
	int count;
};

static _Unwind_Reason_Code take_frame(struct _Unwind_Context *context,
				      void *closure)
{
	struct frames *frames = closure;

	if (frames->count == FRAMES + 4)
		return _URC_END_OF_STACK;
	frames->address[frames->count++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static uint64_t mix(uint64_t hash, uint64_t more)
{
	return (hash ^ more) * 0x100000001b3u + (hash >> 29);
}

/* The callers of the function that stands in libc's place; this file's own
 * frames are passed over. */
static uint64_t hash_of(const struct frames *frames, enum function function)
{
	struct dl_find_object self, found;
	uint64_t hash = mix(0xcbf29ce484222325u, (uint64_t)function + 1);
	uint32_t taken = 0;
	int i;

	_dl_find_object((void *)(uintptr_t)hash_of, &self);
	for (i = 0; i < frames->count && taken < control->depth; i++) {
		void *address = (void *)(frames->address[i] - 1);

		if (frames->address[i] == 0 ||
		    _dl_find_object(address, &found) != 0)
			continue;
		if (found.dlfo_link_map == self.dlfo_link_map)
			continue;
		hash = mix(hash,
			   frames->address[i] - found.dlfo_link_map->l_addr);
		hash = mix(hash, (uintptr_t)found.dlfo_map_end -
					 (uintptr_t)found.dlfo_map_start);
		taken++;
	}
	return hash | 1;
}

static void describe(const struct frames *frames, char *at, size_t left)
{
	struct dl_find_object self, found;
	int i, n;

	_dl_find_object((void *)(uintptr_t)hash_of, &self);
	for (i = 0; i < frames->count; i++) {
		void *address = (void *)(frames->address[i] - 1);

		if (frames->address[i] == 0 ||
		    _dl_find_object(address, &found) != 0 ||
		    found.dlfo_link_map == self.dlfo_link_map)
			continue;
		n = snprintf(at, left, "%s+0x%lx\n",
			     found.dlfo_link_map->l_name,
			     (unsigned long)((uintptr_t)address -
					     found.dlfo_link_map->l_addr));
		if (n < 0 || (size_t)n >= left)
			return;
		at += n;
		left -= (size_t)n;
	}
}

static enum sort sort_of(int fd)
{
	struct stat is;

	if (fd < 0 || fstatat(fd, "", &is, AT_EMPTY_PATH) != 0)
		return SORT_NONE;
	return S_ISREG(is.st_mode)    ? SORT_FILE
	       : S_ISSOCK(is.st_mode) ? SORT_SOCKET
	       : S_ISFIFO(is.st_mode) ? SORT_PIPE
				      : SORT_OTHER;
}

static void note(uint64_t hash, enum function function, int fd,
		 uint32_t page_offset)
{
	size_t i = hash % PLACES;
	uint32_t free_ = 0;

	while (!atomic_compare_exchange_weak(&control->lock, &free_, 1))
		free_ = 0;
	while (control->place[i].hash != 0 && control->place[i].hash != hash)
		i = (i + 1) % PLACES;
	if (control->place[i].hash == 0 && control->places < PLACES / 2) {
		control->place[i] = (struct place){
			.hash = hash,
			.function = function,
			.sort = sort_of(fd),
			.page_offset = page_offset,
		};
		control->places++;
	}
	control->place[i].count++;
	atomic_store(&control->lock, 0);
}

int fails_for(const void *caller, enum function function, int fd, int *error_r)
{
	const uint32_t page_offset = (uintptr_t)caller % PAGE;
	struct frames frames = { .count = 0 };
	int saved = errno;
	uint64_t hash;
	uint32_t first = 0, left;
	int wanted;

	if (control == NULL || inside || !control->armed)
		return 0;
	inside = 1;
	/* What is left of another fault's burst is over. */
	left = function <= F_MEMALIGN && control->fired == 2
		       ? atomic_load(&failing)
		       : 0;
	while (left > 0 &&
	       !atomic_compare_exchange_weak(&failing, &left, left - 1))
		;
	if (left > 0) {
		*error_r = control->error;
		inside = 0;
		return 1;
	}
	atomic_fetch_add(&control->count, 1);
	if (control->target != 0 &&
	    (control->fired || function != control->function ||
	     page_offset != control->page_offset)) {
		inside = 0;
		return 0;
	}
	_Unwind_Backtrace(take_frame, &frames);
	hash = hash_of(&frames, function);
	wanted = hash == control->target &&
		 atomic_fetch_sub(&control->until, 1) == 1;
	if (control->target == 0)
		note(hash, function, fd, page_offset);
	wanted = wanted &&
		 atomic_compare_exchange_strong(&control->fired, &first, 1);
	if (wanted) {
		describe(&frames, control->where, sizeof(control->where));
		*error_r = control->error;
		atomic_store(&failing, control->burst);
		atomic_store(&control->fired, 2);
	}
	inside = 0;
	errno = saved;
	return wanted;
}

void count_memory(int64_t blocks, int64_t bytes)
{
	if (control == NULL)
		return;
	atomic_fetch_add(&control->blocks, blocks);
	atomic_fetch_add(&control->bytes, bytes);
}

static void leave_child_alone(void)
{
	control = NULL;
}

/* Says where it crashed; returning, it crashes for good. */
static void crashed(int number)
{
	struct frames frames = { .count = 0 };

	if (control != NULL) {
		inside = 1;
		_Unwind_Backtrace(take_frame, &frames);
		describe(&frames, control->crash, sizeof(control->crash));
	}
	if (number == SIGABRT)
		return;
	raise(number);
}

__attribute__((constructor)) static void attach(void)
{
	const char *path = getenv("TORTURE_CONTROL");
	const struct sigaction crash = {
		.sa_handler = crashed,
		.sa_flags = (int)SA_RESETHAND,
	};
	struct control *found;
	uint32_t nobody = 0;
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	found = mmap(NULL, sizeof(*found), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	close(fd);
	if (found == MAP_FAILED)
		return;
	if (!atomic_compare_exchange_strong(&found->owner, &nobody,
					    (uint32_t)getpid())) {
		munmap(found, sizeof(*found));
		return;
	}
	pthread_atfork(NULL, NULL, leave_child_alone);
	found->blocks = found->bytes = 0;
	control = found;
	sigaction(SIGABRT, &crash, NULL);
	sigaction(SIGSEGV, &crash, NULL);
	sigaction(SIGBUS, &crash, NULL);
}
