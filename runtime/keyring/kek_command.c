/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-encryption key from a command: a client of a key management
 * service, `gpg --decrypt`, a smart card's tool.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "keyring/kek.h"

#define OUTPUT_BYTES_MAX 256

extern char **environ;

struct child {
	pid_t pid;
	int pidfd;
	int output;
	int64_t until_ns;
};

static int left_ms(const struct child *child)
{
	int64_t left = (child->until_ns - os.monotonic_ns()) / 1000000;

	return left > 0 ? (int)left : 0;
}

/* Its own session, so that it and what it starts can be ended as a group;
 * standard input is empty, standard error the daemon's. */
static int spawn(const char *const *command, int output, pid_t *pid_r)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int why;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY,
					       0);
	(void)posix_spawn_file_actions_adddup2(&files, output, 1);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
				     POSIX_SPAWN_SETSIGDEF);
	why = posix_spawnp(pid_r, command[0], &files, &attributes,
			   (char *const *)(uintptr_t)command, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	return why;
}

static atom_status start(const char *const *command, struct child *child,
			 struct atom_error *err)
{
	int fds[2];
	int why;

	if (os.pipe2(fds, O_CLOEXEC) != 0)
		return atom_fail(err, ATOM_EIO, "no pipe for %s: %s",
				 command[0], strerror(errno));
	why = spawn(command, fds[1], &child->pid);
	(void)os.close(fds[1]);
	child->output = fds[0];
	if (why != 0) {
		(void)os.close(fds[0]);
		return atom_fail(err, ATOM_EIO,
				 "security.encryption.command: %s cannot be "
				 "run: %s",
				 command[0], strerror(why));
	}
	child->pidfd = os.pidfd_open(child->pid, 0);
	return ATOM_OK;
}

/* True: something to read, or its end; false: the time is over. */
static bool wait_readable(const struct child *child, int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	int ready;

	do
		ready = poll(&poller, 1, left_ms(child));
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static atom_status read_output(const struct child *child, char *bytes,
			       size_t *length_r)
{
	*length_r = 0;
	while (wait_readable(child, child->output)) {
		ssize_t got = os.read(child->output, bytes + *length_r,
				      OUTPUT_BYTES_MAX - *length_r);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ATOM_EIO;
		if (got == 0)
			return ATOM_OK;
		*length_r += (size_t)got;
		if (*length_r == OUTPUT_BYTES_MAX)
			return ATOM_EINVAL;
	}
	return ATOM_ETIMEOUT;
}

/* Its wait status; whatever it still does is ended. */
static int reap(struct child *child, bool wait)
{
	int result = -1;

	if (!wait || child->pidfd < 0 || !wait_readable(child, child->pidfd))
		(void)os.kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &result, 0) < 0 && errno == EINTR)
		;
	if (child->pidfd >= 0)
		(void)os.close(child->pidfd);
	(void)os.close(child->output);
	return result;
}

static atom_status judge(const char *program, atom_status status, int result,
			 int timeout_ms, struct atom_error *err)
{
	if (status == ATOM_ETIMEOUT ||
	    (status == ATOM_OK && WIFSIGNALED(result) &&
	     WTERMSIG(result) == SIGKILL))
		return atom_fail(err, ATOM_ETIMEOUT,
				 "security.encryption.command: %s had not "
				 "ended after %d s and was killed",
				 program, timeout_ms / 1000);
	if (status == ATOM_EINVAL)
		return atom_fail(err, status,
				 "security.encryption.command: %s wrote %d "
				 "bytes or more, which are no key",
				 program, OUTPUT_BYTES_MAX);
	if (status != ATOM_OK)
		return atom_fail(err, status,
				 "security.encryption.command: the output of "
				 "%s cannot be read",
				 program);
	if (WIFSIGNALED(result))
		return atom_fail(err, ATOM_EIO,
				 "security.encryption.command: %s was ended by "
				 "signal %d",
				 program, WTERMSIG(result));
	if (WEXITSTATUS(result) != 0)
		return atom_fail(err, ATOM_EIO,
				 "security.encryption.command: %s exited with "
				 "status %d; what it said is on standard error",
				 program, WEXITSTATUS(result));
	return ATOM_OK;
}

atom_status kek_run(const char *const *command, int timeout_ms,
		    uint8_t kek_r[KEYRING_KEY_BYTES], struct atom_error *err)
{
	struct child child = {
		.until_ns = os.monotonic_ns() + timeout_ms * INT64_C(1000000),
	};
	char bytes[OUTPUT_BYTES_MAX];
	size_t length = 0;
	atom_status status = start(command, &child, err);
	int result;

	if (status != ATOM_OK)
		return status;
	status = read_output(&child, bytes, &length);
	result = reap(&child, status == ATOM_OK);
	status = judge(command[0], status, result, timeout_ms, err);
	if (status == ATOM_OK)
		status = kek_parse(bytes, length, command[0], kek_r, err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return status;
}
