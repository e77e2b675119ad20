/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCESS_PRIV_H
#define PROCESS_PRIV_H

/*
 * The backend `process`: agents as child processes that speak the worker
 * protocol (docs/workers.md), one JSON object a line.
 *
 *	process.c	the component and its options
 *	launch.c	command, directory, user and environment of a worker
 *	worker.c	a worker's life, from its start to `stopped`
 *	supervise.c	its one timer: every deadline there is
 *	calls.c		the calls that run on it
 *	receive.c	lines from it, and receive_answer.c: those about calls
 *	send.c		lines to it
 *	json*.c bytes.c	what lines are made of
 *
 * A worker is an owned unit: everything below runs on the loop that started
 * it, and nothing blocks.  What the host is told may call straight back
 * (finish -> invoke, failed -> instance_stop), so a worker is only freed by
 * the last worker_leave().
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/backend.h>
#include <atomd/host.h>

#include "bytes.h"
#include "json.h"

struct process_options {
	struct atom_strings command;
	const char *directory;
	struct atom_map env;
	const char *user;
	int32_t transport;
	int64_t ready_timeout_ms;
	int64_t cancel_grace_ms;
	int64_t kill_grace_ms;
	int64_t no_progress_ms;
	int64_t ping_every_ms;
	int64_t max_requests;
	int64_t max_age;
	int64_t max_memory;
	int64_t address_space_max;
	int64_t open_files_max;
	int64_t line_max;
	int64_t credit_bytes;
	int64_t junk_lines_max;
};

enum {
	TRANSPORT_FD3,
	TRANSPORT_STDIO
};

/* One configured component. */
struct backend {
	const struct atom_host *host;
	const struct atom_backend_host *calls;
	const struct atom_process *process;
	const struct atom_timer *timer;
	const struct atom_clock *clock;
	const struct atom_secret *secret;
	const struct atom_log *log;
	const struct process_options *options;
	/* --- what launch.c made of the options --- */
	const char **command; /* NULL-ended */
	char *directory;
	const char *user;   /* NULL = stay who we are */
	char **environment; /* without ATOM_INSTANCE, which is a worker's */
	size_t environment_count;
};

enum call_state {
	CALL_FREE,
	CALL_RUNNING,
	CALL_CANCELLED, /* the worker has been told, its end is awaited */
	/* Ended for the host, not for the worker: what comes is dropped. */
	CALL_ZOMBIE
};

/*
 *	FREE --invoke--> RUNNING --its end, or the worker's--> FREE
 *			    |
 *			 cancel --> CANCELLED --its end------> FREE
 *					|
 *				  cancel_grace --> ZOMBIE ---> FREE
 */
struct call {
	enum call_state state;
	atom_call handle;
	uint64_t number; /* the second half of its id on the wire */
	bool stream;
	bool session;
	bool blocked; /* the client is slow */
	bool chunked; /* some part of the answer has gone out */
	size_t over;  /* bytes handed on since it was blocked */
	/* Of the text that has gone out: `output` repeats it. */
	uint64_t text_hash;
	size_t text_length;
	int32_t credit;		/* chunks granted and not used */
	size_t largest_chunk;	/* bytes */
	int64_t progress_at_ms; /* INT64_MAX = never */
	int64_t cancel_at_ms;	/* end of the grace */
	/* How the host is told that a cancelled call has ended. */
	atom_status verdict;
	const char *verdict_text;
};

enum worker_state {
	WORKER_STARTING,
	WORKER_READY,
	WORKER_LEAVING,	   /* asked to go: drain and end of file */
	WORKER_TERMINATED, /* SIGTERM sent */
	WORKER_KILLED,	   /* SIGKILL sent */
	WORKER_GONE	   /* reaped */
};

enum {
	CAP_CANCEL = 1,
	CAP_PING = 2,
	CAP_CREDIT = 4
};

/*
 *	STARTING --ready--> READY
 *	   |                  |
 *	   +-- stop, recycle -+--> LEAVING --cancel_grace--> TERMINATED
 *	   |                  |                                  | kill_grace
 *	   +--- fault, force -+------------------------------> KILLED
 *	(each) --exited--> GONE
 */
struct worker {
	struct backend *backend;
	atom_unit unit;
	struct atom_process_handle *process;
	struct atom_timer_handle *timer;
	enum worker_state state;
	char *name;
	int32_t concurrency; /* of the configuration, then the smaller one */
	uint32_t caps;
	unsigned int depth; /* entries that are under way */

	bool stop_wanted; /* instance_stop was called */
	bool retired;	  /* the host has been asked to replace it */
	bool told;	  /* the host knows that it is lost */
	bool over;	  /* gone, and its calls are ended */
	bool condemned;	  /* it ignores cancel: no grace when it stops */
	bool closed;	  /* its end of the socket */
	bool held;	  /* a slow client: its lines wait, unread */
	bool receiving;
	bool fault; /* nothing it says counts any more */
	int32_t exit_code;
	int32_t signal;

	struct call *calls; /* `concurrency` of them, from ready on */
	int32_t running;    /* calls that the host waits for */
	uint64_t calls_made;
	uint64_t requests_max; /* with jitter; 0 = none */
	int64_t junk_lines;
	struct bytes input; /* lines that are not whole, or held */
	size_t searched;    /* bytes of `input` known to hold no line end */
	struct bytes output;
	struct bytes text; /* a decoded string */

	/* --- deadlines, monotonic ms; INT64_MAX = none --- */
	int64_t timer_at_ms; /* what the timer is set to */
	int64_t phase_at_ms; /* of the state */
	int64_t age_at_ms;
	int64_t measure_at_ms;
	int64_t ping_at_ms; /* send one, or its answer is late */
	int64_t ping_number;
	bool ping_sent;
};

#define NEVER INT64_MAX

/* --- launch.c --- */

/* [control] Fills the backend's launch part from its options. */
atom_status launch_prepare(struct backend *b, struct atom_error *err);
void launch_free(struct backend *b);
atom_status launch(struct worker *w, const struct atom_process_events *events,
		   struct atom_error *err);

/* --- worker.c --- */

atom_status worker_start(struct backend *b, atom_unit unit,
			 const struct atom_unit_spec *spec,
			 struct worker **worker_r, struct atom_error *err);
void worker_stop(struct worker *w, bool force);
/* Around everything that comes from outside; `w` may be gone after the
 * second. */
void worker_enter(struct worker *w);
void worker_leave(struct worker *w);
/* It has said `ready`. */
void worker_ready(struct worker *w);
/* Replace it once it is idle. */
void worker_retire(struct worker *w, const char *reason);
/* Ends it and its calls now: it cannot be talked to. */
ATOM_PRINTF(2, 3)
void worker_fail(struct worker *w, const char *format, ...);
/* It cannot be sent anything: its exit, which ends its calls, is near. */
void worker_unreachable(struct worker *w);
/* SIGTERM, and SIGKILL after the grace. */
void worker_terminate(struct worker *w);
ATOM_PRINTF(4, 5)
void worker_log(const struct worker *w, int32_t level, const char *event,
		const char *format, ...);

/* --- supervise.c --- */

int64_t now_ms(const struct backend *b);
/* Wakes the supervision at `at_ms` at the latest. */
void supervise_by(struct worker *w, int64_t at_ms);
void supervise(void *worker);
/* A number of 0 to `most`. */
int64_t jitter(const struct backend *b, int64_t most);

/* --- calls.c --- */

atom_status calls_make_room(struct worker *w);
atom_status call_begin(struct worker *w, atom_call handle,
		       struct atom_error *err);
/* The one whose state is RUNNING or CANCELLED, or NULL. */
struct call *call_of_handle(struct worker *w, atom_call handle);
/* By its id on the wire; NULL when it has ended, or never was. */
struct call *call_of_id(struct worker *w, const struct json_value *id);
/* Tells the worker to stop; the host learns `status` and `text` (a literal) at
 * the call's end, or when the grace is over. */
void call_cancel(struct worker *w, struct call *call, const char *reason,
		 atom_status status, const char *text);
void call_cancel_overdue(struct worker *w, struct call *call);
void call_resume(struct worker *w, struct call *call);
/* Hands over a part of the answer. */
void call_emit(struct worker *w, struct call *call, int32_t kind,
	       const char *bytes, size_t length);
/* The worker's end of a call. */
void call_end(struct worker *w, struct call *call, atom_status status,
	      const struct atom_error *err);
void calls_end_all(struct worker *w, const struct atom_error *err);

/* --- receive.c, receive_answer.c --- */

void receive(struct worker *w, const char *bytes, size_t length);
/* Goes on with lines that waited. */
void receive_held(struct worker *w);
/* A line about `call`; false when it does not say what it must. */
bool receive_chunk(struct worker *w, struct call *call,
		   const struct json_object *line);
bool receive_event(struct worker *w, struct call *call,
		   const struct json_object *line);
bool receive_result(struct worker *w, struct call *call,
		    const struct json_object *line);
bool receive_error(struct worker *w, struct call *call,
		   const struct json_object *line);

/* --- send.c --- */

atom_status send_call(struct worker *w, const struct call *call,
		      const struct atom_call_request *request,
		      struct atom_error *err);
void send_cancel(struct worker *w, const struct call *call, const char *reason);
void send_credit(struct worker *w, const struct call *call, int32_t chunks);
void send_ping(struct worker *w);
void send_drain(struct worker *w);

#endif
