/* SPDX-License-Identifier: Apache-2.0 */
#include "core/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

#define FIRST_LISTEN_FD 3 /* SD_LISTEN_FDS_START */
#define STATUS_MAX	480

/* The manager's address; 0 when there is none. */
static socklen_t manager(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	if (length < 2 || length > sizeof(address->sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return 0;
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(address->sun_path, path, length);
	/* '@' stands for the NUL of an abstract address, whose length counts:
	 * unix(7). */
	if (path[0] == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void notify(const char *text)
{
	struct sockaddr_un address;
	socklen_t length = manager(&address);
	struct iovec part = { (char *)(uintptr_t)text, strlen(text) };
	struct msghdr message = {
		.msg_name = &address,
		.msg_namelen = length,
		.msg_iov = &part,
		.msg_iovlen = 1,
	};

	if (length == 0)
		return;

	int fd = os.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	/* A manager that does not listen is no reason to wait or to fail. */
	(void)os.sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	os.close(fd);
}

/* `first` line, then the status, on one line whatever is in it. */
static void notify_with_status(const char *first, const char *status)
{
	char text[STATUS_MAX + 64];

	(void)snprintf(text, sizeof(text), "%sSTATUS=%.*s", first, STATUS_MAX,
		       status ? status : "");
	for (char *at = text + strlen(first); *at; at++)
		if (*at == '\n' || *at == '\r')
			*at = ' ';
	notify(text);
}

void notify_ready(const char *status)
{
	notify_with_status("READY=1\n", status);
}

void notify_reloading(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text),
		       "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		       os.monotonic_ns() / 1000);
	notify(text);
}

void notify_stopping(void)
{
	notify("STOPPING=1");
}

void notify_status(const char *status)
{
	notify_with_status("", status);
}

void notify_watchdog(void)
{
	notify("WATCHDOG=1");
}

/* Is the number in this variable our process id, or the variable unset? */
static bool is_for_us(const char *name, bool when_unset)
{
	const char *text = getenv(name);
	int64_t pid;

	if (!text)
		return when_unset;
	return text_to_int(text, &pid) && pid == (int64_t)getpid();
}

int64_t notify_watchdog_ms(void)
{
	const char *text = getenv("WATCHDOG_USEC");
	int64_t usec;

	if (!text || !is_for_us("WATCHDOG_PID", true) ||
	    !text_to_int(text, &usec) || usec <= 0)
		return 0;
	return usec / 2000 > 0 ? usec / 2000 : 1;
}

unsigned int notify_listen_fds(int *first_fd_r)
{
	static const char *const names[] = { "LISTEN_PID", "LISTEN_FDS",
					     "LISTEN_FDNAMES" };
	const char *text = getenv("LISTEN_FDS");
	int64_t count = 0;

	/* At most as many as there can be listeners: a typo in a unit must not
	 * have us walk two thousand million descriptors. */
	if (!text || !is_for_us("LISTEN_PID", false) ||
	    !text_to_int(text, &count) || count < 0 || count > 1024)
		count = 0;
	for (int fd = FIRST_LISTEN_FD; fd < FIRST_LISTEN_FD + (int)count; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unsetenv(names[i]);
	*first_fd_r = FIRST_LISTEN_FD;
	return (unsigned int)count;
}
