/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CLIENT_LEAN_H
#define HTTP_CLIENT_LEAN_H

/*
 * The lean transport: HTTP/1.1 to plain http:// servers, beside libcurl.  A
 * call to a model server within the same house is one write and a few reads;
 * libcurl takes longer over its own bookkeeping than over these.
 *
 * A transfer goes lean when it needs nothing that only libcurl does: TLS, a
 * proxy, a URL beyond `http://HOST[:PORT][/PATH][?QUERY]`, a field that
 * changes how a message is framed.  The plugin cannot tell which of the two
 * carries it.
 *
 *	start -> RESOLVING -> CONNECTING -> SENT -> BEGUN -> end
 *	    \________________________________/ a kept connection is there
 *
 * What is sent has been sent once: as soon as the kernel has taken a byte of
 * a request, whatever befalls its connection is its end.
 *
 * A waiting transfer is one block of memory with its request's head in it,
 * and a connection; the loop's one buffer is read into.  Only what arrives in
 * an awkward way (a head in pieces, bytes for a paused plugin) is copied.
 *
 * [loop] everywhere, one loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <atomd/host.h>

#include "core/loop.h"
#include "http/parse.h"

struct http_client;
struct atom_http_transfer;

#define LEAN_READ_BYTES	   ((size_t)32 * 1024)
#define LEAN_BUCKETS	   64
#define LEAN_ATTEMPTS_TEXT 340 /* leaves a message room for the rest */

/* A socket; freed when libuv has let go of it. */
struct lean_connection {
	uv_poll_t poll;
	struct http_client *client;
	struct atom_http_transfer *transfer; /* NULL: kept for the next */
	/* "host:port", as its hash under the process' secret key: no two can be
	 * made to share one. */
	uint64_t name;
	int64_t kept_ms; /* since when */
	int fd;
	int events; /* what the poll waits for */
	/* While kept: those of one bucket, the latest first, and all by
	 * age. */
	struct lean_connection *next, *previous;
	struct lean_connection *older, *newer;
};

/* Of a loop: its kept connections, and what its transfers share. */
struct lean_pool {
	struct lean_connection *buckets[LEAN_BUCKETS];
	struct lean_connection *oldest, *newest;
	size_t count;
	unsigned int beside; /* attempts beyond one of each transfer */
	struct timer expiry;
	/* Those that have something to be told outside of their owner's
	 * calls; the timer is always pending, may be far off. */
	struct atom_http_transfer *later;
	struct timer later_timer;
	char *bytes; /* LEAN_READ_BYTES */
	struct http_head head;
};

/* A head that came in pieces. */
struct lean_partial {
	struct http_head head;
	size_t length, capacity;
	char *bytes;
};

/* To connect to one of the host's addresses. */
struct lean_attempt {
	const char *address;		    /* "192.0.2.1", "[2001:db8::1]" */
	struct lean_connection *connection; /* while it is under way */
	int code;			    /* the errno that it failed with */
};

/* In the order in which they are begun; their text is behind them. */
struct lean_attempts {
	unsigned int count, begun, open;
	int64_t turn_ms; /* when the next begins; INT64_MAX: none is left */
	struct lean_attempt each[];
};

/* The lean half of a transfer. */
struct lean {
	struct lean_connection *connection; /* once it is made */
	struct lean_attempts *attempts;	    /* until then */
	uint64_t name;
	bool used;	 /* the connection has carried an answer before */
	bool write_lost; /* the server takes no more of the request */
	bool keep_alive; /* the answer allows another on its connection */
	uint8_t method;	 /* enum http_method, as far as framing goes */
	uint8_t framing; /* enum http_framing */
	bool again;	 /* to be launched anew, later */
	int failure;	 /* errno, to be told later */

	/* The request's head, behind the transfer's struct. */
	char *request;
	size_t request_length, request_room, request_sent;

	/* The answer's, from `head` to `end`: where the request's was, or in
	 * memory of its own. */
	char *head, *head_memory;
	size_t head_length;
	struct lean_partial *partial;

	/* What came while the plugin had paused. */
	char *held;
	size_t held_length;

	uint64_t left; /* of a body with a length */
	struct http_chunked chunked;
};

/* --- client_lean_request.c: which requests, and as bytes ------------------ */

/* A URL that needs no libcurl, in pieces of its text. */
struct lean_url {
	struct http_text host; /* with the brackets of IPv6 */
	struct http_text path; /* may be empty or begin with "?" */
	unsigned int port;
};

/* False: it is libcurl's. */
bool lean_can(const struct atom_http_request *request, struct lean_url *url);
/* A checked request as a transfer; NULL without memory. */
struct atom_http_transfer *lean_new(struct http_client *client,
				    const struct atom_http_request *request,
				    const struct lean_url *url);

/* --- client_lean.c: life of a transfer ------------------------------------- */

atom_status lean_init(struct http_client *client);
void lean_fini(struct http_client *client);
/* The loop ends: kept connections are closed, none is kept any more. */
void lean_stop(struct http_client *client);

/* Sends it at once if a connection is kept for it. */
bool lean_launch_kept(struct atom_http_transfer *transfer);
/* Connects to one of `addresses`; NULL: the host is one, or localhost.
 * ATOM_ENOMEM; whatever else fails is told later. */
atom_status lean_launch(struct atom_http_transfer *transfer,
			const char *addresses, struct atom_error *err);
/* Connected: the request goes out.  Called again when there is room. */
void lean_write(struct atom_http_transfer *transfer);
/* It ends; its connection is kept if it may be, else closed. */
void lean_leave(struct atom_http_transfer *transfer, bool keep);
void lean_free(struct atom_http_transfer *transfer);
/* From the loop, and not from inside a call of the transfer's owner: its end,
 * for `code` (an errno), or what was held back. */
void lean_fail_later(struct atom_http_transfer *transfer, int code);
void lean_resume(struct atom_http_transfer *transfer);
void lean_forget_later(struct atom_http_transfer *transfer);
/* Ends it for a failure of its connection. */
void lean_fail(struct atom_http_transfer *transfer, int code);
/* Waits for what it has to wait for. */
void lean_watch(struct atom_http_transfer *transfer);

/* --- client_lean_connect.c -------------------------------------------------- */

/* Begins with the first of "192.0.2.1,[2001:db8::1]".  False without memory;
 * that none can be begun is told later. */
bool lean_connect(struct atom_http_transfer *transfer, const char *addresses);
/* Begins the next beside those under way. */
void lean_take_turn(struct atom_http_transfer *transfer);
/* The poll of an attempt's socket has fired. */
void lean_connected(struct lean_connection *connection);
/* Closes those under way; what has become of each stays to be told. */
void lean_give_up_attempts(struct atom_http_transfer *transfer);
void lean_forget_attempts(struct atom_http_transfer *transfer);
/* "[2001:db8::1]: connection timed out, 192.0.2.1: connection refused".
 * False: it does not connect, or the host is the address. */
bool lean_tell_attempts(const struct atom_http_transfer *transfer, char *out,
			size_t size);

/* --- client_lean_pool.c ------------------------------------------------------ */

/* One that is open and has nothing to say, or NULL. */
struct lean_connection *lean_pool_take(struct http_client *client,
				       uint64_t name);
void lean_pool_keep(struct lean_connection *connection, uint64_t name);
void lean_pool_drop(struct lean_connection *connection); /* and closes it */
void lean_pool_clear(struct http_client *client);

/* Owns `fd` from success on.  NULL without memory. */
struct lean_connection *lean_connection_new(struct http_client *client, int fd);
void lean_connection_close(struct lean_connection *connection);
void lean_connection_watch(struct lean_connection *connection, int events);

/* --- client_lean_read.c: the answer ------------------------------------------ */

/* The socket has something. */
void lean_readable(struct atom_http_transfer *transfer);
/* Bytes of the answer; the transfer may have ended after it. */
void lean_take(struct atom_http_transfer *transfer, const char *bytes,
	       size_t length);
void lean_partial_free(struct atom_http_transfer *transfer);
/* Value of a field of the answer's head, or NULL. */
const char *lean_header(struct atom_http_transfer *transfer, const char *name);

#endif
