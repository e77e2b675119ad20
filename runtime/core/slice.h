/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SLICE_H
#define CORE_SLICE_H

/*
 * How soon a thread that has slept runs again on a processor that others keep
 * busy.  Linux' scheduler (EEVDF, Stoica and Abdel-Wahab 1995) prefers among
 * threads with a claim the one whose turn would end first: who asks for short
 * turns waits less, and gets no more of the processor than before.  A serving
 * loop works some ten microseconds at a time, so that the kernel's own slice,
 * milliseconds, has it wait for the first turns of each process that starts
 * beside it: the p99 of calls was 1.6 times of that without starts, and is 1.1
 * (docs/performance.md).
 *
 * Since Linux 6.12; older kernels, and filters of system calls, leave a thread
 * as it is.  No privilege is needed.  Neither fails, for nothing depends on it.
 */

/* Of the calling thread; threads and processes that it starts inherit it. */
void slice_shorten(void);
/* The kernel's own again, for what is not a loop.  Async-signal-safe. */
void slice_restore(void);

#endif
