/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_PRIV_H
#define PLUGIN_HOST_PRIV_H

/*
 * What stands behind a `struct atom_host`: one for each configured component,
 * and one for each plugin's init().
 *
 *	new -> create -> (used; held 0..n) -> freed, held -> destroy -> gone
 *	                                  \-> freed, free ---^
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/host.h>
#include <atomd/thread.h>

#include "core/loop.h"
#include "plugin/options.h"

#ifndef ATOMD_DEBUG_THREADS
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ATOMD_DEBUG_THREADS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ATOMD_DEBUG_THREADS 1
#endif
#endif
#endif

#define CONFIGURED_MAGIC 0x436f6e66u

struct atom_timer_handle;

struct configured {
	uint32_t magic;
	bool only_init; /* a plugin's init(): the services of that time */
	struct atom_host host;
	char name[160]; /* "backend/openai" */
	char plugin_name[64];
	char *agent;
	char *directory;
	void *owner;
	void (*ended)(const struct atom_host *host);
	const struct component *component; /* NULL: init, tests */
	const char *const *ignored;
	struct options *options;
	void *self; /* what `create` made */
	bool created;

	/* Under `lock`. */
	pthread_mutex_t lock;
	unsigned int held;
	bool freed;  /* while it was held; `destroy` is still to come */
	bool ending; /* `end` is posted */
	struct atom_timer_handle *timers;
	unsigned int threads;

	struct loop *loop; /* where create ran; NULL = no loop */
	struct message end;

	/* Lines of log in the present second. */
	atomic_llong log_second;
	atomic_uint log_lines;
};

/* `kind_word` NULL: the name stands alone; `directory` NULL or "": the
 * process's own. */
struct configured *configured_shell_new(const char *kind_word, const char *name,
					const char *plugin_name,
					const char *directory);
void configured_shell_free(struct configured **configured);

/* A host for a plugin's init(): log, metric, clock, secret and thread, the
 * same in the probe and in the daemon.  Free it after fini(). */
atom_status host_for_init(const char *plugin_name,
			  struct configured **configured_r,
			  struct atom_error *err);

/* From the pointer a plugin gives; stops the process when it is no host. */
struct configured *host_private(const struct atom_host *host);
/* Stop and free what the component has left behind; its `destroy` is over. */
void host_timers_end(struct configured *configured);

/* Is the calling thread one that the service's tag allows? */
bool host_thread_fine(bool fine, const struct configured *configured,
		      const char *service);

/* The tables. */
extern const struct atom_log host_log_service;
extern const struct atom_metric host_metric_service;
extern const struct atom_clock host_clock_service;
extern const struct atom_timer host_timer_service;
extern const struct atom_work host_work_service;
extern const struct atom_secret host_secret_service;
extern const struct atom_seal host_seal_service;
extern const struct atom_state host_state_service;
extern const struct atom_event host_event_service;
extern const struct atom_thread host_thread_service;

#endif
