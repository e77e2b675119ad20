/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os.h"
#include "core/slice.h"
#include "plugin/host_process_priv.h"

/*
 * Everything that allocates or may take a lock happens before the child: it
 * runs in the daemon's memory, while this thread waits, until it execs
 * (os.vfork()).  A copy of that memory would take the longer the more there is
 * of it, half a millisecond for 20 MiB, and whoever is served by this loop
 * would wait.  So the child
 * - only calls what is async-signal-safe;
 * - changes its user by system calls: libc's functions do it for all threads
 *   that the memory tells of; and it execs by one: in a build for coverage
 *   execve() writes out what the daemon has counted, which is then lost;
 * - writes nothing that the daemon reads but errno, which is this thread's.
 * Signals are blocked around it: until the child has given up the daemon's
 * handlers, one of them would write to the pipe that it shares with the
 * daemon.  While it has another user than the daemon nobody of that user may
 * look into it: the daemon is not dumpable (daemon_parts.c), and the kernel
 * sees to it at a change of the user anyway.
 */

/* Where groups and users had 16 bits once. */
#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#define SETGID	  SYS_setgid32
#define SETUID	  SYS_setuid32
#else
#define SETGROUPS SYS_setgroups
#define SETGID	  SYS_setgid
#define SETUID	  SYS_setuid
#endif

#define PATH_BYTES 4096
/* Descriptors are moved up here, so that dup2() onto 0 to 3 cannot hit one. */
#define FD_LOW	   16
#define OPEN_FILES 1024
#define USER_BYTES ((size_t)16 * 1024)

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
	int files_max; /* descriptors there may be, where the kernel cannot
			* close a range of them */
};

bool spawn_step_is_exec(int32_t step)
{
	return step == STEP_EXEC;
}

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

static bool is_program(const char *path)
{
	struct stat found;

	if (access(path, X_OK) != 0 || stat(path, &found) != 0)
		return false;
	if (S_ISREG(found.st_mode))
		return true;
	errno = EACCES;
	return false;
}

/* A name with a slash: relative to the child's directory, as for a shell. */
static atom_status check_path(struct plan *plan, struct atom_error *err)
{
	const char *program = plan->request->command[0];
	const char *directory = plan->request->directory;
	char path[2 * PATH_BYTES];
	bool relative = program[0] != '/' && directory != NULL;

	if (snprintf(plan->path, sizeof(plan->path), "%s", program) >=
	    (int)sizeof(plan->path))
		return atom_fail(err, ATOM_EINVAL,
				 "command: a path of %zu bytes is too long",
				 strlen(program));
	(void)snprintf(path, sizeof(path), "%s%s%s", relative ? directory : "",
		       relative ? "/" : "", program);
	if (!is_program(path))
		return atom_fail(err, ATOM_ENOENT,
				 "command: %s cannot be run: %s", path,
				 strerror(errno));
	return ATOM_OK;
}

static atom_status find_program(struct plan *plan, struct atom_error *err)
{
	const char *program = plan->request->command[0];
	const char *path = path_of(plan->request);

	if (strchr(program, '/') != NULL)
		return check_path(plan, err);
	while (*path != '\0') {
		size_t n = strcspn(path, ":");

		/* An empty part would mean the folder one happens to be in. */
		if (n > 0 &&
		    snprintf(plan->path, sizeof(plan->path), "%.*s/%s", (int)n,
			     path, program) < (int)sizeof(plan->path) &&
		    is_program(plan->path))
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
	struct passwd entry, *user = NULL;
	char text[USER_BYTES];
	int why;

	if (name == NULL || name[0] == '\0' || geteuid() != 0)
		return ATOM_OK;
	why = getpwnam_r(name, &entry, text, sizeof(text), &user);
	if (user == NULL && why != 0 && why != ENOENT && why != ESRCH)
		return atom_fail(err, ATOM_EIO, "user: looking up '%s': %s",
				 name, strerror(why));
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
		return atom_fail(err, ATOM_ELIMIT,
				 "user: '%s' is in more than %zu groups", name,
				 sizeof(plan->groups) / sizeof(gid_t));
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

/* Its output, its error too, is what it says by the socket. */
static bool says_all(const struct atom_process_request *request)
{
	const uint32_t both = ATOM_PROCESS_STDIO | ATOM_PROCESS_STDERR;

	return (request->flags & both) == both;
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
	    (!says_all(plan->request) &&
	     !make_pair(&s->outputs[1], &plan->child_outputs[1], false)) ||
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

/* Sandboxes and old kernels have no close_range(). */
static void close_between(const struct plan *plan, int first, int last)
{
	if (close_range((unsigned int)first, (unsigned int)last, 0) == 0)
		return;
	for (int fd = first; fd <= last && fd < plan->files_max; fd++)
		(void)close(fd);
}

static void child_files(const struct plan *plan)
{
	bool stdio = (plan->request->flags & ATOM_PROCESS_STDIO) != 0;
	int keep = plan->child_failure;

	if (dup2(stdio ? plan->child_socket : plan->null, 0) < 0 ||
	    dup2(stdio ? plan->child_socket : plan->child_outputs[0], 1) < 0 ||
	    dup2(says_all(plan->request) ? plan->child_socket
					 : plan->child_outputs[1],
		 2) < 0)
		die(plan, STEP_FILES);
	if (!stdio && dup2(plan->child_socket, 3) < 0)
		die(plan, STEP_FILES);
	close_between(plan, stdio ? 3 : 4, keep - 1);
	close_between(plan, keep + 1, INT_MAX);
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

static int child_run(void *argument)
{
	const struct plan *plan = argument;
	const struct atom_process_request *request = plan->request;
	struct sigaction fallback = { .sa_handler = SIG_DFL };
	/* The kernel's own struct: no handler, no flags, no mask. */
	static const unsigned long unset[8];
	sigset_t none;

	/* A session of its own: a group of its own, which it cannot leave for
	 * the daemon's, and no terminal. */
	(void)setsid();
	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &fallback, NULL);
	/* Two signals are the C library's own, and it does not let go of them;
	 * ignored by whoever started the daemon they would stay ignored. */
	for (int i = 32; i < SIGRTMIN; i++)
		(void)syscall(SYS_rt_sigaction, i, unset, NULL, NSIG / 8);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	child_files(plan);
	if (request->directory != NULL && chdir(request->directory) != 0)
		die(plan, STEP_DIRECTORY);
	(void)umask(077);
	slice_restore();
	child_limits(plan);
	if (plan->switch_user &&
	    (syscall(SETGROUPS, (size_t)plan->group_count, plan->groups) != 0 ||
	     syscall(SETGID, plan->gid) != 0 ||
	     syscall(SETUID, plan->uid) != 0))
		die(plan, STEP_USER);
	/* After setuid, which clears it.  The daemon may have died before. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != plan->parent)
		die(plan, STEP_PARENT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		die(plan, STEP_PRIVILEGES);
	(void)syscall(SYS_execve, plan->path, request->command,
		      request->environment);
	die(plan, STEP_EXEC);
	return 127;
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
	sigset_t all, before;
	atom_status status;
	int why;

	(void)sigfillset(&all);
	plan.files_max = (int)sysconf(_SC_OPEN_MAX);

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
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	s.pid = tree_vfork(child_run, &plan);
	why = errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (s.pid < 0) {
		status = atom_fail(err, ATOM_EIO,
				   "no process can be started: %s",
				   strerror(why));
		goto out;
	}
	s.pidfd = os.pidfd_open(s.pid, 0);
	if (s.pidfd < 0) {
		status = atom_fail(err, ATOM_EIO, "pidfd_open: %s",
				   strerror(errno));
		(void)os.kill(s.pid, SIGKILL);
		(void)waitpid(s.pid, NULL, 0);
		tree_forget(s.pid);
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
