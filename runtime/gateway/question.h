/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_QUESTION_H
#define GATEWAY_QUESTION_H

/*
 * The host asks an agent: for a plugin (host_invoke.c), to have an answer
 * graded (grade.c), to have recorded inputs answered (replay.c).
 *
 * Such a call is one like any other: it takes of the agent's limits, has the
 * agent's system prompt, is counted and recorded.  It has no limits of its own,
 * no session, and is never graded itself.
 *
 *	question_new -> question_put_* -> question_ask -> on_asked [loop]
 *	    -> the call -> on_back [control] -> done, and it is free
 *	            strict: its record -'
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent/call.h"
#include "agent/directory.h"
#include "audit/audit.h"
#include "core/id.h"
#include "gateway/allowance.h"
#include "gateway/completion.h"
#include "security/principal.h"

struct question {
	/* --- the asker's, set before question_ask() ------------------------ */
	char agent[80]; /* longer ones than names are: found nowhere */
	char user[PRINCIPAL_NAME_MAX]; /* who asks, in records */
	char wanted[24];	       /* a revision's number; "" = any */
	int64_t max_tokens;	       /* 0: as the agent says */
	int32_t timeout_ms;	       /* 0: the agent's own deadlines */
	uint32_t flags;		       /* ATOM_CALL_DRY_RUN or 0 */
	bool spare;		       /* a free slot or none, see call.h */
	bool unseen;		       /* in no metrics and no record */
	bool probe;		       /* the stable revision, taking nothing of
					* limits, in no statistics of calls */
	size_t answer_max;	       /* bytes; longer ones fail */
	/* [control] Once. */
	void (*done)(struct question *q);
	void *argument;

	/* --- the answer ---------------------------------------------------- */
	atom_status status;
	struct atom_error error;
	struct completion completion; /* ATOM_OK: what was said */
	bool busy;		      /* there was no slot, or others wanted it;
				       * or a limit was reached */
	int64_t duration_ns;	      /* from the slot on */
	int64_t tokens;		      /* by estimate where none were told */
	struct call call;	      /* its `usage` */

	/* --- its own ------------------------------------------------------- */
	struct message message;
	struct loop *loop; /* that serves it */
	bool calling;	   /* the loop's: it can be cancelled */
	struct message cancel;
	bool cancelling; /* control's: `cancel` is on its way; and so is */
	bool over;
	struct buffer input; /* JSON */
	struct buffer body;  /* JSON; a chat's, or "[message]" */
	size_t messages_at;  /* in the body */
	size_t messages_length;
	struct buffer messages; /* behind the system prompt */
	char request_id[ID_MAX];
	struct timer timer;
	struct allowance allowance;
	struct assignment assignment;
	bool settled;
	bool too_long;
	char revision[24]; /* "" = it reached none */
	struct api_error seen;
	int64_t duration_ms;
	struct audit_waiter waiter;
	struct timer deadline; /* control's */
	bool told;
};

/* NULL without memory.  It is the caller's until question_ask(). */
struct question *question_new(const char *agent);
void question_free(struct question **at);

/* What is asked; one of them, once.  ATOM_ENOMEM. */

/* A user's text, without a body: an invoke. */
atom_status question_put_text(struct question *q, const char *text,
			      size_t length);
/* The same as a chat whose answer is to be a JSON object. */
atom_status question_put_json_chat(struct question *q, const char *text,
				   size_t length);
/* An invoke's `input`, JSON. */
atom_status question_put_input(struct question *q,
			       const struct json_span *input);
/* A chat's `messages`, sound ones (messages.h). */
atom_status question_put_messages(struct question *q,
				  const struct json_span *messages);

/* [any] Takes it; `done` comes. */
void question_ask(struct question *q);
/* [control, before `done`, once] Nobody waits for it any more: the call is
 * given up.  `done` comes all the same. */
void question_cancel(struct question *q);

#endif
