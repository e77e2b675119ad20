/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_PROCESS_H
#define BENCH_PROCESS_H

/*
 * What a process and its descendants have used, all threads of all of them,
 * from /proc.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_usage {
	/* On a core, by the scheduler's clock (schedstat): to the ns, but
	 * without threads and children that have ended. */
	uint64_t cpu_ns;
	/* The same in clock ticks (stat), with those. */
	uint64_t ticks_ns;
	uint64_t rss_bytes; /* resident, what is shared counted by each */
	uint64_t pss_bytes; /* resident, what is shared divided */
	uint32_t processes;
	uint32_t threads;
};

/* false: there is no such process. */
bool process_usage(pid_t pid, struct process_usage *usage_r);
/* The same without memory, which is slow to add up. */
bool process_cpu(pid_t pid, struct process_usage *usage_r);

#endif
