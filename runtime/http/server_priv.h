/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_SERVER_PRIV_H
#define HTTP_SERVER_PRIV_H

/*
 * The server's own room: what its files share, and nobody else includes.
 *
 *	server ─┬─ listener ── socket (one a loop: descriptor, poll, TLS)
 *	        └─ http_loop (one a loop) ── connection ── request
 *
 * Everything below http_loop is touched by its loop's thread alone.
 */

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/id.h"
#include "core/metric.h"
#include "http/parse.h"
#include "http/proxy.h"
#include "http/server.h"
#include "http/tls_priv.h"

#define HTTP_ADDRESS_MAX   (sizeof(((struct sockaddr_un *)NULL)->sun_path) + 8)
#define HTTP_INLINE_BYTES  2048 /* of a request: a usual head and body */
#define HTTP_FIELDS_INLINE 320	/* of an answer's added fields */
#define HTTP_FIELDS_BYTES  8192 /* at most */
#define HTTP_OUTPUT_BYTES  4096 /* a pooled output buffer */
#define HTTP_OUTPUT_SPARE  (16 * 1024 * 1024) /* above the high mark */
#define HTTP_SCRATCH_BYTES 16384
#define HTTP_POOL_MAX	   256	/* idle objects kept of each sort */
#define HTTP_REFUSED_MAX   64	/* descriptors of those being told 503 */
#define HTTP_ADMIN_MAX	   32	/* more, of operators alone */
#define HTTP_OTHERS_MAX	   2048 /* descriptors of all but connections */
#define HTTP_PATIENCE_MS   1000 /* with a head, where places are short */
#define HTTP_GRACE_MS	   1000
#define HTTP_TLS_TIMER_MS  3600000  /* certificates' ends are looked at */
#define HTTP_TICKETS_MS	   43200000 /* the keys of tickets are made new */
#define HTTP_LINGER_MS	   5000	    /* of silence; nginx's default */
#define HTTP_LINGER_MAX_MS 30000    /* altogether; nginx's default */
#define HTTP_LINGER_BYTES  (16 * 1024 * 1024) /* thrown away at most */

struct http_loop;
struct http_listener;

/* --- where a connection waits, and for how long -------------------------- */

/*
 * Each phase has one timeout, so that a queue in order of entry is in order
 * of deadline too: entering is O(1) and only the head is ever looked at.
 */
enum http_phase {
	PHASE_HANDSHAKE,
	PHASE_HEAD,
	PHASE_BODY,
	PHASE_IDLE,
	PHASE_CALL, /* the handler has it; no deadline of ours */
	PHASE_WRITE,
	PHASE_HEARTBEAT,
	PHASE_LINGER,
	PHASE_GRACE, /* new when the drain began: its request may be under way */
	PHASE_COUNT,
};

struct http_queue {
	struct http_connection *first, *last;
	int64_t timeout_ms; /* 0: none */
	struct timer timer;
	struct http_loop *owner;
};

/* --- counters ------------------------------------------------------------- */

enum http_refusal {
	REFUSED_BAD_REQUEST,
	REFUSED_TOO_LARGE, /* head, target, body */
	REFUSED_NOT_IMPLEMENTED,
	REFUSED_TIMEOUT,
	REFUSED_CONNECTIONS,
	REFUSED_DESCRIPTORS,
	REFUSED_PROXY, /* no sound PROXY header, or from whom none is taken */
	REFUSED_COUNT,
};

struct http_metrics {
	metric_id accepted;
	metric_id requests;
	metric_id received_bytes;
	metric_id sent_bytes;
	metric_id handshake_failures;
	metric_id gone; /* clients that left before their answer's end */
	metric_id refused[REFUSED_COUNT];
	metric_id timeouts[PHASE_COUNT];
};
extern struct http_metrics http_metrics;
atom_status http_metrics_init(struct atom_error *err);

/* --- server, loops --------------------------------------------------------- */

struct http_server {
	struct http_limits limits;
	struct http_handler handler;
	struct http_loop *loops;
	unsigned int loop_count;
	struct http_listener *listeners; /* [control] also retired ones */
	bool accepting;
	bool draining;
	bool drain_posted;
	bool cut_posted;
	unsigned int loops_drained; /* [control] */
	struct timer drain_timer;
	struct timer tls_timer;
	int64_t tickets_made_ms;
	bool tls_reload_failed;
	struct atom_error tls_reload_error;
	bool tls_told; /* health knows of it */
	void (*drained)(void *argument);
	void *drained_argument;
};

struct http_loop {
	struct http_server *server;
	struct loop *loop;
	struct http_queue queues[PHASE_COUNT];
	struct http_socket *sockets;	     /* that this loop accepts on */
	struct http_connection *flush_first; /* to be written before the poll */
	unsigned int connections;
	unsigned int calls; /* of those, in CONNECTION_CALL */
	unsigned int descriptors_max;
	_Atomic unsigned int connections_shown;
	bool draining;
	bool stopped;
	bool drained_told;
	int spare_fd; /* given up to tell a peer that there are none left */
	int64_t pause_told_ms; /* that there is not even that one; 0: never */
	struct http_connection *free_connections;
	struct http_request *free_requests;
	struct http_message *free_messages;
	void *free_outputs;
	unsigned int free_connection_count;
	unsigned int free_request_count;
	unsigned int free_message_count;
	unsigned int free_output_count;
	int64_t date_until_ms;
	int64_t refusals_logged_ms; /* this second's lines */
	unsigned int refusals_logged;
	char date[32];
	uv_prepare_t prepare;
	struct message drain_message;
	struct message cut_message;
	struct message drained_message;
	char scratch[HTTP_SCRATCH_BYTES];
};

/* Move the connection into a phase, with a new deadline. */
void http_wait(struct http_connection *c, enum http_phase phase);
void http_wait_end(struct http_connection *c);
void http_queues_init(struct http_loop *owner);
void http_queues_stop(struct http_loop *owner);

/* The loop's pools; NULL without memory. */
struct http_connection *http_connection_alloc(struct http_loop *owner);
void http_connection_free(struct http_connection *c);
struct http_request *http_request_alloc(struct http_connection *c);
void http_request_free(struct http_request *r);
void http_message_free(struct http_request *r);
void http_pools_fini(struct http_loop *owner);

/* The Date field's value, made once a second. */
const char *http_date(struct http_loop *owner);
/* Tells control when a draining loop has become empty. */
void http_loop_settle(struct http_loop *owner);

/* --- listeners ------------------------------------------------------------- */

struct http_socket {
	struct http_listener *listener;
	struct http_loop *owner;
	struct http_socket *next; /* in the loop's list, while open */
	int fd;	   /* -1: this loop does not accept for the listener */
	bool ours; /* [control] ours to close: not taken over */
	bool open;
	bool last;	   /* the loop closes the descriptor itself */
	bool watched;	   /* [loop] by `poll` */
	bool failure_told; /* [loop] that it could not be watched */
	uv_poll_t poll;
	struct timer watch_again;    /* not watched yet, or paused */
	SSL_CTX *tls;		     /* [loop] */
	uint32_t tls_generation;     /* [loop] counts the contexts */
	_Atomic(SSL_CTX *) tls_next; /* from control, not yet taken */
	struct message open_message;
	struct message close_message;
	struct message closed_message;
	struct message renew_message;
};

struct http_listener {
	struct http_server *server;
	struct http_listener *next;
	char name[HTTP_ADDRESS_MAX];  /* as configured */
	char bound[HTTP_ADDRESS_MAX]; /* with the real port */
	bool is_unix;
	bool inherited;
	bool admin;
	bool proxy_protocol; /* a header comes first, of trusted peers alone */
	bool handed_round;   /* one socket, connections go to all loops */
	bool accepting;
	bool retired;
	dev_t device; /* of the unix socket's file */
	ino_t inode;
	char *certificate; /* NULL: no TLS */
	char *key;
	char *client_ca;  /* "": no certificates of clients */
	char *client_crl; /* "": nothing is revoked */
	bool client_required;
	int64_t expires_ms; /* of the certificates, Unix time */
	int expiry_stage;   /* how near the end was when it was said */
	char **trusted;	    /* CIDRs, NULL-ended; or NULL */
	unsigned int turn;
	unsigned int open_sockets;   /* [control] not yet closed again */
	SSL_CTX *tls;		     /* [control] the latest */
	struct http_socket *sockets; /* one a loop */
};

static inline void http_socket_own(struct http_socket *socket, int fd)
{
	socket->fd = fd;
	socket->ours = true;
}

/* Descriptors of a new listener into sockets[]. listener_bind.c */
atom_status http_listener_bind(struct http_listener *listener,
			       const char *group, struct atom_error *err);
atom_status http_listener_inherit(struct http_listener *listener, int fd,
				  struct atom_error *err);
/* The unix socket's file, if it is still ours. */
void http_listener_unlink(struct http_listener *listener);
void http_address_text(const struct sockaddr *address, socklen_t length,
		       char out[HTTP_ADDRESS_MAX]);

/* [control] Set up, without a descriptor. */
void http_socket_init(struct http_socket *socket,
		      struct http_listener *listener, struct http_loop *owner);
/* [control] No loop has it any more: close the descriptor, if it is ours. */
void http_socket_release(struct http_socket *socket);
/* [loop] No longer accept; the descriptor stays open. */
void http_socket_stop(struct http_socket *socket);
/* Close it on its loops; `last`: nobody will name its address again, so the
 * loops close the descriptors too. */
void http_listener_retire(struct http_listener *listener, bool last);
/* Go on with a drain, if there is one. */
void http_drain_step(struct http_server *server);
void http_listener_free(struct http_listener *listener);

/* --- connections ------------------------------------------------------------ */

enum http_state {
	CONNECTION_PROXY, /* its PROXY header is still to come */
	CONNECTION_HANDSHAKE,
	CONNECTION_IDLE, /* not a byte of a request yet */
	CONNECTION_HEAD,
	CONNECTION_BODY,
	CONNECTION_CALL,   /* until the answer is written and released */
	CONNECTION_LINGER, /* all is said; what still comes is thrown away */
	CONNECTION_CLOSED,
};

struct http_output {
	char *bytes;
	size_t begin;
	size_t end;
	size_t capacity;
};

/* A PROXY header on its way in. */
struct http_preface {
	size_t have;
	uint8_t bytes[HTTP_PROXY_MAX];
};

struct http_connection {
	uv_poll_t poll;
	struct http_loop *owner;
	struct http_socket *socket;
	struct http_connection *previous, *next; /* in the phase's queue */
	struct http_connection *flush_next;
	struct http_request *request; /* NULL while idle */
	SSL *ssl;
	struct http_preface *preface;	 /* CONNECTION_PROXY only */
	struct certificate *certificate; /* tls_client.c's */
	struct http_output out;
	int64_t deadline_ms;
	int64_t linger_until_ms;
	size_t linger_left; /* bytes */
	int fd;
	uint8_t state;
	int8_t phase; /* -1: none */
	uint8_t events;
	bool waiting_flush; /* is in the flush list */
	bool blocked;	    /* the peer does not take more just now */
	bool paused;	    /* reading: there is no room for more */
	bool running;	    /* inside http_connection_run() or a callback */
	bool fresh;	    /* no request yet */
	bool certificate_read;
	uint32_t tls_generation; /* what the certificate was checked with */
	bool close_after;	 /* this answer is the last */
	bool unread;		 /* the peer may still be sending: linger */
	bool eof;		 /* the peer sends no more */
	bool lost; /* writing failed: close at the next occasion */
	bool handle_closed;
	bool loopback; /* or unix */
	bool trusted;  /* a trusted proxy */
	struct http_peer peer;
	char address[INET6_ADDRSTRLEN];
};

static inline void http_enter(struct http_connection *c, enum http_state state)
{
	if (c->state == CONNECTION_CALL)
		c->owner->calls--;
	if (state == CONNECTION_CALL)
		c->owner->calls++;
	c->state = (uint8_t)state;
}

/* Is there a descriptor for one connection, or call, more?  Where all are
 * taken a connection gives way that has no call. */
bool http_place_for_one(struct http_loop *owner,
			const struct http_listener *listener);
/* A new descriptor; it is closed when that fails. */
void http_connection_open(struct http_socket *socket, int fd,
			  const struct sockaddr *address);
/* What comes behind the PROXY header, where there is one: TLS, or a request. */
void http_connection_begin(struct http_connection *c);
/* Go on with what has been read, as far as it goes. */
void http_connection_run(struct http_connection *c);
/* The same from outside of a callback of ours: reads, too, if need be. */
void http_connection_continue(struct http_connection *c);
/* The peer sends no more (or is lost): that is the end of what it waits for. */
void http_connection_ended(struct http_connection *c, bool lost);
/* Read what there is, by state. */
void http_connection_readable(struct http_connection *c);
/* Read a request as long as one is wanted. */
void http_connection_input(struct http_connection *c);

static inline bool http_wants_input(const struct http_connection *c)
{
	return c->state == CONNECTION_IDLE || c->state == CONNECTION_HEAD ||
	       c->state == CONNECTION_BODY;
}

/* The request of a closed connection is freed, or its handler told to. */
void http_request_leave(struct http_connection *c);
/* At once. A running request is told that its client has gone. */
void http_connection_close(struct http_connection *c);
/* Poll for what is wanted now. */
void http_connection_arm(struct http_connection *c);
/* The phase's deadline has passed. */
void http_connection_expired(struct http_connection *c, enum http_phase phase);
/* The output was written, as far as that goes; what follows from it.  A closed
 * connection may go now. */
void http_connection_flushed(struct http_connection *c);
/* Credentials and address of the peer. peer.c */
void http_peer_read(struct http_connection *c, const struct sockaddr *address);
void http_peer_close(struct http_connection *c);
/* The client that a trusted proxy's header names is the peer from now on. */
void http_peer_proxied(struct http_connection *c,
		       const struct http_proxy *header);
/* The client behind trusted proxies. */
void http_forwarded(struct http_request *r);
bool http_cidr_sound(const char *cidr);

/* --- bytes in and out -------------------------------------------------------- */

/* > 0: that many; else one of these. */
enum {
	HTTP_READ_END = 0,
	HTTP_READ_LATER = -1,
	HTTP_READ_LOST = -2,
};
ssize_t http_read(struct http_connection *c, char *bytes, size_t length);
/* The socket's own bytes, also where TLS speaks on it later. */
ssize_t http_read_plain(struct http_connection *c, char *bytes, size_t length);

static inline size_t http_unsent(const struct http_connection *c)
{
	return c->out.end - c->out.begin;
}

/* Behind what is unsent; false without memory or beyond the maximum, and the
 * connection is then lost. */
bool http_output_append(struct http_connection *c, const void *bytes,
			size_t length);
/* Room for `length` bytes, to be filled by the caller; NULL likewise. */
char *http_output_room(struct http_connection *c, size_t length);
/* At once as far as the peer takes it; the rest is kept. */
void http_output_send(struct http_connection *c, const void *head,
		      size_t head_length, const void *body, size_t body_length);
/* What is unsent, now; sets blocked or lost. */
void http_output_flush(struct http_connection *c);
/* The same before this iteration's poll. */
void http_output_flush_soon(struct http_connection *c);
void http_output_free(struct http_connection *c);
void http_flush_all(struct http_loop *owner);

/* --- requests ----------------------------------------------------------------- */

/* What was received; the larger half of a request, which a long stream can do
 * without. */
struct http_message {
	struct http_message *next_free;
	struct http_head head;
	char bytes[HTTP_INLINE_BYTES];
};

struct http_request {
	struct http_connection *connection; /* as long as the request lives */
	struct http_loop *owner;
	struct http_request *next_free;
	void *user;
	void (*gone)(struct http_request *request);
	void (*drain)(struct http_request *request);
	int64_t began_ns;
	int64_t body_began_ms;
	uint64_t body_received;

	struct http_message *message; /* NULL: forgotten */
	struct http_head *head;	      /* the message's */
	bool head_read;
	bool keep_alive; /* the client's wish */
	uint8_t method;
	uint8_t minor;

	char *in; /* head, body if it fits, and what follows */
	size_t in_size;
	size_t in_end;
	size_t next_at; /* where in `in` the next request begins */
	char *ahead;	/* or it begins here */
	size_t ahead_length;
	size_t ahead_size;

	char *body; /* of its own, or NULL: within `in` at body_at */
	size_t body_at;
	size_t body_length;
	size_t body_size;
	struct http_chunked chunked;

	char *path;
	const char *query;

	/* The answer. */
	bool handed; /* the handler knows it and will release it */
	bool released;
	bool begun; /* a head has been made */
	bool ended; /* nothing more will be written */
	bool gone_told;
	bool closing; /* the head said `Connection: close` */
	bool cut;     /* ended before it was complete */
	bool chunked_out;
	bool until_close; /* streamed to HTTP/1.0: the close is the end */
	bool no_body;	  /* HEAD, 204, 304 */
	bool events;	  /* an event stream: heartbeats */
	bool busy_told;	  /* on_drain is owed */
	uint8_t newlines; /* at the end of the event stream so far */
	uint16_t added_length;
	char *added_heap; /* of HTTP_FIELDS_BYTES, once `added` is too small */
	char added[HTTP_FIELDS_INLINE];

	char id[ID_MAX];
	char client[INET6_ADDRSTRLEN]; /* "" = the connection's */
	bool client_loopback;
};

/* How much of the next request has come already. */
size_t http_request_left(const struct http_request *r);
/* What is left over becomes the beginning of the next request.  False without
 * memory. */
bool http_request_next(struct http_request *r);
/* The head is complete: texts ended by NUL, path decoded.  False when the
 * path cannot be. */
bool http_request_head_done(struct http_request *r);
/* Where to read to; 0 when there is no room, and none can be made. */
size_t http_request_room(struct http_request *r, enum http_state state,
			 char **room);
/* Set up for the body / take what has arrived in the room. MORE, DONE, or
 * REFUSED with a status and a reason. */
enum http_parse http_body_begin(struct http_request *r, unsigned int *status,
				const char **why);
enum http_parse http_body_more(struct http_request *r, size_t arrived,
			       unsigned int *status, const char **why);

/* An answer of the server's own, in the API's error shape; the connection
 * closes after it. */
void http_refuse_request(struct http_connection *c, unsigned int status,
			 enum http_refusal refusal, const char *code,
			 const char *message);
/* The same for a body, with what http_body_begin or _more has said. */
void http_refuse_body(struct http_connection *c, unsigned int status,
		      const char *why);
/* The same for what did not come in time. */
void http_refuse_slow(struct http_connection *c, const char *message);
/* Answer 503: all places are taken by others. */
void http_refuse_crowded(struct http_connection *c);
/* May this loop write another line about a refusal in this second? */
bool http_may_log_refusal(struct http_loop *owner);
/* One heartbeat, where the stream allows a comment. */
void http_heartbeat(struct http_request *r);

#endif
