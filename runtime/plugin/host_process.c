/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host_process.h"

#include <assert.h>
#include <errno.h>
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

/* Each loop's children, its own to touch. */
static struct {
	struct atom_process_handle *first;
	bool known; /* its end is watched */
	bool ended;
} loops[LOOP_MAX + 1];

void children_add(struct atom_process_handle *p)
{
	struct atom_process_handle **first = &loops[loop_index(p->loop)].first;

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
		loops[loop_index(p->loop)].first = p->next;
	if (p->next != NULL)
		p->next->previous = p->previous;
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

	loops[index].ended = true;
	for (p = loops[index].first; p != NULL; p = p->next)
		child_signal(p, SIGKILL);
	/* One that is told may free another: from the start each time. */
	for (;;) {
		p = loops[index].first;
		while (p != NULL && p->death == NULL)
			p = p->next;
		if (p == NULL)
			break;
		wait_for_exit(p, until_ns);
	}
	tree_kill_orphans();
	loops[index].known = false;
}

/* --- the service ----------------------------------------------------------- */

static atom_status watch_end(struct loop *loop, struct atom_error *err)
{
	unsigned int index = loop_index(loop);

	if (!loops[index].known) {
		if (loop_at_stop(loop, end_children, loop) != ATOM_OK)
			return atom_fail(err, ATOM_ENOMEM,
					 "no memory for a child");
		loops[index].known = true;
		loops[index].ended = false;
	}
	return ATOM_OK;
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
	if (loops[loop_index(loop)].ended)
		return atom_fail(err, ATOM_ECANCELED,
				 "the daemon is stopping and starts no more "
				 "children");
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
	tree_reap_orphans_sometimes();
	return p->exited ? ATOM_ENOENT : tree_usage(p->pid, usage_r);
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
	memset(loops, 0, sizeof(loops));
	/* Orphans of our children fall to us: they stay our descendants, and
	 * are reaped. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return atom_fail(err, ATOM_EIO, "PR_SET_CHILD_SUBREAPER: %s",
				 strerror(errno));
	return host_register(ATOM_PROCESS, &service);
}
