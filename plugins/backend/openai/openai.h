/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPENAI_H
#define OPENAI_H

/*
 * What the files of this backend share: the configured component, and a call.
 *
 *	invoke -> start -> head -> data* -> end -> finish
 *	                     \       \       ^
 *	                      \       \------+ given up: the transfer is
 *	                       \-------------+ cancelled, which is its end
 *
 * A call finishes in its transfer's `end` and nowhere else: until then
 * libcurl may still read the caller's body.
 */

#include <atomd/backend.h>

#include "bytes.h"
#include "json.h"
#include "sse.h"

#define ANSWER_MAX	  ATOM_EMIT_MAX	      /* bytes of a whole answer */
#define ERROR_BODY_MAX	  ((size_t)64 * 1024) /* of a provider's error */
#define OPTION_FIELDS_MAX 48

struct openai_options {
	const char *base_url;
	const char *model;
	const char *api_key;
	int32_t token_field; /* index into token_fields */
	int32_t verify_tls;
	const char *organization;
	const char *proxy;
	const char *ca_file;
	struct atom_map headers;
};

extern const char *const token_fields[];

struct openai {
	const struct atom_host *host;
	const struct atom_backend_host *backend;
	const struct atom_http *http;
	const struct atom_timer *timer;
	const struct atom_clock *clock;
	const struct atom_secret *secret; /* may be NULL */
	const struct openai_options *options;
	char *url;
	char *model; /* as JSON, NULL = the caller's */
	char *ca_file;
	/* Header fields of every request; room for those of one. */
	char *fields[OPTION_FIELDS_MAX + 8];
	size_t field_count;
};

enum answer {
	ANSWER_NONE,   /* no head yet */
	ANSWER_WHOLE,  /* collected, judged at its end */
	ANSWER_STREAM, /* events */
	ANSWER_ERROR,  /* not 2xx: collected to be explained */
};

struct call {
	struct call *next; /* of the table */
	struct openai *openai;
	atom_call handle;
	struct atom_http_transfer *transfer;
	struct atom_timer_handle *timer; /* behind the stream's end */
	enum answer answer;
	int32_t http_status;
	uint32_t flags; /* of the request */
	int any_chunk;
	int finish_seen; /* some choice said why it ended */
	int done;	 /* [DONE] has come */
	int usage_known;
	struct atom_usage usage;
	struct bytes body; /* ANSWER_WHOLE, ANSWER_ERROR; text, decoded */
	struct sse sse;
	char half[JSON_HALF + 1]; /* an invoke's text ended in half a pair */
	char tokens[96];	  /* what is spliced into the body */
	int failed;
	struct atom_error *error; /* why; NULL: there was no memory to say */
};

/* --- request.c: what is sent ------------------------------------------------- */

#define REQUEST_PIECES_MAX 24

struct request_body {
	struct atom_span pieces[REQUEST_PIECES_MAX];
	size_t count;
};

/* The caller's body with only what has to change, or one built for an
 * invoke.  Pieces point into the request, the component and call->tokens. */
atom_status request_body(struct call *call,
			 const struct atom_call_request *request,
			 struct request_body *body_r, struct atom_error *err);

/* --- chunk.c: a stream's events ----------------------------------------------- */

/* One event.  False: the call is to be given up, and has failed. */
int chunk_take(struct call *call, const struct sse_event *event);
/* The stream has ended well: what waits of its text goes out. */
void chunk_end_text(struct call *call);
/* Usage and finish reason of an answer or a chunk. */
void chunk_note_usage(struct call *call, struct json usage);
void chunk_note_reason(struct call *call, struct json choice);
/* Hands bytes to the host; false as chunk_take. */
int call_emit(struct call *call, int32_t kind, const char *bytes,
	      size_t length);

/* --- whole.c -------------------------------------------------------------------- */

/* The collected 2xx answer: relayed; false as chunk_take. */
int whole_take(struct call *call);

/* --- failure.c: a provider's errors ---------------------------------------------- */

/* The call has failed, and here is where to say why.  Made only then: it is
 * larger than all else of a call. */
struct atom_error *failure_of(struct call *call);
/* From status, body and head of what is not 2xx. */
void failure_of_answer(struct call *call);
/* From an error object in a 2xx answer or stream. */
void failure_of_object(struct call *call, struct json object);

/* --- retry_after.c ----------------------------------------------------------------- */

/* Milliseconds, 0 = none stated or nonsense; at most a day.  `field` in
 * seconds or as an HTTP date, `field_ms` in milliseconds; both may be NULL. */
int32_t retry_after_ms(const char *field, const char *field_ms,
		       int64_t realtime_ms);

/* --- call.c -------------------------------------------------------------------------- */

atom_status call_begin(struct openai *openai, atom_call handle,
		       struct atom_error *err);
void call_cancel(atom_call handle);
void call_resume(atom_call handle);

#endif
