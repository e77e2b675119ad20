/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service manager's side: what it is sent, and what it hands over.
 */
#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/notify.h"
#include "core/os.h"

static int manager = -1;
static char received[1024];

/* Listens where `name` says: "@..." abstract, else a path. */
static void listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(name);

	memcpy(address.sun_path, name, length);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	manager = os.socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	cr_assert_eq(
		os.bind(manager, (struct sockaddr *)&address,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				    length)),
		0);
	cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static const char *next(void)
{
	ssize_t got = os.recv(manager, received, sizeof(received) - 1, 0);

	received[got > 0 ? got : 0] = '\0';
	return received;
}

static int64_t fixed_ns(void)
{
	return 1234567890;
}

static void tell_everything(void)
{
	os.monotonic_ns = fixed_ns;
	notify_ready("serving 2 agents");
	cr_assert_str_eq(next(), "READY=1\nSTATUS=serving 2 agents");
	notify_reloading();
	cr_assert_str_eq(next(), "RELOADING=1\nMONOTONIC_USEC=1234567");
	notify_status("a\nREADY=1");
	cr_assert_str_eq(next(), "STATUS=a READY=1");
	notify_watchdog();
	cr_assert_str_eq(next(), "WATCHDOG=1");
	notify_stopping();
	cr_assert_str_eq(next(), "STOPPING=1");
}

Test(core_notify, a_manager_at_an_abstract_address)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "@atomd-test-notify-%d", getpid());
	listen_at(name);
	tell_everything();
}

Test(core_notify, a_manager_at_a_path)
{
	char folder[] = "/tmp/atomd-test-XXXXXX";
	char name[64];

	cr_assert(mkdtemp(folder));
	(void)snprintf(name, sizeof(name), "%s/notify", folder);
	listen_at(name);
	tell_everything();
	os.unlink(name);
	rmdir(folder);
}

Test(core_notify, no_manager_or_a_broken_one_is_no_error)
{
	static const char *const addresses[] = { "", "@", "relative/path",
						 "/nowhere/at/all" };
	char endless[300];

	unsetenv("NOTIFY_SOCKET");
	notify_ready("x");
	for (size_t i = 0; i < 4; i++) {
		setenv("NOTIFY_SOCKET", addresses[i], 1);
		notify_ready("x");
	}
	memset(endless, '/', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	setenv("NOTIFY_SOCKET", endless, 1);
	notify_stopping();
}

Test(core_notify, the_watchdog_is_fed_at_half_its_time)
{
	char pid[16];

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	cr_assert_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	cr_assert_eq(notify_watchdog_ms(), 15000);
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	cr_assert_eq(notify_watchdog_ms(), 15000);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(notify_watchdog_ms(), 0);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "1000", 1);
	cr_assert_eq(notify_watchdog_ms(), 1);
	setenv("WATCHDOG_USEC", "soon", 1);
	cr_assert_eq(notify_watchdog_ms(), 0);
}

static void pass(const char *pid, const char *count)
{
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", "http", 1);
}

/* Where it went wrong, or 0.  Descriptor 3 is Criterion's own in the test's
 * process. */
static int take_sockets(void)
{
	char pid[16];
	int first = -1;

	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	if (dup2(0, 3) != 3 || (fcntl(3, F_GETFD) & FD_CLOEXEC))
		return 1;
	pass(pid, "1");
	if (notify_listen_fds(&first) != 1 || first != 3)
		return 2;
	if (!(fcntl(3, F_GETFD) & FD_CLOEXEC))
		return 3;
	if (getenv("LISTEN_PID") || getenv("LISTEN_FDS") ||
	    getenv("LISTEN_FDNAMES"))
		return 4;
	return notify_listen_fds(&first) == 0 ? 0 : 5;
}

Test(core_notify, inherited_sockets_are_taken_once)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(take_sockets());
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

Test(core_notify, sockets_for_others_and_nonsense_are_not_taken)
{
	char pid[16];
	int first;

	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	pass("1", "1");
	cr_assert_eq(notify_listen_fds(&first), 0);
	cr_assert_null(getenv("LISTEN_FDS"));
	pass(pid, "-1");
	cr_assert_eq(notify_listen_fds(&first), 0);
	pass(pid, "2000000000");
	cr_assert_eq(notify_listen_fds(&first), 0);
	pass(pid, "two");
	cr_assert_eq(notify_listen_fds(&first), 0);
}
