/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Forking, reading and ending one child of a helper.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "plugin/probe_priv.h"

#define READS_MAX  64	/* at a time: one that floods must meet its deadline */
#define GIVE_UP_MS 2000 /* after SIGKILL */
#define NS_PER_MS  1000000ll

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)os.close(*fd);
	*fd = -1;
}

void probe_child_fini(struct probe_child *child)
{
	close_fd(&child->pidfd);
	close_fd(&child->answer_fd);
	close_fd(&child->said_fd);
	buffer_fini(&child->answer);
	buffer_fini(&child->said);
	child->pid = 0;
}

/* A pipe whose ends are all above the files, so that none is overwritten on
 * its way to its place; the read end does not block. */
static int pipe_above(int ends[2])
{
	int low[2];

	if (os.pipe2(low, O_CLOEXEC) != 0)
		return -1;
	ends[0] = fcntl(low[0], F_DUPFD_CLOEXEC, PROBE_ANSWER_FD);
	ends[1] = fcntl(low[1], F_DUPFD_CLOEXEC, PROBE_ANSWER_FD);
	(void)os.close(low[0]);
	(void)os.close(low[1]);
	if (ends[0] >= 0 && ends[1] >= 0 &&
	    fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	return -1;
}

bool probe_child_start(struct probe_child *child, struct probe_result *results,
		       size_t count)
{
	int answer[2] = { -1, -1 }, said[2] = { -1, -1 };
	int error = 0;

	*child = (struct probe_child){
		.pidfd = -1, .answer_fd = -1, .said_fd = -1, .result = results
	};
	buffer_init(&child->answer, PROBE_ANSWER_MAX);
	buffer_init(&child->said, PROBE_SAID_MAX);
	if (pipe_above(answer) != 0 || pipe_above(said) != 0 ||
	    (child->pid = fork()) < 0)
		error = errno;
	if (error == 0 && child->pid == 0)
		probe_child_main(results, count, answer[1], said[1]);
	if (error == 0) {
		/* Here and in the child: whichever comes first. */
		(void)setpgid(child->pid, child->pid);
		child->deadline_ns =
			os.monotonic_ns() + PROBE_DEADLINE_MS * NS_PER_MS;
		child->pidfd = os.pidfd_open(child->pid, 0);
		if (child->pidfd < 0) {
			error = errno;
			(void)os.kill(child->pid, SIGKILL);
			(void)waitpid(child->pid, NULL, 0);
		}
	}
	close_fd(&answer[1]);
	close_fd(&said[1]);
	child->answer_fd = answer[0];
	child->said_fd = said[0];
	if (error == 0)
		return true;
	probe_child_fini(child);
	results->refusal =
		probe_refusal("could not be probed: %s", strerror(error));
	results->passing = true;
	return false;
}

/* One read; false when there is nothing (more) for now. */
static bool read_some(int *fd, char *chunk, size_t size, size_t *length_r)
{
	ssize_t n;

	do {
		n = *fd >= 0 ? os.read(*fd, chunk, size) : 0;
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		*length_r = (size_t)n;
		return true;
	}
	if (n == 0 || errno != EAGAIN)
		close_fd(fd);
	return false;
}

void probe_child_read(struct probe_child *child)
{
	struct buffer *said = &child->said;
	char chunk[16 * 1024];
	size_t length;

	/* Beyond its maximum the answer is read and dropped. */
	for (int i = 0; i < READS_MAX && read_some(&child->answer_fd, chunk,
						   sizeof(chunk), &length);
	     i++)
		(void)buffer_append(&child->answer, chunk, length);
	/* Of what it says the end matters. */
	for (int i = 0; i < READS_MAX && read_some(&child->said_fd, chunk,
						   PROBE_SAID_MAX, &length);
	     i++) {
		if (said->length + length > PROBE_SAID_MAX)
			buffer_consume(said,
				       said->length + length - PROBE_SAID_MAX);
		(void)buffer_append(said, chunk, length);
	}
}

bool probe_child_late(struct probe_child *child, int64_t now_ns)
{
	if (now_ns < child->deadline_ns)
		return false;
	if (child->timed_out)
		return true;
	child->timed_out = true;
	child->deadline_ns = now_ns + GIVE_UP_MS * NS_PER_MS;
	(void)os.kill(-child->pid, SIGKILL);
	return false;
}

int probe_child_reap(struct probe_child *child)
{
	int status = 0;

	(void)os.kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		;
	probe_child_read(child);
	return status;
}
