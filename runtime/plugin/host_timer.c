/* SPDX-License-Identifier: Apache-2.0 */

/*
 * atom.timer/1 on the calling loop.  A component's timers are listed, so that
 * one it forgot does not fire into a component that is gone.
 */

#include <stdatomic.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"

struct atom_timer_handle {
	struct timer timer;
	struct loop *loop;
	struct configured *configured;
	/* Its own: one that fires while control ends its component must not
	 * look for it there. */
	const struct component *component;
	void (*fire)(void *argument);
	void *argument;
	int64_t every_ms;
	atomic_bool orphaned; /* its component is gone */
	struct message message;
	struct atom_timer_handle *next, *previous; /* under configured->lock */
};

static void on_fire(struct timer *timer)
{
	struct atom_timer_handle *handle =
		CONTAINER_OF(timer, struct atom_timer_handle, timer);
	const struct component *component = handle->component;
	int64_t began;

	if (atomic_load(&handle->orphaned))
		return;
	if (handle->every_ms > 0)
		(void)timer_set(handle->loop, timer, handle->every_ms);
	began = host_call_begin();
	/* The plugin may free the timer in here. */
	handle->fire(handle->argument);
	host_call_end(began, component, "timer");
}

static atom_status create(const struct atom_host *host,
			  void (*fire)(void *argument), void *argument,
			  struct atom_timer_handle **timer_r,
			  struct atom_error *err)
{
	struct configured *c = host_private(host);
	struct loop *loop = loop_current();
	struct atom_timer_handle *handle;

	if (!host_thread_fine(loop != NULL, c, ATOM_TIMER))
		return atom_fail(err, ATOM_ESTATE,
				 "a timer is made on an event loop or the "
				 "control thread");
	handle = mem_zalloc(sizeof(*handle));
	if (handle == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	handle->timer.fire = on_fire;
	handle->loop = loop;
	handle->configured = c;
	handle->component = c->component;
	handle->fire = fire;
	handle->argument = argument;
	(void)pthread_mutex_lock(&c->lock);
	handle->next = c->timers;
	if (handle->next != NULL)
		handle->next->previous = handle;
	c->timers = handle;
	(void)pthread_mutex_unlock(&c->lock);
	*timer_r = handle;
	return ATOM_OK;
}

static void set(struct atom_timer_handle *handle, int64_t after_ms,
		int64_t every_ms)
{
	if (!host_thread_fine(loop_current() == handle->loop,
			      handle->configured, ATOM_TIMER))
		return;
	handle->every_ms = every_ms > 0 ? every_ms : 0;
	if (timer_set(handle->loop, &handle->timer,
		      after_ms > 0 ? after_ms : 0) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "out_of_memory",
			 "a plugin's timer could not be set",
			 LOG_TEXT("component", handle->configured->name));
}

static void stop(struct atom_timer_handle *handle)
{
	if (host_thread_fine(loop_current() == handle->loop, handle->configured,
			     ATOM_TIMER))
		timer_stop(&handle->timer);
}

static void free_timer(struct atom_timer_handle **timer)
{
	struct atom_timer_handle *handle = *timer;
	struct configured *c;

	if (handle == NULL)
		return;
	c = handle->configured;
	if (!host_thread_fine(loop_current() == handle->loop, c, ATOM_TIMER))
		return;
	*timer = NULL;
	timer_stop(&handle->timer);
	(void)pthread_mutex_lock(&c->lock);
	if (handle->previous != NULL)
		handle->previous->next = handle->next;
	else
		c->timers = handle->next;
	if (handle->next != NULL)
		handle->next->previous = handle->previous;
	(void)pthread_mutex_unlock(&c->lock);
	mem_free(handle);
}

static void free_orphan(struct loop *loop, struct message *message)
{
	struct atom_timer_handle *handle =
		CONTAINER_OF(message, struct atom_timer_handle, message);

	(void)loop;
	timer_stop(&handle->timer);
	mem_free(handle);
}

void host_timers_end(struct configured *c)
{
	struct atom_timer_handle *handle, *next;
	unsigned int left = 0;

	(void)pthread_mutex_lock(&c->lock);
	handle = TAKE(c->timers);
	(void)pthread_mutex_unlock(&c->lock);
	for (; handle != NULL; handle = next) {
		next = handle->next;
		left++;
		atomic_store(&handle->orphaned, true);
		handle->message.deliver = free_orphan;
		if (handle->loop == loop_current())
			free_orphan(handle->loop, &handle->message);
		else
			loop_post(handle->loop, &handle->message);
	}
	if (left > 0)
		log_line(ATOM_LOG_WARN, "plugin_fault",
			 "a plugin left timers behind",
			 LOG_TEXT("plugin", c->plugin_name),
			 LOG_TEXT("component", c->name),
			 LOG_NUMBER("timers", left));
}

const struct atom_timer host_timer_service = {
	.struct_size = sizeof(struct atom_timer),
	.create = create,
	.set = set,
	.stop = stop,
	.free = free_timer,
};
