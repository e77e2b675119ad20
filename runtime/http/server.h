/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

/*
 * The HTTP/1.1 server: listeners, connections, requests and answers.
 *
 * Each serving loop accepts on its own SO_REUSEPORT socket and keeps the
 * connections it accepted; a unix or inherited socket is accepted by one loop
 * and its connections are handed round.  Everything about one request happens
 * on the loop of its connection.
 *
 * Life of a request:
 *
 *	head parsed -> on_head (may refuse before the body is read)
 *	body read   -> on_request
 *	              exactly one answer: http_answer(), or
 *	              http_stream_begin() http_stream_write()* http_stream_end()
 *	connection lost before that -> on_gone: no answer is possible any more
 *	              and http_request_release() is due at once or later
 *	answer ended, or on_gone -> http_request_release()
 *
 * A handler answers at once or keeps the request and answers later.  After
 * the answer's end, or after on_gone, it calls http_request_release() exactly
 * once; until then the pointer is valid.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <atomd/plugin.h>

#include "core/loop.h"

struct http_server;
struct http_request;

/* A time of 0 is no limit (heartbeat_ms: no heartbeats). */
struct http_limits {
	size_t head_max;	  /* 16 KiB */
	unsigned int fields_max;  /* 100 */
	size_t body_max;	  /* 10 MiB */
	int64_t head_timeout_ms;  /* 10,000: the whole head */
	int64_t body_stall_ms;	  /* 10,000: longest silence */
	int64_t body_rate_min;	  /* 240 bytes/s on average, after the time of
				     body_stall_ms */
	int64_t idle_timeout_ms;  /* 75,000: keep-alive */
	int64_t write_stall_ms;	  /* 60,000 without the peer taking a byte */
	int64_t tls_handshake_ms; /* 10,000 */
	int64_t heartbeat_ms;	  /* 15,000 of silence on an event stream */
	size_t stream_high_bytes; /* 256 KiB unsent: http_stream_write says
				      ATOM_EBUSY */
	/* A loop: a connection takes one, a call under way one more, for what
	 * it may open towards its backend.  0 = from RLIMIT_NOFILE. */
	unsigned int descriptors_max;
};
extern const struct http_limits http_limits_default;

/* The handler: one for the whole server. [loop] */
struct http_handler {
	/* May answer already (http_answer), e.g. 401 or 413: then the body is
	 * thrown away and on_request does not come.  Who registers
	 * http_on_gone() here may answer later as well: nobody is asked for
	 * the body, but when it comes first, on_request does, and is to be
	 * ignored.  Who does neither must keep nothing: if the client leaves
	 * before on_request, the request goes without a word.  May be NULL. */
	void (*on_head)(struct http_request *request, void *argument);
	void (*on_request)(struct http_request *request, void *argument);
	void *argument;
};

struct http_listener_spec {
	const char *address;	 /* "127.0.0.1:8080" "[::]:80" "unix:/path" */
	const char *certificate; /* PEM file, "" = no TLS */
	const char *key;
	const char *client_ca;	/* PEM, "" or NULL = no client certificates */
	const char *client_crl; /* PEM, "" or NULL */
	bool client_optional;	/* a client may come without one */
	const char *const *trusted_proxies; /* NULL-ended CIDRs, or NULL */
	/* A PROXY v2 header comes first, and from trusted proxies alone. */
	bool proxy_protocol;
	bool admin;
	const char *admin_group; /* group of a unix socket; "" = none */
	int inherited_fd;	 /* -1 = bind it ourselves */
};

/* [control] Are its files sound, and its other words?  Changes nothing. */
atom_status http_listener_check(const struct http_listener_spec *spec,
				struct atom_error *err);

/* [control] before loops_start().  Ignores SIGPIPE for the process.  After a
 * failure there may still be a server, to be freed like any other. */
atom_status http_server_new(const struct http_limits *limits,
			    const struct http_handler *handler,
			    struct http_server **server_r,
			    struct atom_error *err);
/* [control] Binds at once (a port that is taken is told here), accepts on
 * the loops from http_server_accept() on. */
atom_status http_server_listen(struct http_server *server,
			       const struct http_listener_spec *spec,
			       struct atom_error *err);
/* Is this descriptor's socket bound to that address, as a listener writes it?
 * Is it a unix socket? [any] */
bool http_inherited_is_at(int fd, const char *address);
bool http_inherited_is_unix(int fd);
/* [control] The address bound, with the real port: "127.0.0.1:41234". */
const char *http_server_address(const struct http_server *server, size_t i);
size_t http_server_listener_count(const struct http_server *server);
/* [control] Begin to accept, once the daemon can answer. */
void http_server_accept(struct http_server *server);
/* [control] Close a listener that the configuration no longer names; all of
 * that name.  To change one, close it and listen again at once: a TCP address
 * keeps its sockets then, and no connection is lost. */
void http_server_unlisten(struct http_server *server, const char *address);
/* [control] Read certificates again; the old ones stay on failure, which is
 * told for the first listener that has one, here and by the component `tls`
 * of health.  Handshakes that have begun keep what they began with; client
 * certificates of older connections are held against the new authorities and
 * revocation lists. */
atom_status http_server_reload_tls(struct http_server *server,
				   struct atom_error *err);
/* [control] Graceful stop: accept what already waits, then no more; answers
 * carry `Connection: close`, idle connections close at once.  `drained` runs
 * on control when no connection is left, or `deadline_ms` has passed and the
 * rest was cut. */
void http_server_drain(struct http_server *server, int64_t deadline_ms,
		       void (*drained)(void *argument), void *argument);
/* [control] after the loops have ended. */
void http_server_free(struct http_server **server);
/* Open connections, all loops. [any] */
uint64_t http_server_connections(const struct http_server *server);

/* --- the request --------------------------------------------------------- */

const char *http_method(const struct http_request *request);
/* Path without query, percent-decoded (any bytes but NUL) except for "%2F",
 * NUL-ended; "/" at least. */
const char *http_path(const struct http_request *request);
const char *http_query(const struct http_request *request); /* raw, or "" */
/* A query parameter (of several the first), decoded into `out`; false when
 * absent, too long or escaped wrongly. */
bool http_query_value(const struct http_request *request, const char *name,
		      char *out, size_t out_size);
/* Is it there, readable or not? */
bool http_query_has(const struct http_request *request, const char *name);
/* A header field's value (NUL-ended, trimmed; of several the first), or NULL. */
const char *http_field(const struct http_request *request, const char *name);
const char *http_body(const struct http_request *request, size_t *length_r);
/* Moves the body out (mem_free): the call keeps it. */
char *http_body_take(struct http_request *request, size_t *length_r);
/* Once the handler needs neither path, query, fields nor body any more: gives
 * back their memory (3 KiB and more), which a long stream does not need.
 * They read as empty from now on; all else stays.  From on_request on. */
void http_request_forget(struct http_request *request);
struct loop *http_loop(const struct http_request *request);
int64_t http_began_ns(const struct http_request *request); /* first byte */
/* The caller's address: the socket's, or X-Forwarded-For's rightmost
 * untrusted one when the peer is a trusted proxy.  "unix" for unix peers. */
const char *http_client_address(const struct http_request *request);
bool http_is_tls(const struct http_request *request);
bool http_is_loopback(const struct http_request *request); /* or unix */
bool http_is_admin_listener(const struct http_request *request);

struct http_peer {
	bool known; /* a unix peer whose credentials were read */
	pid_t pid;
	uid_t uid;
	gid_t gid;
	int pidfd;	 /* -1 when there is none; owned by the connection */
	int pidfd_error; /* then: the errno that says why */
};
const struct http_peer *http_peer(const struct http_request *request);

/* The certificate that the client has shown and TLS has verified: its names.
 * What names say is for the caller to judge. */
enum http_name_kind {
	HTTP_NAME_SUBJECT, /* RFC 4514: "CN=ops,O=Example" */
	HTTP_NAME_URI,	   /* of the alternative names */
	HTTP_NAME_DNS,	   /* in small letters */
	HTTP_NAME_EMAIL
};
struct http_certificate_name {
	enum http_name_kind kind;
	const char *text;
};
struct http_certificate {
	size_t count;
	const struct http_certificate_name *names;
};
/* NULL: none was shown, or it is no longer good (expired, or refused by the
 * files of now).  [loop] Within the iteration. */
const struct http_certificate *http_client_certificate(
	const struct http_request *request);

/* 26-character id given to the request at its head: "req_...". */
const char *http_request_id(const struct http_request *request);
void http_set_user(struct http_request *request, void *user);
void *http_user(const struct http_request *request);
/* Called when the client leaves before the answer has ended (also when it only
 * closes its sending half, as nginx sees it), or when the server itself has
 * had to refuse the rest of the body.  Never from within a call into the
 * server. */
void http_on_gone(struct http_request *request,
		  void (*gone)(struct http_request *request));

/* --- the answer ----------------------------------------------------------- */

/* Adds a field to the answer's head; before answer/begin.  Value without CR
 * or LF (ATOM_EINVAL), 8 KiB altogether (ATOM_ELIMIT).  x-request-id, date, content-length, connection are the
 * server's. */
atom_status http_add_field(struct http_request *request, const char *name,
			   const char *value);
/* This answer is the connection's last one; before answer/begin. */
void http_close_after(struct http_request *request);
/* The whole answer in one write.  The body is copied.  HEAD sends none. */
void http_answer(struct http_request *request, int status,
		 const char *content_type, const void *body, size_t length);
/* A chunked answer begins; nothing is written yet, so that head and first
 * bytes leave together (at the latest when the loop's iteration ends).
 * content_type "text/event-stream" switches heartbeats on. */
void http_stream_begin(struct http_request *request, int status,
		       const char *content_type);
/* Takes all; ATOM_EBUSY when more than the high mark is unsent: taken, wait
 * for on_drain; ATOM_ECANCELED: the client has gone. */
atom_status http_stream_write(struct http_request *request, const void *bytes,
			      size_t length);
void http_on_drain(struct http_request *request,
		   void (*drain)(struct http_request *request));
/* Ends it.  `complete` false: the connection is cut without the last chunk,
 * so that nobody takes it for whole. */
void http_stream_end(struct http_request *request, bool complete);
bool http_answered(const struct http_request *request);
/* See above: exactly once, the request is gone after it. */
void http_request_release(struct http_request *request);

#endif
