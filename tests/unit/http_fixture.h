/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_HTTP_FIXTURE_H
#define TESTS_UNIT_HTTP_FIXTURE_H

/*
 * A real server on real loops, and a client that speaks bytes.  The control
 * loop has a thread of its own; the test is the client, with blocking sockets
 * that give up after ten seconds.
 *
 * Paths that the handler knows:
 *
 *	/echo		the body back, x-method and x-path beside it
 *	/later		the same, from a timer
 *	/who		client address, pid, admin, tls, as JSON
 *	/certificate	names of the client's certificate, "(dn:CN=a)...end"
 *	/query?name=N	the decoded value of the parameter named N
 *	/hold		never answers; counts itself gone when the client is
 *	/early		401 from on_head
 *	/ponder		seen by on_head, which would answer later and never does
 *	/fields		fields added, some of them refused
 *	/stream?n=N&size=S	N events of S bytes, then the end
 *	/cut?n=N	the same, but broken off
 *	/quiet		an event stream that says one event and then nothing
 *	/half		one that says half an event and then nothing
 *	/flood		writes whenever it may, for ever
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "http/server.h"
#include "tap.h"

#define ANSWER_HEAD_MAX 16384

struct answer {
	int status;
	char head[ANSWER_HEAD_MAX];
	char *body; /* NUL-ended; answer_free() */
	size_t length;
	bool chunked;
	bool whole; /* false: it ended before its time */
};

/* Counted by the handler. */
extern _Atomic unsigned int fixture_gone;
extern _Atomic unsigned int fixture_held;
extern _Atomic unsigned int fixture_busy;    /* ATOM_EBUSY seen */
extern _Atomic unsigned int fixture_drained; /* on_drain called */
extern _Atomic unsigned int fixture_loops;   /* bit n: loop n was used */
extern struct http_server *fixture_server;

/* Wait until the counter is at least n; bails out after ten seconds. */
void fixture_wait(_Atomic unsigned int *counter, unsigned int n);

/* Wait until so many connections are open, likewise. */
void fixture_wait_connections(unsigned int n);

/* One listener on 127.0.0.1, or as the spec says. */
void fixture_start(unsigned int loops, const struct http_limits *limits,
		   const struct http_listener_spec *spec);
/* Drain with this deadline, end the loops; *true* when all was drained. */
void fixture_stop(int64_t deadline_ms);
/* Begin a drain only; fixture_stop() follows. */
void fixture_drain(int64_t deadline_ms);
/* Run something on the control thread and wait for it. */
void fixture_on_control(void (*run)(void *argument), void *argument);
const char *fixture_address(void);

/* --- the client ------------------------------------------------------------ */

/* "127.0.0.1:80" or "unix:PATH"; -1 when it is refused. */
int client_try(const char *address);
int client_connect(void); /* to the fixture */
void client_send(int fd, const void *bytes, size_t length);
void client_text(int fd, const char *text);
/* A whole answer; `head_only` for answers to HEAD. */
void client_answer(int fd, struct answer *answer, bool head_only);
void answer_free(struct answer *answer);
/* A field of the answer's head, or NULL; valid until the next call. */
const char *answer_field(const struct answer *answer, const char *name);
/* The peer has closed, and nothing came before that. */
bool client_at_end(int fd);
/* Send, read one answer, check its status, close. */
void client_expect(const char *text, int status, struct answer *answer);
/* Reads until `text` has been seen, or the end: false. */
bool client_until(int fd, const char *text);

#endif
