/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a worker says.  The first two bytes choose the transport,
 * how many calls it has, when the client is slow, and how the rest is cut.
 * What reaches the host must not depend on the cut, a text must be UTF-8,
 * everything else JSON, and each call ends at most once.
 */
#include <stdarg.h>
#include <stdio.h>

#include "pieces.h"

#include "core/buffer.h"
#include "judge.h"
#include "plugins/backend/process/process_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define CALLS 2

/* One reading of the input. */
static struct run {
	struct buffer heard; /* all that the host was told */
	unsigned int slow;   /* each so manieth piece finds a slow client */
	unsigned int emits;
	int ended[CALLS];
	int busy[CALLS]; /* until the client has read on */
} run;

static void heard(const char *what, const void *bytes, size_t length)
{
	if (buffer_append_text(&run.heard, what) != ATOM_OK ||
	    buffer_append(&run.heard, bytes, length) != ATOM_OK ||
	    buffer_append_char(&run.heard, '\n') != ATOM_OK)
		abort();
}

/* --- the host ------------------------------------------------------------------ */

static atom_status host_emit(const struct atom_host *host, atom_call call,
			     int32_t kind, const char *bytes, size_t length)
{
	char what[32];

	(void)host;
	if (run.ended[call] || length == 0 || length > ATOM_EMIT_MAX)
		abort();
	if (kind == ATOM_EMIT_TEXT)
		must_be_utf8(bytes, length);
	else
		must_be_json(bytes, length);
	(void)snprintf(what, sizeof(what), "emit %d %d ", (int)call, (int)kind);
	heard(what, bytes, length);
	if (run.slow > 0 && ++run.emits % run.slow == 0)
		run.busy[call] = 1;
	return run.busy[call] ? ATOM_EBUSY : ATOM_OK;
}

static void host_usage(const struct atom_host *host, atom_call call,
		       const struct atom_usage *usage)
{
	(void)host;
	/* Both counts are negative where nobody has counted. */
	if (run.ended[call] || usage->cached_tokens < 0 ||
	    (usage->input_tokens < 0) != (usage->output_tokens < 0))
		abort();
	heard("usage ", usage, sizeof(*usage));
}

static atom_status host_set_state(const struct atom_host *host, atom_call call,
				  const struct atom_span *state)
{
	(void)host;
	if (run.ended[call])
		abort();
	must_be_json(state->bytes, state->length);
	heard("state ", state->bytes, state->length);
	return state->length > 64 ? ATOM_ELIMIT : ATOM_OK;
}

static void host_finish(const struct atom_host *host, atom_call call,
			atom_status status, const struct atom_error *err)
{
	char what[64];

	(void)host;
	if (run.ended[call]++ || (status == ATOM_OK) != (err == NULL))
		abort();
	(void)snprintf(what, sizeof(what), "finish %d %d ", (int)call,
		       (int)status);
	heard(what, err != NULL ? err->message : "",
	      err != NULL ? strlen(err->message) : 0);
}

static const struct atom_call_request *host_request(
	const struct atom_host *host, atom_call call)
{
	static const struct atom_call_request requests[CALLS] = {
		{ .flags = ATOM_CALL_STREAM, .session_id = "s" },
		{ .session_id = "" },
	};

	(void)host;
	return &requests[call];
}

static const struct atom_backend_host host_calls = {
	.struct_size = sizeof(host_calls),
	.emit = host_emit,
	.usage = host_usage,
	.set_state = host_set_state,
	.finish = host_finish,
	.request = host_request,
};

/* --- the rest of the plugin ------------------------------------------------------ */

int64_t now_ms(const struct backend *b)
{
	(void)b;
	return 1000;
}

void supervise_by(struct worker *w, int64_t at_ms)
{
	(void)w;
	(void)at_ms;
}

void worker_ready(struct worker *w)
{
	if (w->state != WORKER_STARTING || w->concurrency < 1)
		abort();
	w->state = WORKER_READY;
	heard("ready", "", 0);
	if (calls_make_room(w) != ATOM_OK)
		abort();
	for (atom_call call = 0; call < (atom_call)w->concurrency; call++)
		if (call_begin(w, call, NULL) != ATOM_OK)
			abort();
}

void worker_retire(struct worker *w, const char *reason)
{
	(void)w;
	(void)reason;
}

void worker_fail(struct worker *w, const char *format, ...)
{
	char text[512];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	w->fault = true;
	heard("fail ", text, strlen(text));
}

void worker_unreachable(struct worker *w)
{
	(void)w;
	abort();
}

void worker_log(const struct worker *w, int32_t level, const char *event,
		const char *format, ...)
{
	(void)w;
	(void)level;
	(void)format;
	heard("log ", event, strlen(event));
}

atom_status send_call(struct worker *w, const struct call *call,
		      const struct atom_call_request *request,
		      struct atom_error *err)
{
	(void)w;
	(void)call;
	(void)request;
	(void)err;
	return ATOM_OK;
}

void send_cancel(struct worker *w, const struct call *call, const char *reason)
{
	(void)w;
	(void)call;
	heard("cancel ", reason, strlen(reason));
}

void send_credit(struct worker *w, const struct call *call, int32_t chunks)
{
	(void)w;
	if (chunks <= 0 || call->state != CALL_RUNNING)
		abort();
}

/* --- one reading ------------------------------------------------------------------ */

/* The client has read on: the lines that waited are taken. */
static void go_on(struct worker *w)
{
	for (atom_call handle = 0; handle < CALLS; handle++) {
		struct call *call = call_of_handle(w, handle);

		if (call != NULL && run.busy[handle]) {
			run.busy[handle] = 0;
			call_resume(w, call);
		}
	}
	if (!w->held)
		receive_held(w);
}

static void hear(const uint8_t *bytes, size_t size, uint8_t mode, uint8_t seed)
{
	struct process_options options = {
		.transport = mode & 1 ? TRANSPORT_STDIO : TRANSPORT_FD3,
		.line_max = 4096,
		.credit_bytes = 4096,
		.junk_lines_max = 3,
		.cancel_grace_ms = 10,
	};
	struct backend backend = {
		.calls = &host_calls,
		.options = &options,
	};
	struct worker w = {
		.backend = &backend,
		.state = WORKER_STARTING,
		.name = (char *)(uintptr_t) "a-1",
		.concurrency = mode & 2 ? CALLS : 1,
	};
	struct pieces pieces = pieces_of(bytes, size, seed);
	const char *piece;
	size_t length;

	run = (struct run){ .heard = BUFFER_INIT(SIZE_MAX),
			    .slow = mode & 4 ? 1u + (mode >> 3) % 4u : 0 };
	while ((piece = pieces_next(&pieces, &length)) != NULL && !w.fault) {
		receive(&w, piece, length);
		while (w.held && !w.fault)
			go_on(&w);
	}
	free(pieces.piece);
	if (w.calls != NULL) {
		struct atom_error err = ATOM_ERROR_INIT;

		(void)atom_fail(&err, ATOM_EUNAVAILABLE, "gone");
		calls_end_all(&w, &err);
		for (int32_t i = 0; i < w.concurrency; i++)
			if (run.ended[i] != 1)
				abort();
	}
	free(w.calls);
	bytes_fini(&w.input);
	bytes_fini(&w.output);
	bytes_fini(&w.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct buffer whole;

	if (size < 2)
		return 0;
	hear(bytes + 2, size - 2, bytes[0], 0);
	whole = run.heard;
	hear(bytes + 2, size - 2, bytes[0], bytes[1]);
	if (whole.length != run.heard.length ||
	    (whole.length > 0 &&
	     memcmp(whole.bytes, run.heard.bytes, whole.length) != 0))
		abort();
	buffer_fini(&whole);
	buffer_fini(&run.heard);
	return 0;
}
