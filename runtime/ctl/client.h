/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP call to the daemon at a time.
 *
 * A client holds the endpoints to try, in order, until one takes a connection;
 * it then stays with that one. Nothing is sent twice: the next endpoint is
 * tried only when a connection could not be made. GET calls may reuse a
 * connection; all others get a fresh one, because libcurl 7.88 sends a POST
 * again when a reused connection dies.
 *
 * Not for several threads.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "endpoint.h"
#include "terminal.h"
#include "text.h"

#define CLIENT_BODY_MAX	  (64u << 20)
#define CLIENT_ERROR_MAX  (256u << 10)
#define CLIENT_HEADER_MAX 256

struct client;

enum client_result {
	CLIENT_ANSWERED,    /* a whole answer; its status may be an error's */
	CLIENT_UNREACHABLE, /* no endpoint took the connection */
	CLIENT_CUT,	    /* the connection or the time ended in between */
	CLIENT_STOPPED,	    /* `on_bytes` said stop */
	CLIENT_INTERRUPTED, /* a wake descriptor became readable */
};

/* Gets the body of a 2xx answer as it comes; false ends the call. */
typedef bool client_bytes(void *closure, const char *bytes, size_t length);

struct client_request {
	const char *method;	/* GET POST DELETE */
	const char *path;	/* begins with a slash, escaped, query behind */
	const char *json;	/* body, or NULL */
	const char *accept;	/* media type */
	const char *progress;	/* words of the progress line, or NULL */
	unsigned timeout_ms;	/* of the whole call; 0: for ever */
	client_bytes *on_bytes; /* NULL: the body goes into the answer */
	void *closure;
};

struct client_answer {
	long status;
	char content_type[CLIENT_HEADER_MAX]; /* without parameters */
	char request_id[CLIENT_HEADER_MAX];
	long retry_after_s; /* -1: not said */
	struct text body;
	/* Why the result is not CLIENT_ANSWERED, as a sentence without a
	 * full stop; for CLIENT_UNREACHABLE a line for each endpoint. */
	struct text reason;
};

/* Takes copies. `key` NULL or empty: none. NULL: no memory. */
struct client *client_new(const struct endpoint *endpoints, size_t count,
			  const char *key, struct terminal *terminal);
void client_free(struct client **client);

/* Descriptors whose readability ends a call early; -1 for none. */
void client_set_wakes(struct client *client, int first, int second);

/* Makes the call. `answer` is filled whatever the result; the caller ends it
 * with client_answer_fini. */
enum client_result client_send(struct client *client,
			       const struct client_request *request,
			       struct client_answer *answer);
void client_answer_fini(struct client_answer *answer);

/* The endpoint that answered last, or the first to be tried. */
const char *client_endpoint(const struct client *client);

/* Whether `key` can stand in a header: printable ASCII, no space. */
bool client_key_is_valid(const char *key);

#endif
