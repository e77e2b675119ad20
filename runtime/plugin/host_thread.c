/* SPDX-License-Identifier: Apache-2.0 */

/* atom.thread/1: which thread is this, and threads of a plugin's own. */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "plugin/host_priv.h"

#define THREADS_MAX 1024 /* of one component */

struct atom_thread_handle {
	pthread_t thread;
	void (*run)(void *argument);
	void *argument;
	char name[16];
};

static int32_t is_control(const struct atom_host *host)
{
	(void)host;
	return loop_is_control();
}

static int32_t is_loop(const struct atom_host *host)
{
	(void)host;
	return loop_current() != NULL && !loop_is_control();
}

static void *run_thread(void *argument)
{
	struct atom_thread_handle *handle = argument;

	(void)pthread_setname_np(pthread_self(), handle->name);
	handle->run(handle->argument);
	return NULL;
}

static bool count_one(struct configured *c)
{
	bool fine;

	(void)pthread_mutex_lock(&c->lock);
	fine = c->threads < THREADS_MAX;
	if (fine)
		c->threads++;
	(void)pthread_mutex_unlock(&c->lock);
	return fine;
}

static void count_less(struct configured *c)
{
	(void)pthread_mutex_lock(&c->lock);
	c->threads--;
	(void)pthread_mutex_unlock(&c->lock);
}

static atom_status create(const struct atom_host *host, const char *name,
			  void (*run)(void *argument), void *argument,
			  struct atom_thread_handle **thread_r,
			  struct atom_error *err)
{
	struct configured *c = host_private(host);
	struct atom_thread_handle *handle;
	sigset_t all, before;
	int error;

	if (!count_one(c))
		return atom_fail(err, ATOM_ELIMIT,
				 "a component has at most %d threads",
				 THREADS_MAX);
	handle = mem_zalloc(sizeof(*handle));
	if (handle == NULL) {
		count_less(c);
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
	handle->run = run;
	handle->argument = argument;
	(void)snprintf(handle->name, sizeof(handle->name), "%.15s",
		       name != NULL ? name : c->plugin_name);
	/* A signal is the daemon's: the new thread inherits the mask. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&handle->thread, NULL, run_thread, handle);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0) {
		mem_free(handle);
		count_less(c);
		return atom_fail(err, ATOM_EBUSY, "no thread: %s",
				 strerror(error));
	}
	*thread_r = handle;
	return ATOM_OK;
}

static void join(const struct atom_host *host,
		 struct atom_thread_handle **thread)
{
	struct configured *c = host_private(host);

	if (*thread == NULL)
		return;
	(void)pthread_join((*thread)->thread, NULL);
	mem_free(TAKE(*thread));
	count_less(c);
}

const struct atom_thread host_thread_service = {
	.struct_size = sizeof(struct atom_thread),
	.is_control = is_control,
	.is_loop = is_loop,
	.create = create,
	.join = join,
};
