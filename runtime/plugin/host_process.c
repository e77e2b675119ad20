/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/host_process.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/host_process_priv.h"

/*
 * A child on its loop: its protocol socket, its outputs, and its pidfd are
 * polled.  What ends a child is its exit, told by the pidfd; then whatever is
 * left in the socket is delivered, `closed`, `exited`.
 */

/* Unsent bytes from which the writer is told to wait, and the most. */
#define WRITE_HIGH ((size_t)256 * 1024)
#define WRITE_MAX  ((size_t)16 * 1024 * 1024)
#define READ_BYTES ((size_t)64 * 1024)
/* Reads of one child in one turn of the loop, so that others get theirs. */
#define READS_A_TURN 4

/* A polled descriptor; freed when libuv has let go of it. */
struct watch {
	uv_poll_t poll;
	struct atom_process_handle *process;
	int fd;
};

struct atom_process_handle {
	struct loop *loop;
	const struct atom_process_events *events;
	void *argument;
	pid_t pid;
	struct watch *socket;
	struct watch *outputs[2];
	struct watch *failure;
	struct watch *death;
	struct output lines[2];
	struct buffer unsent;
	int interest; /* UV_READABLE, UV_WRITABLE of the socket */
	bool paused;
	bool input_closed;
	bool want_drained;
	bool exited;
	bool freed;
	unsigned int busy; /* inside events */
	struct atom_process_handle *previous;
	struct atom_process_handle *next;
};

/* The children of each loop, to end them with it. */
static struct atom_process_handle *lists[LOOP_MAX + 1];
static _Thread_local bool loop_known;

/* --- descriptors ----------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

static void unwatch(struct watch **watch)
{
	struct watch *w = TAKE(*watch);

	if (w == NULL)
		return;
	(void)uv_poll_stop(&w->poll);
	(void)os.close(w->fd);
	w->process = NULL;
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* Takes the descriptor over, also when it fails. */
static struct watch *watch_new(struct atom_process_handle *p, int fd,
			       uv_poll_cb ready)
{
	struct watch *w = fd >= 0 ? mem_zalloc(sizeof(*w)) : NULL;

	if (w == NULL || uv_poll_init(loop_uv(p->loop), &w->poll, fd) != 0) {
		if (fd >= 0)
			(void)os.close(fd);
		mem_free(w);
		return NULL;
	}
	w->poll.data = w;
	w->process = p;
	w->fd = fd;
	(void)uv_poll_start(&w->poll, UV_READABLE, ready);
	return w;
}

/* --- the child's life -------------------------------------------------------------- */

static void list_remove(struct atom_process_handle *p)
{
	if (p->previous != NULL)
		p->previous->next = p->next;
	else
		lists[loop_index(p->loop)] = p->next;
	if (p->next != NULL)
		p->next->previous = p->previous;
}

static void release(struct atom_process_handle *p)
{
	if (!p->freed || !p->exited || p->busy > 0)
		return;
	list_remove(p);
	buffer_fini(&p->unsent);
	mem_free(p);
}

static void stop_watching(struct atom_process_handle *p)
{
	unwatch(&p->socket);
	unwatch(&p->failure);
	for (int i = 0; i < 2; i++) {
		if (p->outputs[i] != NULL)
			output_end(&p->lines[i]);
		unwatch(&p->outputs[i]);
	}
}

/* Reads what there is; false at end of file or error. */
static bool read_socket(struct atom_process_handle *p, int turns)
{
	char bytes[READ_BYTES];

	while (turns-- > 0 && p->socket != NULL && !p->freed) {
		ssize_t n = os.read(p->socket->fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n <= 0)
			return false;
		p->events->data(p->argument, bytes, (size_t)n);
		if (p->paused && !p->exited)
			return true;
	}
	return true;
}

static void read_output(struct atom_process_handle *p, int i, int turns)
{
	char bytes[READ_BYTES];

	while (turns-- > 0 && p->outputs[i] != NULL) {
		ssize_t n = os.read(p->outputs[i]->fd, bytes, sizeof(bytes));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			output_end(&p->lines[i]);
			unwatch(&p->outputs[i]);
			return;
		}
		output_feed(&p->lines[i], bytes, (size_t)n);
	}
}

static void lost_socket(struct atom_process_handle *p)
{
	if (p->socket == NULL)
		return;
	unwatch(&p->socket);
	if (!p->freed)
		p->events->closed(p->argument);
}

static void tell_failure(struct atom_process_handle *p)
{
	struct spawn_failure failure;

	if (p->failure == NULL)
		return;
	if (os.read(p->failure->fd, &failure, sizeof(failure)) ==
	    (ssize_t)sizeof(failure))
		log_line(ATOM_LOG_ERROR, "worker_not_started",
			 strerror(failure.error),
			 LOG_TEXT("instance", p->lines[1].instance),
			 LOG_TEXT("step", spawn_step_name(failure.step)));
	unwatch(&p->failure);
}

static void on_failure(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;

	(void)status;
	(void)events;
	tell_failure(w->process);
}

static void on_death(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct atom_process_handle *p = w->process;
	siginfo_t info;

	(void)status;
	(void)events;
	/* While it is not reaped its number, and its group's, are its own:
	 * whoever is left of the group goes with it. */
	(void)os.kill(-p->pid, SIGKILL);
	memset(&info, 0, sizeof(info));
	if (waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG) != 0 &&
	    errno == EINTR)
		return;
	p->exited = true;
	p->busy++;
	unwatch(&p->death);
	tell_failure(p);
	for (int i = 0; i < 2; i++)
		read_output(p, i, 64);
	if (p->socket != NULL && !p->freed)
		(void)read_socket(p, 64);
	lost_socket(p);
	stop_watching(p);
	if (!p->freed)
		p->events->exited(
			p->argument,
			info.si_code == CLD_EXITED ? info.si_status : -1,
			info.si_code == CLD_EXITED ? 0 : info.si_status);
	p->busy--;
	release(p);
	tree_reap_orphans();
}

/* --- writing ------------------------------------------------------------------------ */

static void on_socket(uv_poll_t *poll, int status, int events);

static void arm_socket(struct atom_process_handle *p)
{
	int interest = (p->paused ? 0 : UV_READABLE) |
		       (p->unsent.length > 0 ? UV_WRITABLE : 0);

	if (p->socket == NULL || interest == p->interest)
		return;
	p->interest = interest;
	if (interest == 0)
		(void)uv_poll_stop(&p->socket->poll);
	else
		(void)uv_poll_start(&p->socket->poll, interest, on_socket);
}

/* Sends what it can; false when the child has closed its end. */
static bool flush(struct atom_process_handle *p)
{
	while (p->unsent.length > 0 && p->socket != NULL) {
		struct iovec part = { p->unsent.bytes, p->unsent.length };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
		ssize_t n = os.sendmsg(p->socket->fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		buffer_consume(&p->unsent, (size_t)n);
	}
	if (p->unsent.length == 0 && p->input_closed && p->socket != NULL)
		(void)shutdown(p->socket->fd, SHUT_WR);
	return true;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct atom_process_handle *p = w->process;
	bool alive = true;

	p->busy++;
	if (status != 0)
		alive = false;
	if (alive && (events & UV_READABLE) != 0 && !p->paused)
		alive = read_socket(p, READS_A_TURN);
	/* A child that no longer reads may still have much to say: only
	 * reading tells that it is over. */
	if (alive && p->socket != NULL && (events & UV_WRITABLE) != 0 &&
	    !flush(p))
		buffer_clear(&p->unsent);
	if (!alive)
		lost_socket(p);
	if (p->want_drained && p->unsent.length < WRITE_HIGH / 2 &&
	    p->socket != NULL && !p->freed) {
		p->want_drained = false;
		p->events->drained(p->argument);
	}
	arm_socket(p);
	p->busy--;
	release(p);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct atom_process_handle *p = w->process;

	(void)status;
	(void)events;
	for (int i = 0; i < 2; i++)
		if (p->outputs[i] == w) {
			read_output(p, i, READS_A_TURN);
			return;
		}
}

static atom_status write_bytes(struct atom_process_handle *p, const char *bytes,
			       size_t length)
{
	if (p->socket == NULL || p->input_closed)
		return ATOM_EIO;
	if (p->unsent.length + length > WRITE_MAX ||
	    buffer_append(&p->unsent, bytes, length) != ATOM_OK)
		return ATOM_ELIMIT;
	if (!flush(p)) {
		buffer_clear(&p->unsent);
		return ATOM_EIO;
	}
	arm_socket(p);
	if (p->unsent.length < WRITE_HIGH)
		return ATOM_OK;
	p->want_drained = true;
	return ATOM_EBUSY;
}

/* --- the rest of the service ----------------------------------------------------------- */

static void pause_reading(struct atom_process_handle *p)
{
	p->paused = true;
	arm_socket(p);
}

static void resume_reading(struct atom_process_handle *p)
{
	p->paused = false;
	arm_socket(p);
}

static void close_input(struct atom_process_handle *p)
{
	p->input_closed = true;
	(void)flush(p);
}

static void send_signal(struct atom_process_handle *p, int32_t number)
{
	if (!p->exited)
		(void)os.kill(-p->pid, number);
}

static atom_status usage(struct atom_process_handle *p,
			 struct atom_process_usage *usage_r)
{
	return p->exited ? ATOM_ENOENT : tree_usage(p->pid, usage_r);
}

static int64_t pid_of(struct atom_process_handle *p)
{
	return p->pid;
}

static void process_free(struct atom_process_handle **process)
{
	struct atom_process_handle *p = TAKE(*process);

	if (p == NULL)
		return;
	p->freed = true;
	if (!p->exited) {
		(void)os.kill(-p->pid, SIGKILL);
		stop_watching(p);
	}
	release(p);
}

/* The loop ends: so do its children, and their zombies. */
static void end_children(void *argument)
{
	struct loop *loop = argument;
	struct atom_process_handle *next;

	for (struct atom_process_handle *p = lists[loop_index(loop)]; p != NULL;
	     p = next) {
		next = p->next;
		p->freed = true;
		(void)os.kill(-p->pid, SIGKILL);
		stop_watching(p);
		if (p->death != NULL) {
			siginfo_t info;

			/* It was killed: this wait is short. */
			(void)waitid(P_PIDFD, (id_t)p->death->fd, &info,
				     WEXITED);
			unwatch(&p->death);
		}
		p->exited = true;
		release(p);
	}
	tree_reap_orphans();
}

static atom_status spawn(const struct atom_host *host,
			 const struct atom_process_request *request,
			 const struct atom_process_events *events,
			 void *argument, struct atom_process_handle **process_r,
			 struct atom_error *err)
{
	struct atom_process_handle *p = mem_zalloc(sizeof(*p));
	struct loop *loop = loop_current();
	struct spawned s;
	atom_status status;

	(void)host;
	if (p == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a child");
	assert(loop != NULL);
	if (!loop_known && loop_at_stop(loop, end_children, loop) != ATOM_OK) {
		mem_free(p);
		return atom_fail(err, ATOM_ENOMEM, "no memory for a child");
	}
	loop_known = true;
	status = process_spawn(request, &s, err);
	if (status != ATOM_OK) {
		mem_free(p);
		return status;
	}
	p->loop = loop;
	p->events = events;
	p->argument = argument;
	p->pid = s.pid;
	p->interest = UV_READABLE;
	buffer_init(&p->unsent, WRITE_MAX);
	output_init(&p->lines[0], "stdout", request->log_name);
	output_init(&p->lines[1], "stderr", request->log_name);
	p->next = lists[loop_index(loop)];
	if (p->next != NULL)
		p->next->previous = p;
	lists[loop_index(loop)] = p;
	p->death = watch_new(p, s.pidfd, on_death);
	p->socket = watch_new(p, s.socket, on_socket);
	p->failure = watch_new(p, s.failure, on_failure);
	for (int i = 0; i < 2; i++)
		p->outputs[i] = watch_new(p, s.outputs[i], on_output);
	if (p->death == NULL || p->socket == NULL) {
		(void)os.kill(-p->pid, SIGKILL);
		if (p->death == NULL) {
			(void)waitpid(p->pid, NULL, 0);
			p->exited = true;
		}
		process_free(&p);
		return atom_fail(err, ATOM_ENOMEM, "no memory for a child");
	}
	*process_r = p;
	return ATOM_OK;
}

static const struct atom_process service = {
	.struct_size = sizeof(service),
	.spawn = spawn,
	.write = write_bytes,
	.pause = pause_reading,
	.resume = resume_reading,
	.close_input = close_input,
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
