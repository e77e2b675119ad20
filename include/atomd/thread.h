/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_THREAD_H
#define ATOMD_THREAD_H

/*
 * The thread words of these headers, and the service that tells them apart.
 *
 *	[control]  the one control thread: configuration, decisions
 *	[loop]     the event loop that owns the object; must not block
 *	[loop*]    any event loop, several at once; must not block
 *	[pool]     a thread that may block, never two at once for one component
 *	[any]      any thread, also the plugin's own
 *
 * A [control] or [loop] call over 50 ms is logged and counted with the
 * plugin's name.
 */

#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_THREAD "atom.thread/1"

struct atom_thread_handle;

/* [any] throughout, but join. */
struct atom_thread {
	uint32_t struct_size;
	uint32_t flags;
	int32_t (*is_control)(const struct atom_host *host);
	int32_t (*is_loop)(const struct atom_host *host);
	/* Start a thread named `name` (at most 15 bytes) that runs
	 * `run(argument)` with every signal blocked. */
	atom_status (*create)(const struct atom_host *host, const char *name,
			      void (*run)(void *argument), void *argument,
			      struct atom_thread_handle **thread_r,
			      struct atom_error *err);
	/* [pool] or a plugin's own thread: wait for its end and free it. */
	void (*join)(const struct atom_host *host,
		     struct atom_thread_handle **thread);
};

#ifdef __cplusplus
}
#endif

#endif
