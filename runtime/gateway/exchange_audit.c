/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/exchange_priv.h"
#include "security/secret.h"

/*
 * A call in the audit log: who called which revision of what, how it ended,
 * lengths and tokens; never what was said.  A session is named by a keyed hash,
 * which tells calls of one conversation from others and nothing more.
 */

/* A sink that hangs is not waited for. */
#define DEADLINE_MS 5000

/* Details in the order of their names, which spares the sorting. */
static void describe(const struct exchange *x, int status, const char *code,
		     char session[SECRET_TRACE_MAX],
		     struct audit_record *record)
{
	const struct call *call = &x->call;

	record->event = status >= 500 ? AUDIT_CALL_FAILED : AUDIT_CALL;
	record->user = x->user;
	record->address = x->address;
	record->request_id = x->request_id;
	audit_text(record, "agent", revision_agent(x->revision));
	if (code != NULL && code[0] != '\0')
		audit_text(record, "code", code);
	if (call->began_ns != 0)
		audit_number(record, "duration_ms",
			     (os.monotonic_ns() - call->began_ns) / 1000000);
	audit_number(record, "input_bytes", (int64_t)x->body_length);
	audit_number(record, "input_tokens", call->usage.input_tokens);
	audit_number(record, "output_bytes", (int64_t)x->output_bytes);
	audit_number(record, "output_tokens", call->usage.output_tokens);
	audit_text(record, "revision", revision_label(x->revision));
	if (x->conversation != NULL) {
		secret_trace(x->conversation->principal, x->conversation->id,
			     session);
		audit_text(record, "session", session);
	}
	audit_number(record, "status", status);
	audit_number(record, "stream", x->stream);
}

void exchange_record(const struct exchange *x, int status, const char *code)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_NONE);
	char session[SECRET_TRACE_MAX];

	if (!audit_enabled() || audit_calls() == CONFIG_AUDIT_NONE)
		return;
	describe(x, status, code, session, &record);
	(void)audit_post(&record, AUDIT_BATCHED, NULL);
}

/* --- strict: the answer waits for its record ------------------------------------- */

struct exchange_held {
	struct audit_waiter waiter;
	struct timer deadline;
	struct exchange *exchange; /* NULL once it is not waited for */
	struct api_error error;
	struct buffer body;
	bool released; /* the call has let go of the exchange */
};

static void let_go(struct exchange_held *held, bool durable)
{
	struct exchange *x = TAKE(held->exchange);
	struct api_error *e = &held->error;

	timer_stop(&held->deadline);
	x->held = NULL;
	if (!durable)
		api_error_set(e, "audit_unavailable", NULL,
			      "the call has ended, but it cannot be recorded "
			      "in the audit log, so its answer is withheld");
	if (x->request != NULL)
		exchange_deliver(x, e, &held->body);
	if (held->released)
		exchange_free(x);
}

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct exchange_held *held =
		CONTAINER_OF(waiter, struct exchange_held, waiter);

	if (held->exchange != NULL)
		let_go(held, status == ATOM_OK);
	buffer_fini(&held->body);
	mem_free(held);
}

static void on_deadline(struct timer *timer)
{
	let_go(CONTAINER_OF(timer, struct exchange_held, deadline), false);
}

bool exchange_is_held(struct exchange *x)
{
	if (x->held == NULL)
		return false;
	x->held->released = true;
	return true;
}

static struct exchange_held *held_new(struct exchange *x,
				      const struct api_error *e,
				      const struct buffer *body)
{
	struct exchange_held *held = mem_zalloc(sizeof(*held));

	if (held == NULL)
		return NULL;
	held->exchange = x;
	held->error = *e;
	held->waiter.loop = x->loop;
	held->waiter.done = on_recorded;
	held->deadline.fire = on_deadline;
	buffer_init(&held->body, SIZE_MAX);
	if (e->status == 0 &&
	    buffer_append(&held->body, body->bytes, body->length) != ATOM_OK) {
		mem_free(held);
		return NULL;
	}
	return held;
}

/* Not recorded, not answered. */
static void withhold(struct exchange *x)
{
	struct api_error e;
	struct buffer none = BUFFER_INIT(0);

	api_error_set(&e, "audit_unavailable", NULL,
		      "the call has ended, but the audit log cannot be "
		      "written to, so its answer is withheld");
	exchange_deliver(x, &e, &none);
}

bool exchange_hold(struct exchange *x, const struct api_error *e,
		   const struct buffer *body)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_NONE);
	char session[SECRET_TRACE_MAX];
	int status = e->status == 0 ? 200 : e->status;

	if (!audit_enabled() || audit_calls() != CONFIG_AUDIT_STRICT)
		return false;
	describe(x, status, e->code, session, &record);
	x->held = held_new(x, e, body);
	if (x->held != NULL &&
	    audit_post(&record, AUDIT_SOON, &x->held->waiter) == ATOM_OK) {
		(void)timer_set(x->loop, &x->held->deadline, DEADLINE_MS);
		return true;
	}
	if (x->held != NULL)
		buffer_fini(&x->held->body);
	mem_free(TAKE(x->held));
	withhold(x);
	return true;
}
