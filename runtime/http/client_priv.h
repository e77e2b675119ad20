/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CLIENT_PRIV_H
#define HTTP_CLIENT_PRIV_H

/*
 * What the files of the client share: one `struct http_client` a loop, and
 * its transfers.
 *
 *	start -> RESOLVING -> CONNECTING -> SENT -> BEGUN -> end
 *	              \___________\___________\______________/ failed, cancelled
 *
 * Which transport carries a transfer is settled when it begins: the lean one
 * (client_lean.h) or libcurl.
 *
 * libcurl may not be entered from inside its own callbacks, and the lean
 * transport's reader goes on behind its own.  A transfer that is ended there (a
 * plugin cancels from `data`) has its `end` at once, and waits as `dead` until
 * they have returned.
 */

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <atomd/host.h>

#include "core/loop.h"
#include "core/table.h"
#include "http/client_lean.h"

struct http_client;
struct lookup;

/* Bounds: of one loop, and of what a server may send. */
#define HTTP_TRANSFERS_MAX   16384
#define HTTP_CONNECTIONS_MAX 512  /* idle ones kept */
#define HTTP_IDLE_S	     50	  /* an idle connection's age */
#define HTTP_BESIDE_MAX	     16	  /* connections begun beside a call's first */
#define HTTP_USED_MAX	     4096 /* places to find used ones in */
#define HTTP_EASY_MAX	     32	  /* handles kept for the next */
#define HTTP_NAMES_MAX	     256  /* resolved names */
#define HTTP_HEAD_MAX	     (64 * 1024) /* bytes of all heads */
#define HTTP_FIELDS_MAX	     100	 /* request's header fields */
#define HTTP_FIELD_BYTES_MAX (64 * 1024)
#define HTTP_BODY_MAX	     64 /* pieces of a request's body */
#define HTTP_CONNECT_MS	     10000
#define HTTP_URL_MAX	     8192
#define HTTP_METHOD_MAX	     32
#define HTTP_ANSWER_MAX	     (64ull * 1024 * 1024)

enum phase {
	PHASE_RESOLVING,  /* on a lookup's list */
	PHASE_CONNECTING, /* libcurl has it */
	PHASE_SENT,	  /* some of the request may have gone out */
	PHASE_BEGUN,	  /* the answer's head has come */
};

struct transfer_list {
	struct atom_http_transfer *first;
};

struct atom_http_transfer {
	struct http_client *client;
	const struct atom_host *host; /* NULL: the runtime itself */
	const struct atom_http_events *events;
	void *argument;

	struct transfer_list *list; /* the client's or a lookup's */
	struct atom_http_transfer *next, *previous;
	struct atom_http_transfer *next_resumed;

	bool is_lean;	  /* else libcurl's */
	struct lean lean; /* client_lean.h */

	CURL *easy;
	struct curl_slist *fields;
	struct curl_slist *addresses;
	char *peer_host; /* whom to connect to: the server or the proxy */
	char *peer_port;
	char *where; /* "host:port" of the server, for people */

	enum phase phase;
	bool added;	    /* libcurl's multi handle has it */
	bool ended;	    /* `end` has been told */
	bool paused;	    /* by the plugin */
	bool stopped;	    /* libcurl holds back what came while paused */
	bool resumed;	    /* on the client's list */
	bool unquiet;	    /* the used connection had bytes in it */
	bool head_too_long; /* why a callback of ours ended it */
	bool answer_too_long;

	struct timer timer;
	bool put_off; /* its deadline, because the loop was late */
	int64_t began_ms;
	int64_t last_ms; /* something came */
	int32_t connect_ms, head_ms, stall_ms, total_ms;

	size_t head_bytes;
	uint64_t answer_max;
	uint64_t received;
	char *reason; /* CURL_ERROR_SIZE bytes for libcurl's words, or NULL */

	size_t piece; /* of the body, and where in it */
	size_t piece_offset;
	size_t piece_count;
	struct atom_span pieces[];
};

/* A connection that has carried an answer. */
struct used {
	uint64_t name; /* hash of its two ends */
	curl_socket_t fd;
};

struct http_client {
	struct loop *loop;
	struct lean_pool lean;
	CURLM *multi;	    /* NULL until a transfer needs libcurl */
	struct timer timer; /* libcurl's; always pending, may be far off */
	bool running;	    /* client_run() is under way */
	bool due;	    /* libcurl wants to run again at once */
	bool ended;
	unsigned int inside; /* libcurl, or a lean answer, is calling us */
	size_t transfer_count;
	size_t lookups; /* under way */
	struct transfer_list transfers;
	/* Begun from inside of libcurl: to be given to it later. */
	struct transfer_list unlaunched;
	struct atom_http_transfer *dead;
	struct atom_http_transfer *resumed;
	CURL *idle[HTTP_EASY_MAX];
	size_t idle_count;
	struct table names;
	struct used *used; /* HTTP_USED_MAX of them, with `multi` */
};

/* --- client.c ------------------------------------------------------------ */

void client_count_end(struct atom_http_transfer *transfer, atom_status status);
/* Frees what an ended client still holds, once no lookup is under way. */
void client_unref_lookup(struct http_client *client);

/* --- client_request.c ----------------------------------------------------- */

/* Its method, fields and body; the URL is each transport's. */
atom_status request_check(const struct atom_http_request *request,
			  struct atom_error *err);
uint64_t request_body_length(const struct atom_http_request *request);

/* --- client_loop.c: libcurl's sockets and timer on the loop -------------- */

atom_status client_loop_init(struct http_client *client);
void client_loop_fini(struct http_client *client);
/* Run soon, from the loop. */
void client_kick(struct http_client *client);
/* Take ended transfers out of libcurl; nothing while inside of it. */
void client_reap(struct http_client *client);

/* --- client_easy.c: a request as libcurl's options ------------------------ */

/* Of a checked request: fills easy, fields, peer_host, peer_port, where. */
atom_status easy_prepare(struct atom_http_transfer *transfer,
			 const struct atom_http_request *request,
			 struct atom_error *err);
CURL *easy_take(struct http_client *client);
void easy_give(struct http_client *client, CURL *easy);

/* --- client_used.c -------------------------------------------------------- */

/* After an answer: which socket its connection has. */
void used_note(struct http_client *client, CURL *easy);
/* Before a request goes into a used connection, named by its two ends as
 * libcurl writes them: nothing has come that nobody asked for. */
bool used_is_quiet(const struct http_client *client, const char *peer,
		   int peer_port, const char *own, int own_port);

/* --- client_transfer.c ---------------------------------------------------- */

/* With `behind` bytes of memory behind its struct, and no transport yet. */
struct atom_http_transfer *transfer_new(struct http_client *client,
					const struct atom_http_request *request,
					size_t behind);
char *transfer_behind(struct atom_http_transfer *transfer);
/* Never told `end`; not in libcurl any more. */
void transfer_free(struct atom_http_transfer *transfer);
/* Give it to its transport: to libcurl now or when that has returned.
 * `addresses` NULL: the host is one itself, or it is launched already. */
atom_status transfer_launch(struct atom_http_transfer *transfer,
			    const char *addresses, struct atom_error *err);
/* libcurl is through with it. */
void transfer_done(struct atom_http_transfer *transfer, CURLcode result);
/* The head of its answer, or bytes of the body, to the plugin.  False when the
 * plugin ended it within. */
bool transfer_tell_head(struct atom_http_transfer *transfer, int32_t status);
bool transfer_tell_data(struct atom_http_transfer *transfer, const char *bytes,
			size_t length);
/* Deliver what was held back while it was paused. */
void transfer_go_on(struct atom_http_transfer *transfer);
/* Tells `end`, then frees it or makes it dead. */
void transfer_end(struct atom_http_transfer *transfer, atom_status status,
		  const struct atom_error *error);
void transfer_pause(struct atom_http_transfer *transfer);
void transfer_resume(struct atom_http_transfer *transfer);

void transfer_list_add(struct transfer_list *list,
		       struct atom_http_transfer *transfer);
void transfer_list_remove(struct atom_http_transfer *transfer);

/* libcurl's callbacks, set by easy_prepare(). */
size_t transfer_on_read(char *out, size_t size, size_t count, void *argument);
size_t transfer_on_field(char *bytes, size_t size, size_t count,
			 void *argument);
size_t transfer_on_body(char *bytes, size_t size, size_t count, void *argument);
int transfer_on_connected(void *argument, char *peer, char *own, int peer_port,
			  int own_port);

/* --- client_deadline.c ----------------------------------------------------- */

/* Sets the timer for the nearest deadline, after one has moved nearer. */
atom_status transfer_arm(struct atom_http_transfer *transfer);

/* --- client_resolve.c ------------------------------------------------------ */

/* ATOM_OK: launched.  ATOM_EBUSY: it waits for a lookup, will be launched or
 * ended.  Else it could not be begun. */
atom_status resolve_and_launch(struct atom_http_transfer *transfer,
			       struct atom_error *err);
/* With which of the host's addresses to begin, counted from 0: the one that
 * took the last connection, until the next answer or until it takes none. */
unsigned int resolve_preferred(const struct http_client *client,
			       const char *host);
void resolve_note(struct http_client *client, const char *host,
		  const char *address, bool connected);
/* The loop ends: give up lookups, end who waits with `status`. */
void resolve_end(struct http_client *client, atom_status status,
		 const struct atom_error *error);
void resolve_fini(struct http_client *client);

/* --- client_error.c -------------------------------------------------------- */

/* No connection could be made; it broke; what came is no HTTP; it is more
 * than may be.  `reason` is for people. */
atom_status transfer_explain_connect(const struct atom_http_transfer *transfer,
				     const char *reason,
				     struct atom_error *err);
atom_status transfer_explain_cut(const struct atom_http_transfer *transfer,
				 const char *reason, struct atom_error *err);
atom_status transfer_explain_answer(const struct atom_http_transfer *transfer,
				    const char *reason, struct atom_error *err);
atom_status transfer_explain_head(const struct atom_http_transfer *transfer,
				  struct atom_error *err);
atom_status transfer_explain_announced(
	const struct atom_http_transfer *transfer, struct atom_error *err);
atom_status transfer_explain_length(const struct atom_http_transfer *transfer,
				    struct atom_error *err);
/* A whole sentence about what libcurl says; never ATOM_OK. */
atom_status transfer_explain(const struct atom_http_transfer *transfer,
			     CURLcode result, struct atom_error *err);

#endif
