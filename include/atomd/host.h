/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_HOST_H
#define ATOMD_HOST_H

/*
 * What the daemon offers to a plugin.  A component is given a
 * `const struct atom_host *` at `create`; it asks for services by id and gets
 * a constant table of functions, or NULL when this daemon has none of that
 * name: cope, or fail `create` with a sentence.
 *
 *	const struct atom_log *log = atom_service(host, ATOM_LOG);
 *
 * The host pointer and the tables live as long as the component.  The host
 * knows by the pointer which component is asking.
 */

#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atom_host {
	uint32_t struct_size;
	uint16_t abi_major;
	uint16_t abi_minor;
	const char *version; /* of the daemon, for people */
	/* Folder of the configuration file, absolute: where relative paths of
	 * options start. */
	const char *directory;
	/* [any] NULL when there is no such service here. */
	const void *(*service)(const struct atom_host *host, const char *id);
	void *host_private;
};

static inline ATOM_UNUSED const void *atom_service(const struct atom_host *host,
						   const char *id)
{
	return host->service(host, id);
}

/* A run of bytes that somebody else owns. */
struct atom_span {
	const char *bytes;
	size_t length;
};

/* --- log ---------------------------------------------------------------- */

#define ATOM_LOG "atom.log/1"

enum {
	ATOM_LOG_ERROR = 0,
	ATOM_LOG_WARN = 1,
	ATOM_LOG_INFO = 2,
	ATOM_LOG_DEBUG = 3
};

/* One field of a log line.  text != NULL: a string; else `number`. */
struct atom_log_field {
	const char *name;
	const char *text;
	int64_t number;
};

/* A line is one JSON object; the host adds time, level, plugin, component.
 * Control bytes are escaped, lines cut at 8 KiB, floods counted. [any] */
struct atom_log {
	uint32_t struct_size;
	uint32_t flags;
	/* `event` is a stable lower-case word, `message` prose. */
	void (*write)(const struct atom_host *host, int32_t level,
		      const char *event, const char *message,
		      const struct atom_log_field *fields, size_t field_count);
	int32_t (*enabled)(const struct atom_host *host, int32_t level);
};

/* --- metric ------------------------------------------------------------- */

#define ATOM_METRIC "atom.metric/1"

enum {
	ATOM_METRIC_COUNTER = 1,
	ATOM_METRIC_GAUGE = 2,
	ATOM_METRIC_HISTOGRAM = 3
};

struct atom_metric_spec {
	uint32_t struct_size;
	int32_t type;
	const char
		*name; /* Prometheus name, base units, `_total` on counters */
	const char *help;
	const char *unit;		/* "seconds", "bytes", or "" */
	const char *const *label_names; /* NULL-ended, at most 4; or NULL */
	const double *bounds;		/* histogram: upper bounds, rising */
	size_t bound_count;		/* at most 32 */
};

/* Label values must come from configuration, never from a stranger; a
 * family holds at most 1,000 series and counts what it drops. */
struct atom_metric {
	uint32_t struct_size;
	uint32_t flags;
	/* [control] or in create: declare a family; the same name and spec
	 * twice gives the same one. */
	atom_status (*declare)(const struct atom_host *host,
			       const struct atom_metric_spec *spec,
			       uint32_t *family_r, struct atom_error *err);
	/* [any] the series of these label values (as many as declared). */
	atom_status (*series)(const struct atom_host *host, uint32_t family,
			      const char *const *label_values,
			      uint32_t *series_r, struct atom_error *err);
	/* [any] counter: add (>= 0); gauge: set; histogram: observe. */
	void (*update)(const struct atom_host *host, uint32_t series,
		       double value);
};

/* --- clock -------------------------------------------------------------- */

#define ATOM_CLOCK "atom.clock/1"

struct atom_clock {
	uint32_t struct_size;
	uint32_t flags;
	int64_t (*monotonic_ns)(const struct atom_host *host); /* [any] */
	int64_t (*realtime_ms)(const struct atom_host *host);  /* [any] */
};

/* --- timer -------------------------------------------------------------- */

#define ATOM_TIMER "atom.timer/1"

struct atom_timer_handle;

/* Timers of the calling thread's loop. [control] or [loop]: create, set and
 * free on one and the same thread; the callback runs there. */
struct atom_timer {
	uint32_t struct_size;
	uint32_t flags;
	atom_status (*create)(const struct atom_host *host,
			      void (*fire)(void *argument), void *argument,
			      struct atom_timer_handle **timer_r,
			      struct atom_error *err);
	/* Fire once after `after_ms`, then each `every_ms` (0 = once). */
	void (*set)(struct atom_timer_handle *timer, int64_t after_ms,
		    int64_t every_ms);
	void (*stop)(struct atom_timer_handle *timer);
	void (*free)(struct atom_timer_handle **timer);
};

/* --- work: run it where it may block ------------------------------------ */

#define ATOM_WORK "atom.work/1"

struct atom_work {
	uint32_t struct_size;
	uint32_t flags;
	/* [control] [loop]: `run` on a pool thread, then `done` on the calling
	 * thread.  `done` runs exactly once, also at stop (status
	 * ATOM_ECANCELED when `run` never ran). */
	atom_status (*submit)(const struct atom_host *host,
			      void (*run)(void *argument),
			      void (*done)(void *argument, atom_status status),
			      void *argument, struct atom_error *err);
};

/* --- secret ------------------------------------------------------------- */

#define ATOM_SECRET "atom.secret/1"

struct atom_secret {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] Replace every known secret of the configuration that occurs in
	 * `text` by `***`, in place.  Returns how many were found. */
	size_t (*redact)(const struct atom_host *host, char *text);
	/* [any] Overwrite bytes in a way that no compiler removes. */
	void (*wipe)(void *bytes, size_t length);
	/* [any] `length` random bytes fit for keys. */
	atom_status (*random)(void *bytes, size_t length,
			      struct atom_error *err);
};

/* --- seal: encryption at rest ------------------------------------------- */

#define ATOM_SEAL "atom.seal/1"

/* Bytes that a sealed text is longer than its plain one, at most. */
#define ATOM_SEAL_OVERHEAD 64

/* AES-256-GCM under the data key of the host's keyring that is current; the
 * sealed text names its key's version, so that older ones open as long as the
 * keyring holds their keys.  `identity` says what the bytes are ("segment 12
 * frame 3"): only the same opens them, so that sealed texts cannot change
 * places.  It is bound to the component as well.  [any] */
struct atom_seal {
	uint32_t struct_size;
	uint32_t flags;
	/* `out` has room for plain->length + ATOM_SEAL_OVERHEAD. */
	atom_status (*seal)(const struct atom_host *host,
			    const struct atom_span *identity,
			    const struct atom_span *plain, char *out,
			    size_t *length_r, struct atom_error *err);
	/* `out` has room for sealed->length; ATOM_EDATALOSS: not sealed by
	 * this keyring under this identity, or changed since. */
	atom_status (*open)(const struct atom_host *host,
			    const struct atom_span *identity,
			    const struct atom_span *sealed, char *out,
			    size_t *length_r, struct atom_error *err);
};

/* --- state: small durable records of one component ----------------------- */

#define ATOM_STATE "atom.state/1"

#define ATOM_STATE_KEY_MAX   200
#define ATOM_STATE_VALUE_MAX (1024 * 1024)

/* Each component has a name space of its own.  [control] [loop]: the answer
 * comes on the calling thread. */
struct atom_state {
	uint32_t struct_size;
	uint32_t flags;
	/* value.bytes is NULL with ATOM_ENOENT. `version` counts from 1. */
	atom_status (*get)(const struct atom_host *host, const char *key,
			   void (*done)(void *argument, atom_status status,
					const struct atom_span *value,
					uint64_t version),
			   void *argument, struct atom_error *err);
	/* Durable when `done` says ATOM_OK.  `expected_version`: 0 = must not
	 * exist, UINT64_MAX = any; else ATOM_ECONFLICT when it differs.  A
	 * NULL value.bytes deletes. */
	atom_status (*put)(const struct atom_host *host, const char *key,
			   const struct atom_span *value,
			   uint64_t expected_version,
			   void (*done)(void *argument, atom_status status,
					uint64_t version),
			   void *argument, struct atom_error *err);
};

/* --- event -------------------------------------------------------------- */

#define ATOM_EVENT "atom.event/1"

struct atom_event {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] Tell every monitor, and the log once, as `plugin_event`: a
	 * plugin needs no line of its own for it.  `name` is a stable word
	 * (`instance.lost`), `json` one JSON object, copied at once. */
	void (*publish)(const struct atom_host *host, const char *name,
			const char *agent, const struct atom_span *json);
};

/* --- invoke: ask another agent ------------------------------------------ */

#define ATOM_INVOKE "atom.invoke/1"

#define ATOM_INVOKE_INPUT_MAX (256 * 1024)

struct atom_invoke_request {
	uint32_t struct_size;
	int32_t timeout_ms;
	const char *agent;
	const char *input;  /* the user message, UTF-8 */
	int64_t max_tokens; /* 0 = the agent's own */
};

struct atom_invoke_answer {
	uint32_t struct_size;
	int32_t reserved;
	struct atom_span text;
	int64_t input_tokens;
	int64_t output_tokens;
};

struct atom_invoke {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] `done` runs exactly once, on the control thread; `answer` is
	 * NULL unless status is ATOM_OK. */
	atom_status (*call)(
		const struct atom_host *host,
		const struct atom_invoke_request *request,
		void (*done)(void *argument, atom_status status,
			     const struct atom_invoke_answer *answer,
			     const struct atom_error *error),
		void *argument, struct atom_error *err);
};

/* --- http: a client on this loop ----------------------------------------- */

#define ATOM_HTTP "atom.http/1"

struct atom_http_transfer;

enum {
	/* Sent to the server as it is: no decompression, no redirects. */
	ATOM_HTTP_INSECURE = 1, /* do not verify the certificate */
	ATOM_HTTP_VERSION_2 = 2 /* a wish: offer HTTP/2 where this daemon can */
};

struct atom_http_request {
	uint32_t struct_size;
	uint32_t flags;
	const char *method; /* "GET", "POST" ... */
	const char *url;    /* http:// or https:// */
	/* "Name: value" lines without line ends; copied. */
	const char *const *headers;
	size_t header_count;
	/* The body, in pieces that stay valid until `end`; never re-sent by
	 * the transport on its own. */
	const struct atom_span *body;
	size_t body_count;
	const char *proxy;   /* NULL = none; environment is not read */
	const char *ca_file; /* NULL = the system's */
	int32_t connect_ms;  /* to a usable connection; 0 = 10,000 */
	int32_t total_ms;    /* whole transfer; 0 = none */
	int32_t stall_ms;    /* longest silence once begun; 0 = none */
	int32_t head_ms;     /* until the answer's head; 0 = none */
	uint64_t answer_max; /* bytes of answer body; 0 = 64 MiB */
};

/* [loop] All of it on the loop that called `start`. */
struct atom_http_events {
	uint32_t struct_size;
	uint32_t flags;
	/* The final status line and header fields: once, before any data. */
	void (*head)(void *argument, struct atom_http_transfer *transfer,
		     int32_t status);
	/* Body bytes as they come. */
	void (*data)(void *argument, struct atom_http_transfer *transfer,
		     const char *bytes, size_t length);
	/* Exactly once, and the transfer is gone when it returns.  ATOM_OK
	 * only when the whole announced answer has come. error: ETIMEOUT, EIO,
	 * ELIMIT, EPROTO, ECANCELED.  `request_sent`: some byte of the request
	 * may have reached the server. */
	void (*end)(void *argument, atom_status status, int32_t request_sent,
		    const struct atom_error *error);
};

struct atom_http {
	uint32_t struct_size;
	uint32_t flags;
	/* [loop] [loop*] [control]: begins; `events` and `argument` live until
	 * `end`, which never runs before `start` has returned. */
	atom_status (*start)(const struct atom_host *host,
			     const struct atom_http_request *request,
			     const struct atom_http_events *events,
			     void *argument,
			     struct atom_http_transfer **transfer_r,
			     struct atom_error *err);
	/* Ends it at once: `end` runs with ATOM_ECANCELED before it returns. */
	void (*cancel)(struct atom_http_transfer *transfer);
	/* Backpressure: while paused no `data` comes and the peer is made to
	 * wait; the stall clock stands still. */
	void (*pause)(struct atom_http_transfer *transfer);
	void (*resume)(struct atom_http_transfer *transfer);
	/* Value of an answer's header field, or NULL; from `head` to `end`. */
	const char *(*header)(struct atom_http_transfer *transfer,
			      const char *name);
};

/* --- process: children --------------------------------------------------- */

#define ATOM_PROCESS "atom.process/1"

struct atom_process_handle;

enum {
	/* The protocol socket is the child's standard input and output, not
	 * descriptor 3. */
	ATOM_PROCESS_STDIO = 1,
	/* With it: its standard error too, which makes no log lines then. */
	ATOM_PROCESS_STDERR = 2
};

struct atom_process_request {
	uint32_t struct_size;
	uint32_t flags;
	const char *const *command; /* NULL-ended; [0] is searched in PATH */
	const char *directory;	    /* working directory, NULL = the daemon's */
	/* "NAME=value", NULL-ended: the whole environment of the child. */
	const char *const *environment;
	const char *user; /* switch to it when the daemon may; NULL = none */
	const char *log_name;	/* names the child in log lines */
	int64_t memory_max;	/* bytes of address space or cgroup; 0 = none */
	int64_t open_files_max; /* 0 = 1,024 */
};

/* Of the child and its descendants; CPU and memory of its control group,
 * version 2, where it was started in one of its own. */
struct atom_process_usage {
	uint32_t struct_size;
	int32_t process_count;
	int64_t memory_bytes; /* resident; a group's: all but inactive files */
	int64_t cpu_ms;	      /* user and system */
};

/* [loop] [control] All of it on the loop that called `spawn`. */
struct atom_process_events {
	uint32_t struct_size;
	uint32_t flags;
	/* Bytes from the child's protocol socket. */
	void (*data)(void *argument, const char *bytes, size_t length);
	/* What was written has gone out; write more. */
	void (*drained)(void *argument);
	/* The child closed its end, or reading failed. */
	void (*closed)(void *argument);
	/* The child has ended and is reaped; the last event.  `exit_code` is
	 * -1 when `signal` ended it. */
	void (*exited)(void *argument, int32_t exit_code, int32_t signal);
};

/* The child leads a process group of its own, gets no descriptor but 0, 1, 2
 * and 3, dies with the daemon, and gains no privileges.  Its stdout and
 * stderr become log lines. */
struct atom_process {
	uint32_t struct_size;
	uint32_t flags;
	atom_status (*spawn)(const struct atom_host *host,
			     const struct atom_process_request *request,
			     const struct atom_process_events *events,
			     void *argument,
			     struct atom_process_handle **process_r,
			     struct atom_error *err);
	/* Copied at once; ATOM_EBUSY: taken, but wait for `drained`;
	 * ATOM_ELIMIT: over 16 MiB unsent, not taken; ATOM_EIO: closed. */
	atom_status (*write)(struct atom_process_handle *process,
			     const char *bytes, size_t length);
	void (*pause)(struct atom_process_handle *process);  /* stop reading */
	void (*resume)(struct atom_process_handle *process); /* read again */
	/* Close our end of the protocol socket: the child sees end of file. */
	void (*close_input)(struct atom_process_handle *process);
	/* Signal the whole process group. */
	void (*signal)(struct atom_process_handle *process, int32_t signal);
	atom_status (*usage)(struct atom_process_handle *process,
			     struct atom_process_usage *usage_r);
	int64_t (*pid)(struct atom_process_handle *process);
	/* Kill what is left (SIGKILL) and forget it: no event comes after. */
	void (*free)(struct atom_process_handle **process);
};

#ifdef __cplusplus
}
#endif

#endif
