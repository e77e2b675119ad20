/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_BACKEND_H
#define ATOMD_BACKEND_H

/*
 * atom.backend/1: answers agent calls.
 *
 * The host makes one component per revision (`create`), starts units of
 * capacity (`instance_start`), and begins calls on them (`invoke`).  Each call
 * that began gets exactly one `finish` from the backend, whatever happens.
 *
 *	        invoke -> OK                      finish
 *	(idle) -------------> begin emit* usage? --------> (ended)
 *	   |  invoke -> error                       ^
 *	   +--> (ended; no finish)      cancel -----+ finish is still owed
 *
 * Three styles, by flags:
 *   owned (no flag): the unit lives on one loop; its functions run there and
 *     must not block.
 *   ATOM_BACKEND_SHARED: no unit state; `invoke` runs on the loop that has
 *     the call, several loops at once ([loop*]); instance_start is not called
 *     and `unit` is NULL.
 *   ATOM_BACKEND_BLOCKING: `invoke` may block and returns after its own
 *     `finish`; up to `concurrency` at once, each on a thread kept for this
 *     component, so that a hung one slows nobody else.  `unit` is NULL.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>
#include <atomd/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	ATOM_BACKEND_SHARED = 1,
	ATOM_BACKEND_BLOCKING = 2
};

/* A call, valid from `invoke` until `finish`.  A number and not a pointer: a
 * late use finds a newer generation and is refused and counted. */
typedef uint64_t atom_call;

/* A unit of capacity, named by the host, valid from instance_start until
 * instance_stop's `stopped`. */
typedef uint64_t atom_unit;

/* What a call asks for.  Valid until `finish` when reached by
 * `atom_backend_host.request`; all strings NUL-ended, UTF-8, never NULL (""
 * when absent); spans may be empty (bytes NULL). */
struct atom_call_request {
	uint32_t struct_size;
	uint32_t flags;	       /* ATOM_CALL_* */
	const char *operation; /* "chat" */
	const char *agent;
	const char *request_id;
	const char *traceparent;
	const char *session_id; /* "" = no session */
	const char *model;	/* the agent's name as the caller wrote it */
	/* JSON array of messages ({"role","content",...}), as the model shall
	 * see them: the agent's system prompt, the session's memory, the
	 * caller's messages. */
	struct atom_span messages;
	/* The caller's input: a plain invoke's `input` member as JSON text; a
	 * chat call's last user message's content as JSON text. */
	struct atom_span input;
	/* A chat call's body as the caller sent it, empty for invoke.  Splice
	 * it instead of building it anew; `body_messages` is where its
	 * `messages` array stands within `body`. */
	struct atom_span body;
	struct atom_span body_messages;
	/* The session's backend state (set_state of the last success). */
	struct atom_span state;
	int64_t max_tokens;	/* effective; 0 = leave it alone */
	int64_t deadline_ms;	/* left, at the time of the call */
	int64_t first_token_ms; /* 0 = none; streams only */
	int64_t stall_ms;	/* 0 = none; streams only */
	int64_t connect_ms;
	int32_t attempt; /* from 1 */
	int32_t reserved;
};

enum {
	ATOM_CALL_STREAM = 1,  /* the caller wants deltas */
	ATOM_CALL_INVOKE = 2,  /* came by /invoke: no `body` */
	ATOM_CALL_PROBE = 4,   /* a synthetic call */
	ATOM_CALL_DRY_RUN = 8, /* mirrored: tools must not act */
	/* The caller's body asks for usage in the stream itself. */
	ATOM_CALL_WANTS_STREAM_USAGE = 16
};

/* Kinds of emitted bytes. */
enum {
	ATOM_EMIT_TEXT = 1, /* UTF-8 text of the answer, a delta */
	/* The answer's text as whole JSON value (an object answer); not with
	 * TEXT in one call. */
	ATOM_EMIT_JSON = 2,
	/* The `delta` member of an OpenAI chunk as JSON text: tool calls. */
	ATOM_EMIT_DELTA = 3,
	/* Pass-through, OpenAI's format: not streaming, bytes of the whole
	 * chat.completion object; streaming, one whole chunk object a call. */
	ATOM_EMIT_RAW = 4,
	/* Progress: {"type","data"} as JSON text; proof of life. */
	ATOM_EMIT_EVENT = 5
};

/* Why an answer ended, for `finish_reason`. */
enum {
	ATOM_FINISH_STOP = 0,
	ATOM_FINISH_LENGTH = 1,
	ATOM_FINISH_TOOL_CALLS = 2,
	ATOM_FINISH_CONTENT_FILTER = 3
};

/* Both counts negative: nobody has counted, and the host estimates. */
struct atom_usage {
	uint32_t struct_size;
	int32_t finish_reason; /* ATOM_FINISH_* */
	int64_t input_tokens;
	int64_t output_tokens;
	int64_t cached_tokens; /* of the input */
};

#define ATOM_EMIT_MAX (8 * 1024 * 1024) /* bytes of one emit */

#define ATOM_BACKEND_HOST "atom.backend-host/1"

/* The host's half of a backend, a service.  Functions about a call: owned and
 * shared styles on the loop where `invoke` ran; blocking style on the
 * component's thread.  `cancelled` from any thread. */
struct atom_backend_host {
	uint32_t struct_size;
	uint32_t flags;

	/* --- units: [loop] of the unit --- */
	/* Once a unit may take calls.  `concurrency`: what the unit itself can
	 * do at once, 0 = as configured; the smaller one counts. */
	void (*ready)(const struct atom_host *host, atom_unit unit,
		      int32_t concurrency);
	/* The unit did not start, or was lost later: calls on it that have
	 * not ended must still be finished, before or after.  The host starts
	 * another one with back-off; instance_stop is still called. */
	void (*failed)(const struct atom_host *host, atom_unit unit,
		       const struct atom_error *err);
	/* Take no new calls to this unit: it will be replaced once idle. */
	void (*retire)(const struct atom_host *host, atom_unit unit,
		       const char *reason);
	/* Answers instance_stop: nothing of the unit is left. */
	void (*stopped)(const struct atom_host *host, atom_unit unit);
	/* What the unit uses, for scaling and `memory_limit`. */
	void (*measured)(const struct atom_host *host, atom_unit unit,
			 int64_t memory_bytes, int64_t cpu_ms);

	/* --- calls --- */
	const struct atom_call_request *(*request)(const struct atom_host *host,
						   atom_call call);
	/* Optional, at most once, before emit: a pass-through answer's HTTP
	 * status (200) and content type.  Errors go through `finish`. */
	void (*begin)(const struct atom_host *host, atom_call call,
		      int32_t status, const char *content_type);
	/* Hands over bytes, always whole, copied at once.  ATOM_EBUSY: taken,
	 * but wait for `resume` before more (a blocking backend is made to
	 * wait inside instead); after 1 MiB taken beyond that ATOM_ELIMIT:
	 * not taken, the call is being cancelled.  ATOM_ECANCELED: thrown
	 * away, finish soon.  ATOM_EINVAL: no such call any more. */
	atom_status (*emit)(const struct atom_host *host, atom_call call,
			    int32_t kind, const char *bytes, size_t length);
	void (*usage)(const struct atom_host *host, atom_call call,
		      const struct atom_usage *usage);
	/* New backend state of the session, at most 256 KiB, committed only
	 * when the call succeeds. */
	atom_status (*set_state)(const struct atom_host *host, atom_call call,
				 const struct atom_span *state);
	/* Exactly once.  After it the call is invalid.  `err` may be NULL
	 * with ATOM_OK. */
	void (*finish)(const struct atom_host *host, atom_call call,
		       atom_status status, const struct atom_error *err);
	int32_t (*cancelled)(const struct atom_host *host, atom_call call);
};

enum {
	ATOM_CANCEL_CLIENT_GONE = 1,
	ATOM_CANCEL_DEADLINE = 2,
	ATOM_CANCEL_SHUTDOWN = 3,
	ATOM_CANCEL_ADMIN = 4
};

struct atom_unit_spec {
	uint32_t struct_size;
	int32_t concurrency; /* calls at once, configured */
	const char *agent;
	const char *name; /* of the instance: "agent-3.7" */
	int64_t revision;
};

struct atom_backend_ops {
	ATOM_OPS_HEAD;
	/* NULL-ended list of operations served; NULL = { "chat", NULL }. */
	const char *const *operations;
	/* [loop] Begin to start a unit; sets *unit_self_r.  Answer later with
	 * ready or failed (also allowed before it returns). */
	atom_status (*instance_start)(void *self, atom_unit unit,
				      const struct atom_unit_spec *spec,
				      void **unit_self_r,
				      struct atom_error *err);
	/* [loop] No calls are left on it (or `force`): end it, answer with
	 * `stopped`; after that unit_self is the plugin's to have freed. */
	void (*instance_stop)(void *self, void *unit_self, int32_t force);
	/* [loop] [loop*] or the component's own thread, see above. */
	atom_status (*invoke)(void *self, void *unit_self, atom_call call,
			      struct atom_error *err);
	/* Same thread as invoke (blocking: [any]): stop soon; `finish` is
	 * still owed.  Why: ATOM_CANCEL_*.  May be NULL: then ask
	 * `cancelled`. */
	void (*cancel)(void *self, void *unit_self, atom_call call,
		       int32_t why);
	/* Same thread as invoke: the client has taken what there was.  May be
	 * NULL when emit's ATOM_EBUSY is never given attention. */
	void (*resume)(void *self, void *unit_self, atom_call call);
	/* [loop] How long a unit may take to stop, in ms, before it is told to
	 * with `force`.  May be NULL: 10,000. */
	int32_t (*stop_ms)(void *self);
};

#ifdef __cplusplus
}
#endif

#endif
