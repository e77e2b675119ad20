/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short turns: asked for where the kernel knows them, given back, and nothing
 * else of a thread's changes.
 */
#include <criterion/criterion.h>

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/slice.h"

static uint64_t slice_ns(void)
{
	/* size, policy, flags, nice, priority, then this. */
	struct {
		uint32_t before[6];
		uint64_t slice_ns;
		uint64_t behind[2];
	} now = { .before = { sizeof(now) } };

	cr_assert_eq(syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0), 0);
	return now.slice_ns;
}

static bool kernel_knows(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	cr_assert_eq(uname(&name), 0);
	cr_assert_eq(sscanf(name.release, "%d.%d", &major, &minor), 2);
	return major > 6 || (major == 6 && minor >= 12);
}

Test(core_slice, is_short_and_then_the_kernels_again)
{
	uint64_t before = slice_ns(), during;

	slice_shorten();
	during = slice_ns();
	slice_restore();
	cr_assert_eq(slice_ns(), before);
	if (kernel_knows())
		cr_assert_eq(during, 100000);
	else
		cr_assert_eq(during, before);
}

Test(core_slice, niceness_stays)
{
	cr_assert_eq(setpriority(PRIO_PROCESS, 0, 7), 0);
	slice_shorten();
	cr_assert_eq(getpriority(PRIO_PROCESS, 0), 7);
	slice_restore();
	cr_assert_eq(getpriority(PRIO_PROCESS, 0), 7);
}
