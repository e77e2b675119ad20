/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host_process.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "core/log.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/host_process_priv.h"

/* How long the end of a loop waits for the children it has killed.  Only one
 * that is stuck in the kernel takes longer than an instant. */
#define END_WAIT_MS 2000
/* From a child's end to that of the rest of its group, which falls to us; and
 * to the next look for orphans otherwise. */
#define REAP_SOON_MS  100
#define REAP_EVERY_MS 5000
#define STOPPING      "the daemon is stopping and starts no more children"

/* Each loop's children, its own to touch. */
static struct atom_process_handle *lists[LOOP_MAX + 1];
/* Of the loop of this thread. */
static _Thread_local bool end_is_watched;
static _Thread_local bool ended;
static _Thread_local struct timer reaper;

void children_add(struct atom_process_handle *p)
{
	struct atom_process_handle **first = &lists[loop_index(p->loop)];

	p->previous = NULL;
	p->next = *first;
	if (p->next != NULL)
		p->next->previous = p;
	*first = p;
}

void children_remove(struct atom_process_handle *p)
{
	if (p->previous != NULL)
		p->previous->next = p->next;
	else
		lists[loop_index(p->loop)] = p->next;
	if (p->next != NULL)
		p->next->previous = p->previous;
}

/* --- orphans ---------------------------------------------------------------- */

static void on_reaper(struct timer *timer)
{
	if (tree_reap_orphans() > 0)
		(void)timer_set(loop_current(), timer, REAP_EVERY_MS);
}

/* Without memory for the timer the next one will do. */
static void reap_within(int64_t within_ms)
{
	struct loop *loop = loop_current();

	reaper.fire = on_reaper;
	if (!ended && (!timer_pending(&reaper) ||
		       reaper.at_ms > loop_now_ms(loop) + within_ms))
		(void)timer_set(loop, &reaper, within_ms);
}

void children_reap_orphans_soon(void)
{
	reap_within(REAP_SOON_MS);
}

/* --- the end of a loop ----------------------------------------------------- */

static void wait_for_exit(struct atom_process_handle *p, int64_t until_ns)
{
	struct pollfd fd = { .fd = p->death->fd, .events = POLLIN };
	int64_t left_ms = (until_ns - os.monotonic_ns()) / 1000000;

	(void)poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
	if (!child_reap(p)) {
		log_line(ATOM_LOG_ERROR, "worker_stuck",
			 "a killed child does not end",
			 LOG_TEXT("instance", p->lines[1].instance),
			 LOG_NUMBER("pid", p->pid));
		child_unwatch(&p->death);
	}
}

/* The loop ends: so do its children, and whoever owns them is told. */
static void end_children(void *argument)
{
	unsigned int index = loop_index(argument);
	int64_t until_ns = os.monotonic_ns() + END_WAIT_MS * INT64_C(1000000);
	struct atom_process_handle *p;

	ended = true;
	timer_stop(&reaper);
	for (p = lists[index]; p != NULL; p = p->next)
		child_signal(p, SIGKILL);
	/* One that is told may free another: from the start each time. */
	for (;;) {
		p = lists[index];
		while (p != NULL && p->death == NULL)
			p = p->next;
		if (p == NULL)
			break;
		wait_for_exit(p, until_ns);
	}
	tree_kill_orphans();
}

/* --- the service ----------------------------------------------------------- */

static atom_status watch_end(struct loop *loop, struct atom_error *err)
{
	atom_status status = end_is_watched
				     ? ATOM_OK
				     : loop_at_stop(loop, end_children, loop);

	end_is_watched = status == ATOM_OK;
	if (status == ATOM_OK)
		return ATOM_OK;
	return atom_fail(err, status, "%s",
			 status == ATOM_ECANCELED ? STOPPING
						  : "no memory for a child");
}

static atom_status spawn(const struct atom_host *host,
			 const struct atom_process_request *request,
			 const struct atom_process_events *events,
			 void *argument, struct atom_process_handle **process_r,
			 struct atom_error *err)
{
	struct loop *loop = loop_current();
	atom_status status;

	if (loop == NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "a child is started on an event loop");
	if (ended)
		return atom_fail(err, ATOM_ECANCELED, STOPPING);
	status = watch_end(loop, err);
	if (status == ATOM_OK)
		status = child_new(host, request, events, argument, process_r,
				   err);
	return status;
}

static void send_signal(struct atom_process_handle *p, int32_t number)
{
	assert(loop_current() == p->loop);
	child_signal(p, number);
}

static atom_status usage(struct atom_process_handle *p,
			 struct atom_process_usage *usage_r)
{
	char folder[PATH_MAX];
	atom_status status;

	reap_within(REAP_EVERY_MS);
	if (p->exited)
		return ATOM_ENOENT;
	status = tree_usage(p->pid, usage_r);
	if (status == ATOM_OK &&
	    group_find("/proc", p->pid, folder, sizeof(folder)))
		group_usage(folder, usage_r);
	return status;
}

static int64_t pid_of(struct atom_process_handle *p)
{
	return p->pid;
}

static void process_free(struct atom_process_handle **process)
{
	struct atom_process_handle *p = *process;

	*process = NULL;
	if (p != NULL)
		child_free(p);
}

static const struct atom_process service = {
	.struct_size = sizeof(service),
	.spawn = spawn,
	.write = socket_write,
	.pause = socket_pause,
	.resume = socket_resume,
	.close_input = socket_close_input,
	.signal = send_signal,
	.usage = usage,
	.pid = pid_of,
	.free = process_free,
};

bool host_process_is_descendant(pid_t pid)
{
	return tree_is_descendant(pid);
}

atom_status host_process_register(struct atom_error *err)
{
	/* Orphans of our children fall to us: they stay our descendants, and
	 * are reaped. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return atom_fail(err, ATOM_EIO, "PR_SET_CHILD_SUBREAPER: %s",
				 strerror(errno));
	return host_register(ATOM_PROCESS, &service);
}
