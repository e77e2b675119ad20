/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/host_process_priv.h"

/* A child's life on its loop: its socket, its outputs and its pidfd are
 * polled. */

#define READ_BYTES ((size_t)64 * 1024)
/* Reads of one output in one turn of the loop, so that others get theirs; and
 * after its exit, when a pipe can hold no more than that. */
#define READS_A_TURN   4
#define READS_AT_DEATH 64

/* --- descriptors ----------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *handle)
{
	mem_free(handle->data);
}

void child_unwatch(struct watch **watch)
{
	struct watch *w = TAKE(*watch);

	if (w == NULL)
		return;
	w->process = NULL;
	/* libuv forgets the descriptor here; closed before, its number could be
	 * another thread's already. */
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
	(void)os.close(w->fd);
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

/* --- what it prints ---------------------------------------------------------- */

static void end_output(struct atom_process_handle *p, int i)
{
	if (p->outputs[i] != NULL)
		output_end(&p->lines[i]);
	child_unwatch(&p->outputs[i]);
}

static void read_output(struct atom_process_handle *p, int i, int turns)
{
	char bytes[READ_BYTES];

	while (turns-- > 0 && p->outputs[i] != NULL) {
		ssize_t n = os.read(p->outputs[i]->fd, bytes, sizeof(bytes));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			end_output(p, i);
		else
			output_feed(&p->lines[i], bytes, (size_t)n);
	}
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

/* --- when it could not become the program --------------------------------------- */

static void tell_failure(struct atom_process_handle *p)
{
	struct spawn_failure failure;
	const char *hint = "";
	char message[256];

	if (p->failure == NULL)
		return;
	if (os.read(p->failure->fd, &failure, sizeof(failure)) ==
	    (ssize_t)sizeof(failure)) {
		if (spawn_step_is_exec(failure.step) && failure.error == ENOENT)
			hint = " (or the interpreter that its first line "
			       "names)";
		(void)snprintf(message, sizeof(message), "%s: %s: %s%s",
			       p->program, spawn_step_name(failure.step),
			       strerror(failure.error), hint);
		log_line(ATOM_LOG_ERROR, "worker_not_started", message,
			 LOG_TEXT("instance", p->lines[1].instance));
	}
	child_unwatch(&p->failure);
}

static void on_failure(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;

	(void)status;
	(void)events;
	tell_failure(w->process);
}

/* --- its end ------------------------------------------------------------------ */

void child_signal(struct atom_process_handle *p, int number)
{
	/* Until it is reaped its number, and its group's, are its own.  A group
	 * is what it makes first; one that leads a session cannot leave it. */
	if (!p->exited && os.kill(-p->pid, number) != 0)
		(void)os.kill(p->pid, number);
}

void child_enter(struct atom_process_handle *p)
{
	p->busy++;
}

void child_leave(struct atom_process_handle *p)
{
	if (--p->busy > 0 || !p->freed || !p->exited)
		return;
	children_remove(p);
	host_release(p->host);
	buffer_fini(&p->unsent);
	mem_free(p->program);
	mem_free(p);
}

/* False while it runs.  With WNOWAIT it stays a zombie, to be asked again. */
static bool get_exit(struct atom_process_handle *p, int flags,
		     siginfo_t *ending_r)
{
	int result;

	memset(ending_r, 0, sizeof(*ending_r));
	do
		result = waitid(P_PIDFD, (id_t)p->death->fd, ending_r,
				WEXITED | WNOHANG | flags);
	while (result != 0 && errno == EINTR);
	/* An error: somebody else has reaped it. */
	return result != 0 || ending_r->si_pid != 0;
}

bool child_reap(struct atom_process_handle *p)
{
	siginfo_t ending;

	if (!get_exit(p, WNOWAIT, &ending))
		return false;
	/* Whoever is left of its group goes with it. */
	(void)os.kill(-p->pid, SIGKILL);
	(void)get_exit(p, 0, &ending);
	tree_forget(p->pid);
	child_enter(p);
	p->exited = true;
	child_unwatch(&p->death);
	tell_failure(p);
	for (int i = 0; i < 2; i++) {
		read_output(p, i, READS_AT_DEATH);
		end_output(p, i);
	}
	socket_read_rest(p);
	if (!p->freed)
		p->events->exited(
			p->argument,
			ending.si_code == CLD_EXITED ? ending.si_status : -1,
			ending.si_code == CLD_EXITED ? 0 : ending.si_status);
	child_leave(p);
	children_reap_orphans_soon();
	return true;
}

static void on_death(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;

	(void)status;
	(void)events;
	(void)child_reap(w->process);
}

void child_free(struct atom_process_handle *p)
{
	child_enter(p);
	p->freed = true;
	child_signal(p, SIGKILL);
	/* Its exit is still awaited, and its last words are still logged. */
	child_unwatch(&p->socket);
	child_leave(p);
}

/* --- its start ------------------------------------------------------------------ */

static bool watch_all(struct atom_process_handle *p, const struct spawned *s)
{
	p->death = watch_new(p, s->pidfd, on_death);
	p->socket = watch_new(p, s->socket, socket_ready);
	p->failure = watch_new(p, s->failure, on_failure);
	for (int i = 0; i < 2; i++)
		p->outputs[i] = watch_new(p, s->outputs[i], on_output);
	return p->death != NULL && p->socket != NULL && p->failure != NULL &&
	       (p->outputs[0] != NULL || s->outputs[0] < 0) &&
	       (p->outputs[1] != NULL || s->outputs[1] < 0);
}

atom_status child_new(const struct atom_host *host,
		      const struct atom_process_request *request,
		      const struct atom_process_events *events, void *argument,
		      struct atom_process_handle **child_r,
		      struct atom_error *err)
{
	struct atom_process_handle *p = mem_zalloc(sizeof(*p));
	struct spawned s;
	atom_status status;

	if (p != NULL && request->command != NULL &&
	    request->command[0] != NULL)
		p->program = mem_strdup(request->command[0]);
	if (p == NULL || p->program == NULL) {
		status = p == NULL ? ATOM_ENOMEM : ATOM_EINVAL;
		mem_free(p);
		return atom_fail(err, status, "a child without a command");
	}
	status = process_spawn(request, &s, err);
	if (status != ATOM_OK) {
		mem_free(p->program);
		mem_free(p);
		return status;
	}
	p->host = host;
	p->loop = loop_current();
	p->events = events;
	p->argument = argument;
	p->pid = s.pid;
	p->interest = UV_READABLE;
	buffer_init(&p->unsent, SOCKET_UNSENT_MAX);
	output_init(&p->lines[0], "stdout", host_agent(host),
		    request->log_name);
	output_init(&p->lines[1], "stderr", host_agent(host),
		    request->log_name);
	children_add(p);
	host_hold(host);
	if (!watch_all(p, &s)) {
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a child");
		if (p->death == NULL) {
			/* Nobody will tell of its end: wait for it here. */
			child_signal(p, SIGKILL);
			(void)waitpid(p->pid, NULL, 0);
			tree_forget(p->pid);
			p->exited = true;
			child_unwatch(&p->failure);
			for (int i = 0; i < 2; i++)
				end_output(p, i);
		}
		child_free(p);
		return status;
	}
	*child_r = p;
	return ATOM_OK;
}
