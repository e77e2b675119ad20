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

static struct audit_call describe(const struct exchange *x, int status,
				  const char *code,
				  char session[SECRET_TRACE_MAX])
{
	const struct call *call = &x->call;

	session[0] = '\0';
	if (x->conversation != NULL)
		secret_trace(x->conversation->principal, x->conversation->id,
			     session);
	return (struct audit_call){
		.user = x->user,
		.address = x->address,
		.request_id = x->request_id,
		.agent = revision_agent(x->revision),
		.code = code,
		.revision = revision_label(x->revision),
		.session = session,
		.duration_ms =
			call->began_ns != 0
				? (os.monotonic_ns() - call->began_ns) / 1000000
				: -1,
		.input_bytes = (int64_t)x->body_length,
		.input_tokens = call->usage.input_tokens,
		.output_bytes = (int64_t)x->output_bytes,
		.output_tokens = call->usage.output_tokens,
		.status = status,
		.stream = x->stream,
	};
}

void exchange_record(const struct exchange *x, int status, const char *code)
{
	struct audit_call call;
	char session[SECRET_TRACE_MAX];

	if (!audit_enabled() || audit_calls() == CONFIG_AUDIT_NONE)
		return;
	call = describe(x, status, code, session);
	(void)audit_post_call(&call, AUDIT_BATCHED, NULL);
}

/* --- strict: the answer waits for its record ------------------------------------- */

struct exchange_held {
	struct audit_waiter waiter;
	struct timer deadline;
	struct exchange *exchange; /* NULL once it is not waited for */
	/* A reference: that of the call may be the last one. */
	struct revision *revision;
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
		exchange_done(x);
	revision_unref(TAKE(held->revision));
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
	struct audit_call call;
	char session[SECRET_TRACE_MAX];
	int status = e->status == 0 ? 200 : e->status;

	if (!audit_enabled() || audit_calls() != CONFIG_AUDIT_STRICT)
		return false;
	call = describe(x, status, e->code, session);
	x->held = held_new(x, e, body);
	if (x->held != NULL &&
	    audit_post_call(&call, AUDIT_SOON, &x->held->waiter) == ATOM_OK) {
		x->held->revision = x->revision;
		revision_ref(x->revision);
		(void)timer_set(x->loop, &x->held->deadline, DEADLINE_MS);
		return true;
	}
	if (x->held != NULL)
		buffer_fini(&x->held->body);
	mem_free(TAKE(x->held));
	withhold(x);
	return true;
}
