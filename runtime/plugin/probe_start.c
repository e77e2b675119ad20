/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Starting, reading and ending one child of a probe.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "plugin/probe_priv.h"

#define PROGRAM	   "/proc/self/exe"
#define PROBE_FD   3
#define READS_MAX  64	/* at a time: one that floods must meet its deadline */
#define GIVE_UP_MS 2000 /* after SIGKILL */
#define NS_PER_MS  1000000ll

const char *probe_program = PROGRAM;

void probe_set_program(const char *path)
{
	probe_program = path != NULL ? path : PROGRAM;
}

/* What the loader and the sanitizers look at, and nothing of ours. */
static char **environment_new(void)
{
	static const char *const names[] = {
		"PATH",		"LD_LIBRARY_PATH", "ASAN_OPTIONS",
		"LSAN_OPTIONS", "TSAN_OPTIONS",	   "UBSAN_OPTIONS",
	};
	char **environment = mem_array(ARRAY_SIZE(names) + 1, sizeof(char *));
	size_t count = 0;

	for (size_t i = 0; environment != NULL && i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i]);
		struct buffer pair = BUFFER_INIT(64 * 1024);

		if (value != NULL &&
		    buffer_printf(&pair, "%s=%s", names[i], value) == ATOM_OK)
			environment[count++] = buffer_take(&pair, NULL);
		buffer_fini(&pair);
	}
	return environment;
}

static void environment_free(char **environment)
{
	for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
		mem_free(environment[i]);
	mem_free(environment);
}

/* posix_spawn(3) with `answer` and `said` as descriptors 1 and 2; returns an
 * errno value. */
static int spawn(const struct probe_job *job, int answer, int said, pid_t *pid)
{
	char *const arguments[] = { "atomd", "--probe", "3", NULL };
	int fd = job->in_place ? job->file->file_fd : job->file->copy_fd;
	char **environment = environment_new();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	if (environment == NULL ||
	    posix_spawn_file_actions_init(&actions) != 0) {
		environment_free(environment);
		return ENOMEM;
	}
	if (posix_spawnattr_init(&attributes) != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		environment_free(environment);
		return ENOMEM;
	}
	/* `fd` first: it may be any number, the pipes are above PROBE_FD. */
	error = posix_spawn_file_actions_adddup2(&actions, fd, PROBE_FD);
	if (error == 0)
		error = posix_spawn_file_actions_addopen(
			&actions, 0, "/dev/null", O_RDONLY, 0);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, answer, 1);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, said, 2);
	if (error == 0)
		error = posix_spawn_file_actions_addclosefrom_np(&actions,
								 PROBE_FD + 1);
	if (error == 0)
		error = posix_spawnattr_setflags(&attributes,
						 POSIX_SPAWN_SETSIGMASK |
							 POSIX_SPAWN_SETSIGDEF |
							 POSIX_SPAWN_SETPGROUP);
	if (error == 0)
		error = posix_spawnattr_setsigmask(&attributes, &none);
	if (error == 0)
		error = posix_spawnattr_setsigdefault(&attributes, &all);
	if (error == 0)
		error = posix_spawn(pid, probe_program, &actions, &attributes,
				    arguments, environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	environment_free(environment);
	return error;
}

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

/* A pipe whose ends are all above the child's own descriptors, so that none
 * is overwritten on its way to its place; the read end does not block. */
static int pipe_above(int ends[2])
{
	int low[2];

	if (os.pipe2(low, O_CLOEXEC) != 0)
		return -1;
	ends[0] = fcntl(low[0], F_DUPFD_CLOEXEC, PROBE_FD + 1);
	ends[1] = fcntl(low[1], F_DUPFD_CLOEXEC, PROBE_FD + 1);
	(void)os.close(low[0]);
	(void)os.close(low[1]);
	if (ends[0] >= 0 && ends[1] >= 0 &&
	    fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	close_fd(&ends[0]);
	close_fd(&ends[1]);
	return -1;
}

bool probe_child_start(struct probe_child *child, struct probe_job *job)
{
	int answer[2] = { -1, -1 }, said[2] = { -1, -1 };
	int error = 0;

	*child = (struct probe_child){
		.pidfd = -1, .answer_fd = -1, .said_fd = -1, .job = job
	};
	buffer_init(&child->answer, PROBE_ANSWER_MAX);
	buffer_init(&child->said, PROBE_SAID_MAX);
	if (pipe_above(answer) != 0 || pipe_above(said) != 0)
		error = errno;
	if (error == 0)
		error = spawn(job, answer[1], said[1], &child->pid);
	if (error == 0) {
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
	probe_refuse(job, "could not be probed: %s: %s", probe_program,
		     strerror(error));
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
