/* SPDX-License-Identifier: Apache-2.0 */
#include "core/slice.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The least that the kernel takes. */
#define SHORT_NS 100000
#define KERNELS	 0 /* its own */

/* As sched_setattr(2) has it first: libc has no name for it yet. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns; /* of the usual policy: the slice */
	uint64_t deadline_ns;
	uint64_t period_ns;
};

#define USUAL 0 /* SCHED_OTHER */

/* What else stands there, as the niceness, stays. */
static void set(uint64_t slice_ns)
{
	struct attributes now = { .size = sizeof(now) };

	if (syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) != 0 ||
	    now.policy != USUAL)
		return;
	now.runtime_ns = slice_ns;
	(void)syscall(SYS_sched_setattr, 0, &now, 0);
}

void slice_shorten(void)
{
	set(SHORT_NS);
}

void slice_restore(void)
{
	set(KERNELS);
}
