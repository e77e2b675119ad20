/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ATTEMPT_H
#define AGENT_ATTEMPT_H

/*
 * One try of a call on a backend: the link between the loop that asks
 * (`front`) and the one where the backend works (`home`; a blocking backend:
 * its own thread).  When both are the same everything is a direct call; else
 * each step is a message, and each message in flight holds a reference.
 *
 *	NEW --enter--> WAITING --slot--> RUNNING --finish--> ENDED
 *	  |               +--leave, refused------------------^
 *	  +--slot at once--> RUNNING
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/backend.h>

#include "core/buffer.h"
#include "core/loop.h"

struct call;
struct instance;
struct pool;

/* Beside ATOM_CANCEL_*: the time in the waiting room is over; it does not
 * concern an attempt that runs. */
#define ATTEMPT_LEAVE_QUEUE 100

enum attempt_state {
	ATTEMPT_NEW,
	ATTEMPT_WAITING,
	ATTEMPT_GRANTED, /* shared: the slot is on its way to the front */
	ATTEMPT_RUNNING,
	ATTEMPT_ENDED
};

struct attempt {
	_Atomic int refs;
	_Atomic int32_t cancel; /* ATOM_CANCEL_*, ATTEMPT_LEAVE_QUEUE */
	_Atomic bool finished;	/* the backend said so, or never began */
	_Atomic bool blocked;	/* the client is slow */
	_Atomic bool cancel_posted;
	_Atomic bool resume_posted;
	_Atomic size_t unsent; /* bytes on their way to the front */
	_Atomic int64_t granted_ns;
	struct call *call; /* front only */
	struct atom_call_request *request;
	struct loop *front;
	struct loop *home; /* of the backend */
	struct pool *pool;
	struct instance *instance;
	atom_call handle;
	/* Written by whoever holds the attempt: home, front, or the thread of
	 * a blocking backend, which ends it while its home looks. */
	_Atomic enum attempt_state state;
	bool spare;	   /* the call's */
	bool entered;	   /* went through the waiting room's loop */
	bool cancel_told;  /* home's: backend.cancel was called */
	unsigned int lost; /* workers that were gone when asked */
	size_t over;	   /* bytes taken after EBUSY */
	bool told_slow;	   /* EBUSY was the answer, and no resume since */

	/* --- results, home's until `finish` is posted --- */
	atom_status status;
	struct atom_error *error;
	struct atom_usage usage;
	bool usage_known;
	bool state_set;
	struct buffer state_bytes;

	struct attempt *previous; /* of the waiting room */
	struct attempt *next;
	struct attempt *next_job; /* of blocking.c */
	struct message enter;
	struct message grant;
	struct message cancelling;
	struct message resuming;
	struct message finishing;
};

/* [front] */
struct attempt *attempt_new(struct call *call);
void attempt_begin(struct attempt *attempt);
void attempt_cancel(struct attempt *attempt, int32_t why);
void attempt_resume(struct attempt *attempt);
void attempt_ref(struct attempt *attempt);
void attempt_unref(struct attempt *attempt);

/* [home of the pool] The waiting room's answers. */
void attempt_granted(struct attempt *attempt, struct instance *instance);
void attempt_refused(struct attempt *attempt, atom_status status,
		     const char *code, const char *message);
/* The same of one that was told to leave: it was cancelled, or has waited long
 * enough. */
void attempt_left(struct attempt *attempt);
/* The same of a spare one, which does not wait. */
void attempt_busy(struct attempt *attempt);

/* [backend's thread] What the plugin says. */
atom_status attempt_emit(struct attempt *attempt, int32_t kind,
			 const char *bytes, size_t length);
void attempt_begin_answer(struct attempt *attempt, int32_t status,
			  const char *content_type);
void attempt_finish(struct attempt *attempt, atom_status status,
		    const struct atom_error *err);
/* Runs the plugin's invoke; blocking.c calls it on its thread. */
void attempt_invoke(struct attempt *attempt);

/* --- call.c: the front's side of events --- */
void call_deliver_begin(struct call *call, int32_t status,
			const char *content_type);
atom_status call_deliver_emit(struct call *call, int32_t kind,
			      const char *bytes, size_t length);
void call_deliver_finish(struct call *call, struct attempt *attempt);
/* Cancels every call of this loop. [loop] */
void calls_cancel_all(struct loop *loop, int32_t why);
/* Spare calls of pools for whose slots others wait are cancelled, on every
 * loop. [any] */
void calls_give_way(void);
/* The same of all spare calls, for the daemon stops. [control] */
void calls_end_spare(void);
/* No new calls from now on. [any] */
void calls_refuse(void);

#endif
