/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UPSTREAM_FIXTURE_H
#define TESTS_UPSTREAM_FIXTURE_H

/*
 * An HTTP server on threads of its own that sends whatever bytes a test wants,
 * so that it can misbehave: one thread a connection, requests one after the
 * other.
 */

#include <stdbool.h>
#include <stddef.h>

#define UPSTREAM_REQUEST_MAX (256 * 1024)

struct upstream;

/* One connection, in the hands of the test's `answer`. */
struct upstream_connection {
	struct upstream *upstream;
	int fd;
	unsigned int number;   /* of the connection, from 1 */
	unsigned int requests; /* on it, this one included */
	char *request;	       /* head and body, NUL-ended */
	size_t length;
	const char *body;
};

struct upstream {
	/* Answers one request; true: the connection goes on. */
	bool (*answer)(struct upstream_connection *connection);
	void *argument;
	int listener;
	int port;
};

void upstream_start(struct upstream *upstream,
		    bool (*answer)(struct upstream_connection *connection));
/* No new connection; those there are end when their peers do. */
void upstream_stop(struct upstream *upstream);

/* Requests and connections so far, and requests being answered. */
unsigned int upstream_requests(void);
unsigned int upstream_connections(void);
unsigned int upstream_answering(void);

/* False when the peer is gone. */
bool upstream_send(struct upstream_connection *connection, const char *text);
bool upstream_send_bytes(struct upstream_connection *connection,
			 const char *bytes, size_t length);
/* A whole answer with Content-Length. */
bool upstream_whole(struct upstream_connection *connection, const char *status,
		    const char *fields, const char *body);
/* One piece of a chunked answer; "" ends it. */
bool upstream_chunk(struct upstream_connection *connection, const char *text);
/* Waits until the peer closes. */
void upstream_wait_closed(struct upstream_connection *connection);
/* RST instead of FIN. */
void upstream_reset(struct upstream_connection *connection);

#endif
