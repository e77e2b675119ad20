/* SPDX-License-Identifier: Apache-2.0 */
#include "ways_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "core/loop.h"
#include "core/os.h"
#include "tap.h"

#define FD_MAX 4096

struct way ways[WAYS_MAX + 1];
char ways_tried[512];
atomic_bool ways_are_real;
atomic_int ways_open;
atomic_int ways_socket_failures;
atomic_long ways_clock_jump_s;

static struct os real;
static int ports[END_NOWHERE]; /* by the end that they are */
static atomic_bool is_open[FD_MAX];

/* --- the machine ------------------------------------------------------------- */

static bool on_a_loop(void)
{
	return loop_current() != NULL && !loop_is_control();
}

static int counted_socket(int domain, int type, int protocol)
{
	int fd;

	if (!on_a_loop())
		return real.socket(domain, type, protocol);
	if (ways_socket_failures > 0) {
		ways_socket_failures--;
		errno = EMFILE;
		return -1;
	}
	fd = real.socket(ways_are_real ? domain : AF_INET, type, protocol);
	if (fd >= 0) {
		CHECK(fd < FD_MAX);
		is_open[fd] = true;
		ways_open++;
	}
	return fd;
}

static int counted_close(int fd)
{
	if (fd >= 0 && fd < FD_MAX && atomic_exchange(&is_open[fd], false))
		ways_open--;
	return real.close(fd);
}

static void note_tried(const struct sockaddr *address, char *text, size_t size)
{
	const struct sockaddr_in6 *v6 = (const void *)address;
	const struct sockaddr_in *v4 = (const void *)address;
	size_t length = strlen(ways_tried);

	CHECK(inet_ntop(address->sa_family,
			address->sa_family == AF_INET
				? (const void *)&v4->sin_addr
				: (const void *)&v6->sin6_addr,
			text, (socklen_t)size) != NULL);
	(void)snprintf(ways_tried + length, sizeof(ways_tried) - length, "%s ",
		       text);
}

static int led_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sockaddr_in end = { .sin_family = AF_INET };
	char text[INET6_ADDRSTRLEN];
	const struct way *way = ways;

	if (ways_are_real)
		return real.connect(fd, address, length);
	note_tried(address, text, sizeof(text));
	while (way->end != END_NONE && strcmp(way->address, text) != 0)
		way++;
	CHECK(way->end != END_NONE);
	if (way->end == END_NOWHERE) {
		errno = ENETUNREACH;
		return -1;
	}
	end.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	end.sin_port = htons((uint16_t)ports[way->end]);
	return real.connect(fd, (struct sockaddr *)&end, sizeof(end));
}

/* In place of libc's, for libuv: every name has the addresses of `ways`. */
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int getaddrinfo(
	const char *host, const char *service, const struct addrinfo *hints,
	struct addrinfo **found_r)
{
	(void)host;
	(void)service;
	(void)hints;
	for (const struct way *way = ways; way->end != END_NONE; way++) {
		struct {
			struct addrinfo info;
			struct sockaddr_in6 address;
		} *found = calloc(1, sizeof(*found));
		struct sockaddr_in *v4;

		CHECK(found != NULL);
		v4 = (struct sockaddr_in *)(void *)&found->address;
		if (inet_pton(AF_INET, way->address, &v4->sin_addr) == 1)
			v4->sin_family = AF_INET;
		else if (inet_pton(AF_INET6, way->address,
				   &found->address.sin6_addr) == 1)
			found->address.sin6_family = AF_INET6;
		found->info.ai_family = found->address.sin6_family;
		found->info.ai_addr = (struct sockaddr *)&found->address;
		*found_r = &found->info;
		found_r = &found->info.ai_next;
	}
	*found_r = NULL;
	return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *found)
{
	while (found != NULL) {
		struct addrinfo *next = found->ai_next;

		free(found);
		found = next;
	}
}

/* As if the time had passed, for the loops. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock,
							 struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
		now->tv_sec += ways_clock_jump_s;
	return result;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

void ways_lead(size_t place, const char *address, enum end end)
{
	ways[place] = (struct way){ address, end };
	ways[place + 1] = (struct way){ NULL, END_NONE };
}

/* --- listeners ------------------------------------------------------------------ */

int ways_fill_listener(int fd, int *others)
{
	struct sockaddr_in6 address = { .sin6_family = AF_UNSPEC };
	socklen_t length = sizeof(address);

	if (listen(fd, 0) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		return -1;
	for (int i = 0; i < WAYS_DEAF; i++) {
		others[i] = socket(address.sin6_family,
				   SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(others[i], (struct sockaddr *)&address, length);
	}
	return ntohs(address.sin6_port);
}

void ways_begin(int live_port)
{
	static int others[WAYS_DEAF];
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int deaf = socket(AF_INET, SOCK_STREAM, 0);
	int closed = socket(AF_INET, SOCK_STREAM, 0);

	ports[END_LIVE] = live_port;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(deaf, (struct sockaddr *)&address, length) == 0);
	CHECK(bind(closed, (struct sockaddr *)&address, length) == 0);
	CHECK(getsockname(closed, (struct sockaddr *)&address, &length) == 0);
	ports[END_REFUSES] = ntohs(address.sin_port);
	ports[END_DEAF] = ways_fill_listener(deaf, others);
	CHECK(ports[END_DEAF] > 0);
	real = os;
	os.socket = counted_socket;
	os.close = counted_close;
	os.connect = led_connect;
}
