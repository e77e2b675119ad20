/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"

/*
 * From addresses to a connection: one after the other, each with its share of
 * what is left of the time.
 */

#define KEEPALIVE_S 60 /* as libcurl has it */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "192.0.2.1" or "[2001:db8::1]"; 0 when it is neither. */
static socklen_t read_address(const char *text, size_t length, uint16_t port,
			      union address *out)
{
	char address[INET6_ADDRSTRLEN + 2];

	if (length >= sizeof(address))
		return 0;
	memcpy(address, text, length);
	address[length] = '\0';
	memset(out, 0, sizeof(*out));
	if (address[0] != '[') {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		return inet_pton(AF_INET, address, &out->in.sin_addr) == 1
			       ? sizeof(out->in)
			       : 0;
	}
	address[strcspn(address, "]")] = '\0';
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons(port);
	return inet_pton(AF_INET6, address + 1, &out->in6.sin6_addr) == 1
		       ? sizeof(out->in6)
		       : 0;
}

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_S },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		(void)setsockopt(fd, options[i].level, options[i].name,
				 &options[i].value, sizeof(options[i].value));
}

/* 0 when it is under way, else an errno. */
static int begin(struct atom_http_transfer *t, const union address *address,
		 socklen_t length)
{
	int fd = os.socket(address->any.sa_family,
			   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct lean_connection *c;
	int code;

	if (fd < 0)
		return errno;
	set_options(fd);
	if (connect(fd, &address->any, length) != 0 && errno != EINPROGRESS &&
	    errno != EINTR) {
		code = errno;
		os.close(fd);
		return code;
	}
	c = lean_connection_new(t->client, fd);
	if (c == NULL) {
		os.close(fd);
		return ENOMEM;
	}
	c->transfer = t;
	t->lean.connection = c;
	t->lean.connecting = true;
	lean_connection_watch(c, UV_WRITABLE);
	return 0;
}

/* While others wait, this one has its share of the time; `transfer_arm()` sees
 * to it. */
static void set_turn(struct atom_http_transfer *t)
{
	int64_t now = loop_now_ms(t->client->loop);
	int64_t left = t->began_ms + t->connect_ms - now;
	int64_t share = 1;

	t->lean.turn_ms = 0;
	if (*t->lean.untried == '\0')
		return;
	for (const char *at = t->lean.untried; at != NULL; share++) {
		at = strchr(at, ',');
		at = at != NULL ? at + 1 : NULL;
	}
	t->lean.turn_ms = now + (left > 0 ? left / share : 0);
	(void)transfer_arm(t);
}

int lean_connect_next(struct atom_http_transfer *t, int code)
{
	uint16_t port = 0;

	if (t->lean.connection != NULL)
		lean_connection_close(TAKE(t->lean.connection));
	t->lean.connecting = false;
	for (const char *at = t->peer_port; *at != '\0'; at++)
		port = (uint16_t)(port * 10 + (*at - '0'));
	while (*t->lean.untried != '\0') {
		const char *text = t->lean.untried;
		size_t length = strcspn(text, ",");
		union address address;
		socklen_t size = read_address(text, length, port, &address);

		t->lean.untried += length + (text[length] == ',');
		code = size > 0 ? begin(t, &address, size) : EADDRNOTAVAIL;
		if (code == 0) {
			set_turn(t);
			return 0;
		}
	}
	t->lean.turn_ms = 0;
	return code;
}

void lean_take_turn(struct atom_http_transfer *t)
{
	int code = lean_connect_next(t, ETIMEDOUT);

	if (code != 0)
		lean_fail_later(t, code);
}

void lean_connected(struct atom_http_transfer *t)
{
	socklen_t size = sizeof(int);
	int code = 0;

	if (getsockopt(t->lean.connection->fd, SOL_SOCKET, SO_ERROR, &code,
		       &size) != 0)
		code = errno;
	if (code != 0) {
		code = lean_connect_next(t, code);
		if (code != 0)
			lean_fail_later(t, code);
		return;
	}
	mem_free(TAKE(t->lean.addresses));
	t->lean.untried = "";
	t->lean.turn_ms = 0;
	t->lean.connecting = false;
	lean_write(t);
}
