/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Room that is taken at the start, because libuv calls abort() when it finds
 * none later: its table of the descriptors that a loop watches, which grows
 * with the largest of them, and the threads of its pool, which the first work
 * makes.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/loop_priv.h"
#include "core/memory.h"
#include "core/os.h"

/* 32 KiB a loop, of which libuv writes each page.  Its tables have two entries
 * more, and a power of two of them. */
#define DESCRIPTORS 4094

static void on_ready(uv_poll_t *poll, int status, int events)
{
	(void)poll;
	(void)status;
	(void)events;
}

/* The largest descriptor that there can be, or that there is room for. */
static int largest(void)
{
	struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	return (int)(limit.rlim_cur < DESCRIPTORS ? limit.rlim_cur
						  : DESCRIPTORS) -
	       1;
}

/* Watches a descriptor that large, and no longer. */
static int watch_once(uv_loop_t *uv, int fd)
{
	uv_poll_t poll;
	int failed = uv_poll_init(uv, &poll, fd);

	if (failed)
		return failed;
	failed = uv_poll_start(&poll, UV_READABLE, on_ready);
	uv_close((uv_handle_t *)&poll, NULL);
	uv_run(uv, UV_RUN_NOWAIT);
	return failed;
}

int loop_look_for_room(void)
{
	int ends[2];

	if (os.pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	(void)os.close(ends[0]);
	(void)os.close(ends[1]);
	return 0;
}

int loop_take_room(uv_loop_t *uv)
{
	/* Where that much is missing, there is an error to tell. */
	void *room = mem_array(DESCRIPTORS + 2, 2 * sizeof(void *));
	int low, high, failed = 0;

	if (room == NULL)
		return UV_ENOMEM;
	mem_free(room);
	low = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (low < 0)
		return -errno;
	/* One that is as large may be somebody else's already. */
	high = fcntl(low, F_DUPFD_CLOEXEC, largest());
	if (high >= 0) {
		failed = watch_once(uv, high);
		(void)close(high);
	}
	(void)close(low);
	return failed;
}

/* --- the pool ------------------------------------------------------------ */

static void rest(struct work *work)
{
	(void)work;
}

static void rested(struct work *work, atom_status status)
{
	(void)work;
	(void)status;
}

atom_status works_begin(struct loop *loop)
{
	static struct work first;

	first = (struct work){ .run = rest, .done = rested };
	return work_submit(loop, &first);
}
