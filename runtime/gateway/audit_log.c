/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "audit/audit.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/desk.h"
#include "gateway/handlers.h"
#include "gateway/parameter.h"
#include "gateway/reply.h"

/* The audit log over the API: search, and prune. */

#define LIMIT_DEFAULT 100

/* "30d" ago, or a time. */
static bool read_moment(const char *text, int64_t *ms_r)
{
	int64_t age_ms;

	if (text_to_time(text, ms_r))
		return true;
	if (!text_to_duration(text, 1000, &age_ms) || age_ms < 0)
		return false;
	*ms_r = os.realtime_ms() - age_ms;
	return *ms_r > 0;
}

/* --- search ---------------------------------------------------------------------- */

struct looking {
	struct audit_search search;
	struct http_request *request; /* NULL once the client has gone */
	struct desk *desk;
};

static void on_gone(struct http_request *request)
{
	struct looking *l = http_user(request);

	l->request = NULL;
	http_request_release(request);
}

/* The status of a log that cannot be asked, as the caller sees it. */
static void explain(struct api_error *e, atom_status status,
		    const struct atom_error *err)
{
	switch (status) {
	case ATOM_ENOENT:
		api_error_set(e, "not_found", NULL,
			      "there is no audit log: the configuration has "
			      "no audit_sinks");
		break;
	case ATOM_ENOTSUP:
		api_error_set(e, "invalid_request", NULL,
			      "the required audit sink cannot do that");
		break;
	case ATOM_EBUSY:
		api_error_set(e, "rate_limit_exceeded", NULL,
			      "the audit log is being searched by too many");
		e->retry_after_ms = 1000;
		break;
	case ATOM_ELIMIT:
		api_error_set(e, "invalid_request", "limit", "%s",
			      err->message);
		break;
	default:
		api_error_set(e, "audit_unavailable", NULL, "%s",
			      err != NULL && err->message[0] != '\0'
				      ? err->message
				      : "the audit log cannot be read");
	}
}

/* {"records":[...],"last":N,...}: the lines are JSON already. */
static void compose(const struct audit_search *search, struct buffer *out)
{
	json_t *log = audit_describe();

	buffer_append_text(out, "{\"records\":[");
	if (search->lines.length > 0) {
		size_t from = out->length;

		buffer_append(out, search->lines.bytes,
			      search->lines.length - 1);
		for (size_t i = from; i < out->length; i++)
			if (out->bytes[i] == '\n')
				out->bytes[i] = ',';
	}
	buffer_append_text(out, "],\"last\":");
	buffer_append_u64(out, search->last);
	buffer_append_text(out, ",\"log_id\":\"");
	buffer_append_text(out, json_text(log, "log_id", ""));
	buffer_append_text(out, "\",\"verifier\":\"");
	buffer_append_text(out, json_text(log, "verifier", ""));
	buffer_append_text(out, "\"}");
	json_decref(log);
}

static void on_found(struct audit_waiter *waiter, atom_status status)
{
	struct looking *l = CONTAINER_OF(waiter, struct looking, search.waiter);
	struct buffer out = BUFFER_INIT((size_t)128 * 1024 * 1024);
	struct api_error e;

	if (l->request != NULL && status == ATOM_OK) {
		compose(&l->search, &out);
		reply_buffer(l->request, 200, "application/json", &out);
	} else if (l->request != NULL) {
		explain(&e, status, &l->search.error);
		reply_error(l->request, &e);
	}
	buffer_fini(&out);
	audit_search_fini(&l->search);
	desk_leave(l->desk);
	mem_free(l);
}

static bool read_words(struct http_request *request, struct audit_query *q,
		       struct api_error *e)
{
	const struct {
		const char *name;
		char *word;
	} rows[] = {
		{ "user", q->user },
		{ "type", q->type },
		{ "category", q->category },
		{ "request", q->request },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!parameter_read(request, rows[i].name, rows[i].word,
				    AUDIT_WORD_MAX, e))
			return false;
	return true;
}

static bool read_moments(struct http_request *request, struct audit_query *q,
			 struct api_error *e)
{
	static const char *const names[] = { "since", "until" };
	int64_t *moments[] = { &q->since_ms, &q->until_ms };
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!parameter_read(request, names[i], text, sizeof(text), e))
			return false;
		if (!http_query_has(request, names[i]) ||
		    read_moment(text, moments[i]))
			continue;
		api_error_set(e, "invalid_request", names[i],
			      "%s: expected an age such as 2h or a time such "
			      "as 2030-01-02T03:04:05Z",
			      names[i]);
		return false;
	}
	return true;
}

static bool read_numbers(struct http_request *request, struct audit_query *q,
			 struct api_error *e)
{
	char text[24];
	int64_t number;

	q->limit = LIMIT_DEFAULT;
	if (!parameter_read(request, "limit", text, sizeof(text), e))
		return false;
	if (http_query_has(request, "limit")) {
		if (!text_to_int(text, &number) || number < 1 ||
		    number > AUDIT_LIMIT_MAX) {
			api_error_set(e, "invalid_request", "limit",
				      "limit: expected 1 to %d",
				      AUDIT_LIMIT_MAX);
			return false;
		}
		q->limit = (uint64_t)number;
	}
	if (!parameter_read(request, "after", text, sizeof(text), e))
		return false;
	if (http_query_has(request, "after")) {
		if (!text_to_int(text, &number) || number < 0) {
			api_error_set(e, "invalid_request", "after",
				      "after: expected a record's number");
			return false;
		}
		q->after = (uint64_t)number;
	}
	return true;
}

void handle_audit(struct http_request *request,
		  const struct admission *admission)
{
	struct looking *l = mem_zalloc(sizeof(*l));
	struct audit_query *q;
	struct api_error e;
	atom_status status;

	(void)admission;
	if (l == NULL) {
		api_error_set(&e, "internal_error", NULL, "no memory");
		reply_error(request, &e);
		return;
	}
	q = &l->search.query;
	if (!read_words(request, q, &e) || !read_moments(request, q, &e) ||
	    !read_numbers(request, q, &e)) {
		mem_free(l);
		reply_error(request, &e);
		return;
	}
	l->search.waiter.loop = http_loop(request);
	l->search.waiter.done = on_found;
	l->desk = desk_of(http_loop(request));
	l->request = request;
	status = audit_search(&l->search);
	if (status != ATOM_OK) {
		mem_free(l);
		explain(&e, status, NULL);
		reply_error(request, &e);
		return;
	}
	desk_enter(l->desk);
	http_set_user(request, l);
	http_on_gone(request, on_gone);
}

/* --- prune ------------------------------------------------------------------------ */

struct pruning {
	struct audit_prune prune;
	struct control_call *call;
};

static void fail(struct control_call *call, atom_status status,
		 const struct atom_error *err)
{
	explain(&call->error, status, err);
	control_answer_error(call);
}

static void on_pruned(struct audit_waiter *waiter, atom_status status)
{
	struct pruning *p = CONTAINER_OF(waiter, struct pruning, prune.waiter);
	struct control_call *call = p->call;

	if (status == ATOM_OK) {
		control_note_number(call, "removed", (int64_t)p->prune.removed);
		control_note_number(call, "sequence",
				    (int64_t)p->prune.sequence);
		control_answer(call, 200,
			       json_pack("{s:I,s:I}", "removed",
					 (json_int_t)p->prune.removed,
					 "sequence",
					 (json_int_t)p->prune.sequence));
	} else {
		fail(call, status, &p->prune.error);
	}
	mem_free(p);
}

static void on_prune(struct control_call *call)
{
	struct pruning *p;
	json_t *body, *before;
	bool sound;
	atom_status status;

	if (!control_body(call, &body))
		return;
	p = mem_zalloc(sizeof(*p));
	if (p == NULL) {
		json_decref(body);
		control_answer_status(call, ATOM_ENOMEM, "not_found", NULL);
		return;
	}
	before = json_object_get(body, "before");
	if (json_is_integer(before)) {
		sound = json_integer_value(before) > 0;
		p->prune.before_sequence =
			sound ? (uint64_t)json_integer_value(before) : 0;
	} else {
		sound = json_is_string(before) &&
			read_moment(json_string_value(before),
				    &p->prune.before_ms);
	}
	json_decref(body);
	if (!sound) {
		mem_free(p);
		api_error_set(&call->error, "invalid_request", "before",
			      "before: expected an age such as \"90d\", a time "
			      "such as \"2030-01-02T03:04:05Z\", or the number "
			      "of the first record that is kept");
		control_answer_error(call);
		return;
	}
	p->call = call;
	p->prune.waiter.loop = loop_control();
	p->prune.waiter.done = on_pruned;
	status = audit_prune(&p->prune);
	if (status != ATOM_OK) {
		mem_free(p);
		fail(call, status, NULL);
	}
}

void handle_audit_prune(struct http_request *request,
			const struct admission *admission)
{
	control_call(request, admission, NULL, on_prune);
}
