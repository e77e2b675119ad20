/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

/*
 * One call of an agent between its client and the agent: what was asked, the
 * call, and the answer on its way out.  chat.c and invoke.c read the request
 * and give it a form; what they have in common is here.
 *
 *	exchange_new -> (read the body) -> exchange_admit -> exchange_begin
 *	   |                                 |  [a session's turn]
 *	   |                                 v
 *	   '-> exchange_refuse          call_start -> emit* -> end -> release
 *	                                                        |       |
 *	                             the client is answered and its     |
 *	                             request released, or it has gone   |
 *	                                 the exchange is free, or what it was
 *	                                 asked is repeated (mirror.h)
 *
 * The request is let go as soon as it is answered: what the backend may still
 * read (body, messages, names) is the exchange's own.  [loop]
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent/call.h"
#include "agent/directory.h"
#include "agent/session.h"
#include "core/id.h"
#include "gateway/admission.h"
#include "gateway/allowance.h"
#include "gateway/completion.h"
#include "gateway/token_estimate.h"
#include "gateway/traceparent.h"

struct exchange;
struct exchange_held;
struct grade;
struct mirror;

/* The form that a call's answer takes. */
struct surface {
	/* JSON array for the model, into exchange->messages.  ATOM_ELIMIT
	 * when it is too long. */
	atom_status (*splice)(struct exchange *x);
	/* The caller's new messages for the session. */
	atom_status (*remember)(const struct exchange *x, struct buffer *out,
				size_t *count_r);
	/* Streaming: events for what was emitted. */
	void (*emit)(struct exchange *x, int32_t kind, const char *bytes,
		     size_t length, struct buffer *out);
	/* Streaming: the events that end it well.  Not ATOM_OK: the answer is
	 * no answer. */
	atom_status (*finish)(struct exchange *x, struct buffer *out);
	/* Streaming: the event of a failure. */
	void (*fail)(struct exchange *x, const struct api_error *e,
		     struct buffer *out);
	/* Not streaming: the body, in `out` or elsewhere in the exchange. */
	atom_status (*whole)(struct exchange *x, struct buffer *out,
			     const struct buffer **body_r);
	/* Must emits be put together, although they are streamed? */
	bool collects;
};

/* What a session adds; present only in calls that name one. */
struct conversation {
	struct exchange *exchange;
	struct session_use use;
	struct buffer state; /* taken out of `use`: lives as long as the call */
	char principal[PRINCIPAL_NAME_MAX];
	char id[SESSION_ID_MAX + 1];
	bool open;
};

enum exchange_stage {
	EXCHANGE_READING,
	EXCHANGE_WAITING, /* for its session's turn */
	EXCHANGE_CALLING,
	EXCHANGE_ENDED
};

struct exchange {
	struct exchange *next;	      /* among the spare ones */
	struct http_request *request; /* NULL once answered or gone */
	struct loop *loop;
	const struct surface *surface;
	/* Ours until call_start(), the call's from then on. */
	struct revision *revision;
	struct assignment assignment; /* how it came there */
	struct call call;
	struct conversation *conversation;
	struct timer quiet;
	enum exchange_stage stage;
	struct allowance allowance; /* what it takes of limits */
	bool settled;		    /* and has given back */

	/* --- what was asked --- */
	struct buffer kept; /* a short body's copy, kept from call to call */
	char *taken;	    /* a long body */
	const char *body;
	size_t body_length;
	struct json_span asked; /* chat: `messages`; invoke: `input` */
	struct buffer messages; /* spliced */
	struct buffer input;	/* made, when it is no span of the body */
	int64_t max_tokens;	/* the caller's, 0 = none stated */
	bool stream;
	bool include_usage;
	bool wants_json; /* and it counts whether it comes */

	/* --- the answer --- */
	struct completion completion;
	struct utf8_tail tail;
	struct token_chunks chunks; /* of a provider's stream */
	size_t told;		    /* of the completion's text */
	size_t output_bytes;	    /* emitted */
	struct exchange_held *held; /* its answer waits for its record */
	struct mirror *mirror;	    /* it is to be repeated; or NULL */
	struct grade *grade;	    /* it is to be graded; or NULL */
	struct api_error *failure;  /* ours; decides when set */
	bool begun;		    /* its head has been sent */
	bool introduced;	    /* so has the surface's first event */
	bool raw;		    /* a provider's own bytes */
	bool lost;		    /* the client has gone; on_gone comes */
	bool no_json;		    /* it was wanted */

	int64_t began_ns;  /* before a session's turn; 0 = with the call */
	int64_t created_s; /* Unix time */
	char request_id[ID_MAX];
	char user[PRINCIPAL_NAME_MAX];
	char address[ADDRESS_TEXT_MAX];		  /* of the client */
	char traceparent[TRACEPARENT_LENGTH + 1]; /* for the backend */
	/* While calls are traced; "" = it is not. */
	char trace_id[33];
	char parent_id[17]; /* the caller's span; "" = none */
	char span_id[17];
	char attempt_id[17];
};

/* With the request's body; NULL (answered and released) without memory. */
struct exchange *exchange_new(struct http_request *request,
			      const struct surface *surface);
/* Looks the agent up, and which of its revisions answers this call (of this
 * session; NULL: of none), and asks whether `admission` may call it.  The
 * header x-atomd-revision names a revision. */
bool exchange_route(struct exchange *x, const struct admission *admission,
		    const char *agent, size_t length, const char *session,
		    struct api_error *e);
/* Makes it part of this session.  Before exchange_begin(). */
bool exchange_join(struct exchange *x, const struct principal *principal,
		   const char *session_id, struct api_error *e);
/* Takes what it needs of the limits of the caller and the agent; everything
 * that was asked is known.  The last step before exchange_begin(). */
bool exchange_admit(struct exchange *x, const struct principal *principal,
		    struct api_error *e);
/* Answers with the error and ends it; before exchange_begin() only. */
void exchange_refuse(struct exchange *x, const struct admission *admission,
		     const struct api_error *e);
/* Goes ahead.  The exchange may be gone when this returns. */
void exchange_begin(struct exchange *x);

/* For surfaces: the session's messages so far, or NULL. */
const struct buffer *exchange_remembered(const struct exchange *x);
/* The session's name, or NULL. */
const char *exchange_session(const struct exchange *x);

struct desk;
/* Frees the spare ones. */
void exchanges_free(struct desk *desk);

#endif
