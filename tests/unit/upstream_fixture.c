/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

static atomic_uint requests, connections, answering;

unsigned int upstream_requests(void)
{
	return atomic_load(&requests);
}

unsigned int upstream_connections(void)
{
	return atomic_load(&connections);
}

unsigned int upstream_answering(void)
{
	return atomic_load(&answering);
}

bool upstream_send_bytes(struct upstream_connection *c, const char *bytes,
			 size_t length)
{
	while (length > 0) {
		ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

bool upstream_send(struct upstream_connection *c, const char *text)
{
	return upstream_send_bytes(c, text, strlen(text));
}

bool upstream_whole(struct upstream_connection *c, const char *status,
		    const char *fields, const char *body)
{
	char head[4096];

	CHECK(snprintf(head, sizeof(head),
		       "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status,
		       fields, strlen(body)) < (int)sizeof(head));
	return upstream_send(c, head) && upstream_send(c, body);
}

bool upstream_chunk(struct upstream_connection *c, const char *text)
{
	char size[32];

	(void)snprintf(size, sizeof(size), "%zx\r\n", strlen(text));
	return upstream_send(c, size) && upstream_send(c, text) &&
	       upstream_send(c, "\r\n");
}

void upstream_wait_closed(struct upstream_connection *c)
{
	char bytes[256];

	while (recv(c->fd, bytes, sizeof(bytes), 0) > 0)
		;
}

void upstream_reset(struct upstream_connection *c)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* Until `length` bytes are there. */
static bool fill(struct upstream_connection *c, size_t length)
{
	while (c->length < length) {
		ssize_t got = recv(c->fd, c->request + c->length,
				   UPSTREAM_REQUEST_MAX - c->length, 0);

		if (got <= 0)
			return false;
		c->length += (size_t)got;
		c->request[c->length] = '\0';
	}
	return true;
}

static bool read_request(struct upstream_connection *c)
{
	const char *end, *field;
	size_t body = 0;

	c->length = 0;
	c->request[0] = '\0';
	while ((end = strstr(c->request, "\r\n\r\n")) == NULL)
		if (!fill(c, c->length + 1))
			return false;
	c->body = end + 4;
	field = strcasestr(c->request, "\r\nContent-Length:");
	if (field != NULL && field < end)
		body = strtoul(field + 17, NULL, 10);
	return fill(c, (size_t)(c->body - c->request) + body);
}

static void *serve(void *argument)
{
	struct upstream_connection *c = argument;
	bool more = true;

	c->request = malloc(UPSTREAM_REQUEST_MAX + 1);
	CHECK(c->request != NULL);
	while (more && read_request(c)) {
		c->requests++;
		atomic_fetch_add(&requests, 1);
		atomic_fetch_add(&answering, 1);
		more = c->upstream->answer(c);
		atomic_fetch_sub(&answering, 1);
	}
	(void)close(c->fd);
	free(c->request);
	free(c);
	return NULL;
}

static void *accept_all(void *argument)
{
	struct upstream *upstream = argument;
	int fd;

	while ((fd = accept(upstream->listener, NULL, NULL)) >= 0) {
		struct upstream_connection *c = calloc(1, sizeof(*c));
		pthread_t thread;

		CHECK(c != NULL);
		c->upstream = upstream;
		c->fd = fd;
		c->number = atomic_fetch_add(&connections, 1) + 1;
		CHECK(pthread_create(&thread, NULL, serve, c) == 0);
		CHECK(pthread_detach(thread) == 0);
	}
	return NULL;
}

void upstream_start(struct upstream *upstream,
		    bool (*answer)(struct upstream_connection *connection))
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	pthread_t thread;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	upstream->answer = answer;
	upstream->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(upstream->listener >= 0);
	CHECK(bind(upstream->listener, (struct sockaddr *)&address,
		   sizeof(address)) == 0);
	CHECK(listen(upstream->listener, 1024) == 0);
	CHECK(getsockname(upstream->listener, (struct sockaddr *)&address,
			  &length) == 0);
	upstream->port = ntohs(address.sin_port);
	CHECK(pthread_create(&thread, NULL, accept_all, upstream) == 0);
	CHECK(pthread_detach(thread) == 0);
}

void upstream_stop(struct upstream *upstream)
{
	(void)shutdown(upstream->listener, SHUT_RDWR);
}
