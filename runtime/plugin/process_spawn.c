/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "plugin/host_process_priv.h"

/*
 * Everything that allocates or may take a lock happens before fork(): the
 * child of a threaded process may only call what is async-signal-safe.
 */

#define PATH_BYTES 4096
/* Descriptors are moved up here, so that dup2() onto 0 to 3 cannot hit one. */
#define FD_LOW	   16
#define OPEN_FILES 1024

enum step {
	STEP_PARENT,
	STEP_FILES,
	STEP_DIRECTORY,
	STEP_LIMITS,
	STEP_USER,
	STEP_PRIVILEGES,
	STEP_EXEC
};

struct plan {
	char path[PATH_BYTES];
	const struct atom_process_request *request;
	bool switch_user;
	uid_t uid;
	gid_t gid;
	gid_t groups[64];
	int group_count;
	pid_t parent;
	int child_socket;
	int null;
	int child_outputs[2];
	int child_failure;
};

const char *spawn_step_name(int32_t step)
{
	static const char *const names[] = {
		"staying with the daemon",
		"descriptors",
		"directory",
		"limits",
		"user",
		"no_new_privs",
		"exec",
	};

	return step >= 0 && step <= STEP_EXEC ? names[step] : "unknown";
}

/* --- before fork ---------------------------------------------------------------- */

static const char *path_of(const struct atom_process_request *request)
{
	for (size_t i = 0; request->environment[i] != NULL; i++)
		if (strncmp(request->environment[i], "PATH=", 5) == 0)
			return request->environment[i] + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static atom_status find_program(struct plan *plan, struct atom_error *err)
{
	const char *program = plan->request->command[0];
	const char *path = path_of(plan->request);

	if (strchr(program, '/') != NULL) {
		/* Relative to the child's directory, as a shell would. */
		(void)snprintf(plan->path, sizeof(plan->path), "%s", program);
		return ATOM_OK;
	}
	while (*path != '\0') {
		size_t n = strcspn(path, ":");

		if (n > 0 &&
		    snprintf(plan->path, sizeof(plan->path), "%.*s/%s", (int)n,
			     path, program) < (int)sizeof(plan->path) &&
		    access(plan->path, X_OK) == 0)
			return ATOM_OK;
		path += n + (path[n] == ':');
	}
	return atom_fail(err, ATOM_ENOENT,
			 "command: %s was not found in PATH (%s)", program,
			 path_of(plan->request));
}

static atom_status check_directory(const struct atom_process_request *request,
				   struct atom_error *err)
{
	struct stat found;

	if (request->directory == NULL)
		return ATOM_OK;
	if (stat(request->directory, &found) != 0)
		return atom_fail(err, ATOM_ENOENT, "directory %s: %s",
				 request->directory, strerror(errno));
	if (!S_ISDIR(found.st_mode))
		return atom_fail(err, ATOM_EINVAL,
				 "directory %s: expected a folder, found a "
				 "file",
				 request->directory);
	return ATOM_OK;
}

static atom_status find_user(struct plan *plan, struct atom_error *err)
{
	const char *name = plan->request->user;
	struct passwd *user;

	if (name == NULL || name[0] == '\0' || geteuid() != 0)
		return ATOM_OK;
	user = getpwnam(name);
	if (user == NULL)
		return atom_fail(err, ATOM_ENOENT,
				 "user: there is no user '%s' on this machine",
				 name);
	plan->switch_user = true;
	plan->uid = user->pw_uid;
	plan->gid = user->pw_gid;
	plan->group_count = (int)(sizeof(plan->groups) / sizeof(gid_t));
	if (getgrouplist(name, user->pw_gid, plan->groups, &plan->group_count) <
	    0)
		plan->group_count = 0;
	return ATOM_OK;
}

static int raise_fd(int fd)
{
	int high;

	if (fd < 0 || fd >= FD_LOW)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, FD_LOW);
	(void)os.close(fd);
	return high;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)os.close(*fd);
	*fd = -1;
}

static bool make_pair(int *ours, int *theirs, bool socket)
{
	int fds[2];
	int made = socket ? os.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					  0, fds)
			  : os.pipe2(fds, O_CLOEXEC);

	if (made != 0)
		return false;
	*ours = fds[0];
	*theirs = raise_fd(fds[1]);
	(void)fcntl(*ours, F_SETFL, O_NONBLOCK);
	return *theirs >= 0;
}

static atom_status open_all(struct plan *plan, struct spawned *s,
			    struct atom_error *err)
{
	bool stdio = (plan->request->flags & ATOM_PROCESS_STDIO) != 0;

	plan->null = raise_fd(os.open("/dev/null", O_RDWR | O_CLOEXEC, 0));
	if (plan->null < 0 ||
	    !make_pair(&s->socket, &plan->child_socket, true) ||
	    (!stdio &&
	     !make_pair(&s->outputs[0], &plan->child_outputs[0], false)) ||
	    !make_pair(&s->outputs[1], &plan->child_outputs[1], false) ||
	    !make_pair(&s->failure, &plan->child_failure, false))
		return atom_fail(err, ATOM_EIO,
				 "no descriptors for a child: %s",
				 strerror(errno));
	return ATOM_OK;
}

/* --- in the child: async-signal-safe only ------------------------------------------ */

static void die(const struct plan *plan, enum step step)
{
	struct spawn_failure failure = { errno, (int32_t)step };

	(void)!write(plan->child_failure, &failure, sizeof(failure));
	_exit(127);
}

static void child_files(const struct plan *plan)
{
	bool stdio = (plan->request->flags & ATOM_PROCESS_STDIO) != 0;
	int keep = plan->child_failure;

	if (dup2(stdio ? plan->child_socket : plan->null, 0) < 0 ||
	    dup2(stdio ? plan->child_socket : plan->child_outputs[0], 1) < 0 ||
	    dup2(plan->child_outputs[1], 2) < 0)
		die(plan, STEP_FILES);
	if (!stdio && dup2(plan->child_socket, 3) < 0)
		die(plan, STEP_FILES);
	if ((keep > 4 &&
	     close_range(stdio ? 3 : 4, (unsigned int)keep - 1, 0) != 0) ||
	    close_range((unsigned int)keep + 1, ~0u, 0) != 0)
		die(plan, STEP_FILES);
}

static void child_limits(const struct plan *plan)
{
	const struct atom_process_request *request = plan->request;
	rlim_t files = request->open_files_max > 0
			       ? (rlim_t)request->open_files_max
			       : OPEN_FILES;
	struct rlimit open_files = { files, files };
	struct rlimit none = { 0, 0 };
	struct rlimit memory = { (rlim_t)request->memory_max,
				 (rlim_t)request->memory_max };
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_max < files)
		open_files = (struct rlimit){ now.rlim_max, now.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &open_files) != 0 ||
	    setrlimit(RLIMIT_CORE, &none) != 0 ||
	    (request->memory_max > 0 && setrlimit(RLIMIT_AS, &memory) != 0))
		die(plan, STEP_LIMITS);
}

static void child_run(const struct plan *plan)
{
	const struct atom_process_request *request = plan->request;
	struct sigaction fallback = { .sa_handler = SIG_DFL };
	sigset_t none;

	(void)setpgid(0, 0);
	for (int i = 1; i < 32; i++)
		(void)sigaction(i, &fallback, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	child_files(plan);
	if (request->directory != NULL && chdir(request->directory) != 0)
		die(plan, STEP_DIRECTORY);
	(void)umask(077);
	child_limits(plan);
	if (plan->switch_user &&
	    (setgroups((size_t)plan->group_count, plan->groups) != 0 ||
	     setgid(plan->gid) != 0 || setuid(plan->uid) != 0))
		die(plan, STEP_USER);
	/* After setuid, which clears it.  The daemon may have died before. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != plan->parent)
		die(plan, STEP_PARENT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die(plan, STEP_PRIVILEGES);
	(void)execve(plan->path, (char *const *)(uintptr_t)request->command,
		     (char *const *)(uintptr_t)request->environment);
	die(plan, STEP_EXEC);
}

/* --- all of it ------------------------------------------------------------------------ */

atom_status process_spawn(const struct atom_process_request *request,
			  struct spawned *spawned_r, struct atom_error *err)
{
	struct plan plan = {
		.request = request,
		.parent = getpid(),
		.child_socket = -1,
		.null = -1,
		.child_outputs = { -1, -1 },
		.child_failure = -1,
	};
	struct spawned s = { 0, -1, -1, { -1, -1 }, -1 };
	atom_status status;

	if (request->command == NULL || request->command[0] == NULL ||
	    request->environment == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "command: expected a program and its "
				 "arguments, found none");
	status = find_program(&plan, err);
	if (status == ATOM_OK)
		status = check_directory(request, err);
	if (status == ATOM_OK)
		status = find_user(&plan, err);
	if (status == ATOM_OK)
		status = open_all(&plan, &s, err);
	if (status != ATOM_OK)
		goto out;
	s.pid = os.fork();
	if (s.pid == 0)
		child_run(&plan);
	if (s.pid < 0) {
		status = atom_fail(err, ATOM_EIO, "fork: %s", strerror(errno));
		goto out;
	}
	/* In both processes, so that it holds whoever runs first. */
	(void)setpgid(s.pid, s.pid);
	s.pidfd = os.pidfd_open(s.pid, 0);
	if (s.pidfd < 0) {
		status = atom_fail(err, ATOM_EIO, "pidfd_open: %s",
				   strerror(errno));
		(void)os.kill(-s.pid, SIGKILL);
		(void)waitpid(s.pid, NULL, 0);
	}
out:
	close_fd(&plan.child_socket);
	close_fd(&plan.null);
	close_fd(&plan.child_outputs[0]);
	close_fd(&plan.child_outputs[1]);
	close_fd(&plan.child_failure);
	if (status != ATOM_OK) {
		close_fd(&s.socket);
		close_fd(&s.outputs[0]);
		close_fd(&s.outputs[1]);
		close_fd(&s.failure);
	} else {
		*spawned_r = s;
	}
	return status;
}
