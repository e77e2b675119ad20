/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_CALLS_H
#define ATOMD_CALLS_H

/*
 * atom.calls/1: each call of an agent that has ended, for monitors that
 * trace.  Nothing is kept, and a call costs nothing, while nobody watches.
 * While somebody does, a call that brings no `traceparent` begins a trace, and
 * the backend is given the span of its attempt as its parent.
 *
 * The last 4,096 are kept: who reads too seldom misses some, and is told how
 * many.  No text of a call, no caller and no address is in it.
 */

#include <atomd/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_CALLS "atom.calls/1"

enum {
	ATOM_ENDED_STREAM = 1 /* it streamed its answer */
};

struct atom_ended_call {
	uint32_t struct_size;
	int32_t http_status; /* 499: the client has left */
	uint32_t flags;	     /* ATOM_ENDED_* */
	int32_t finish_reason;
	int64_t began_ms; /* Unix time */
	/* Nanoseconds from there on; -1: did not happen. */
	int64_t granted_ns; /* it got an instance */
	int64_t first_ns;   /* the first bytes of its answer */
	int64_t ended_ns;
	int64_t input_tokens;
	int64_t output_tokens;
	const char *agent;
	const char *revision; /* "3" */
	const char *backend;  /* component: "openai" */
	const char *request_id;
	/* Lower-case hexadecimal, as in W3C Trace Context. */
	const char *trace_id;	/* 32 */
	const char *parent_id;	/* 16, of the caller's span; "" = none */
	const char *span_id;	/* 16, of the call here */
	const char *attempt_id; /* 16, what the backend has as its parent */
};

struct atom_calls {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] One watcher more (1) or less (0): as many of the one as of
	 * the other.  ATOM_ENOMEM. */
	atom_status (*watch)(const struct atom_host *host, int32_t more,
			     struct atom_error *err);
	/* [any] Visits up to `most` calls that ended since *cursor, oldest
	 * first (at first 0: all that are kept; UINT64_MAX: none yet, and from
	 * here on); everything lives during the visit.  *missed_r:
	 * how many were lost before them. */
	void (*read)(const struct atom_host *host, uint64_t *cursor,
		     size_t most,
		     void (*visit)(void *argument,
				   const struct atom_ended_call *call),
		     void *argument, uint64_t *missed_r);
};

#ifdef __cplusplus
}
#endif

#endif
