/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CALL_H
#define AGENT_CALL_H

/*
 * One call of an agent, as the side that asks sees it (the gateway, the
 * invoke service): begin it, get its bytes, and exactly one end.
 *
 *	call_start -> [waiting room] -> attempt on a backend
 *	           -> begin? emit* -> end -> release
 *
 * Everything here happens on the loop of the asker (`call->loop`), wherever
 * the backend works.  The call takes its revision with it (a reference) and
 * keeps its slot until the backend has finished, also when the client left.
 *
 * The struct is part of the asker's own object.  It must stay until `release`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/backend.h>

#include "core/buffer.h"
#include "core/loop.h"

struct attempt;
struct call;
struct revision;

/* [loop] of the call.  They may run before call_start() has returned. */
struct call_events {
	/* Pass-through answers only; before the first emit.  May be NULL. */
	void (*begin)(struct call *call, int32_t status,
		      const char *content_type);
	/* `kind` ATOM_EMIT_*; bytes live during the call.  Answering
	 * ATOM_EBUSY stops the backend until call_resume(). */
	atom_status (*emit)(struct call *call, int32_t kind, const char *bytes,
			    size_t length);
	/* Exactly once: the result is known, answer the client.  On failure
	 * error->code is the stable word of CONTRACT's errors when the host
	 * itself ended it (queue_full, no_instances, timeout, shutting_down,
	 * backend_error), or the provider's word with http_status set. */
	void (*end)(struct call *call, atom_status status,
		    const struct atom_error *error);
	/* Exactly once, after `end`, last: the backend is done with it too and
	 * the struct may be freed.  Usually right after `end`; later when a
	 * deadline has passed and the backend has not finished. */
	void (*release)(struct call *call);
};

struct call {
	/* --- set by the asker; strings and spans live until release */
	struct loop *loop;
	struct revision *revision; /* call_start takes over this reference */
	const struct call_events *events;
	struct atom_call_request request; /* times are filled in by start */
	bool spare; /* it takes what is free, see call_is_spare() */

	/* --- results, valid in `end` and after --- */
	struct atom_usage usage;
	bool usage_known;
	struct buffer state; /* new session state; length 0 = unchanged */
	bool state_set;
	int64_t began_ns;      /* call_start */
	int64_t granted_ns;    /* got its slot; 0 = never */
	int64_t first_emit_ns; /* 0 = none */
	uint64_t emitted_bytes;

	/* --- the call's own --- */
	struct attempt *attempt;
	struct timer timer;
	struct call *previous; /* of the loop's list of calls */
	struct call *next;
	int64_t deadline_ms;	/* loop time of total */
	int64_t queue_until_ms; /* loop time until which it may wait */
	int64_t last_emit_ms;
	bool ended;		  /* `end` has been told */
	bool grace;		  /* a deadline passed; `end` comes soon */
	bool blocked;		  /* the asker said ATOM_EBUSY */
	int32_t cancel_reason;	  /* ATOM_CANCEL_*, 0 = none */
	const char *timeout_what; /* which deadline passed */
};

/* Is it an extra that no caller waits for (mirrored, a grader's)?  Such a call
 * takes a slot that is free or ends at once (ATOM_EBUSY), is no part of what
 * scaling measures, and is cancelled (ATOM_CANCEL_ADMIN) as soon as another one
 * waits for a slot of the pool. */
static inline bool call_is_spare(const struct call *call)
{
	return call->spare;
}

/* Begins.  `end` always comes, also for a refusal (queue full, stopping). */
void call_start(struct call *call);
/* Ask it to stop; `end` comes later, with ATOM_ECANCELED unless it had ended
 * well meanwhile.  Emitted bytes are thrown away from now on. */
void call_cancel(struct call *call, int32_t why);
/* The client has taken what there was. */
void call_resume(struct call *call);

#endif
