/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/control_audit.h"

#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "core/json.h"
#include "core/memory.h"

/* How long a record may take; a sink that hangs is not waited for. */
#define DEADLINE_MS 5000
#define FACTS_MAX   8

struct fact {
	const char *name; /* a literal, or in `names` */
	char text[AUDIT_TEXT_MAX + 4];
	int64_t number;
	bool is_text;
};

/* It lives on alone when its record is not durable in time. */
struct control_audit {
	struct audit_waiter waiter;
	struct timer deadline;
	struct control_call *call; /* NULL once it is not waited for */
	bool waiting;
	bool intends; /* an intent has been posted */
	enum audit_event event;
	char user[PRINCIPAL_NAME_MAX];
	char address[ADDRESS_TEXT_MAX];
	char request_id[ID_MAX];
	char object[ROUTE_PARAM_MAX + 1];
	char names[128]; /* the row's members, NUL between them */
	size_t count;
	struct fact facts[FACTS_MAX];
};

/* --- what is told ---------------------------------------------------------------- */

static struct fact *fact_new(struct control_audit *a, const char *name)
{
	struct fact *fact;

	if (a == NULL || a->count == FACTS_MAX)
		return NULL;
	fact = &a->facts[a->count++];
	fact->name = name;
	return fact;
}

void control_note_text(struct control_call *call, const char *name,
		       const char *text)
{
	struct fact *fact = text != NULL ? fact_new(call->audit, name) : NULL;

	if (fact == NULL)
		return;
	fact->is_text = true;
	(void)snprintf(fact->text, sizeof(fact->text), "%s", text);
}

void control_note_number(struct control_call *call, const char *name,
			 int64_t number)
{
	struct fact *fact = fact_new(call->audit, name);

	if (fact != NULL)
		fact->number = number;
}

/* "a,b": a list of texts. */
static void note_list(struct control_call *call, const char *name,
		      const json_t *list)
{
	struct buffer text = BUFFER_INIT(65536);
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		const char *word = json_string_value(item);

		if (word == NULL)
			continue;
		if (text.length > 0)
			buffer_append_char(&text, ',');
		buffer_append_text(&text, word);
	}
	control_note_text(call, name, text.bytes);
	buffer_fini(&text);
}

static void note_member(struct control_call *call, const char *name,
			const json_t *value)
{
	if (json_is_string(value))
		control_note_text(call, name, json_string_value(value));
	else if (json_is_integer(value))
		control_note_number(call, name, json_integer_value(value));
	else if (json_is_boolean(value))
		control_note_text(call, name,
				  json_is_true(value) ? "true" : "false");
	else if (json_is_array(value))
		note_list(call, name, value);
}

/* Of the body only what the route names; false: no memory to read it. */
static bool note_members(struct control_call *call)
{
	struct control_audit *a = call->audit;
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *body = NULL;
	atom_status status;

	if (call->route->members == NULL || call->body_length == 0)
		return true;
	status = json_decode(call->body, call->body_length, &body, &err);
	if (status != ATOM_OK)
		return status != ATOM_ENOMEM;
	(void)snprintf(a->names, sizeof(a->names), "%s", call->route->members);
	for (char *name = a->names; name != NULL && json_is_object(body);) {
		char *next = strchr(name, ',');

		if (next != NULL)
			*next++ = '\0';
		note_member(call, name, json_object_get(body, name));
		name = next;
	}
	json_decref(body);
	return true;
}

static struct audit_record record_of(const struct control_audit *a,
				     const char *phase)
{
	struct audit_record record = AUDIT_RECORD(a->event);

	record.user = a->user;
	record.address = a->address;
	record.request_id = a->request_id;
	audit_text(&record, "phase", phase);
	if (a->object[0] != '\0')
		audit_text(&record, "object", a->object);
	for (size_t i = 0; i < a->count; i++)
		if (a->facts[i].is_text)
			audit_text(&record, a->facts[i].name, a->facts[i].text);
		else
			audit_number(&record, a->facts[i].name,
				     a->facts[i].number);
	return record;
}

/* --- waiting --------------------------------------------------------------------- */

static void on_deadline(struct timer *timer);
static void on_recorded(struct audit_waiter *waiter, atom_status status);

static struct control_audit *audit_of(struct control_call *call)
{
	struct control_audit *a = mem_zalloc(sizeof(*a));

	if (a == NULL)
		return NULL;
	a->event = call->route->audit;
	a->call = call;
	a->deadline.fire = on_deadline;
	a->waiter.loop = loop_control();
	a->waiter.done = on_recorded;
	(void)snprintf(a->user, sizeof(a->user), "%s", call->principal.name);
	(void)snprintf(a->address, sizeof(a->address), "%s", call->address);
	(void)snprintf(a->request_id, sizeof(a->request_id), "%s",
		       call->request_id);
	(void)snprintf(a->object, sizeof(a->object), "%s", call->params[0]);
	return a;
}

void control_audit_free(struct control_audit **audit)
{
	struct control_audit *a = TAKE(*audit);

	if (a == NULL)
		return;
	timer_stop(&a->deadline);
	mem_free(a);
}

static void refuse(struct control_call *call)
{
	api_error_set(&call->error, "audit_unavailable", NULL,
		      "the audit log cannot be written to, so nothing was "
		      "done; see `atomctl status`");
	control_post_back(call);
}

/* The intent may be in the log: it says that it came to nothing. */
static void record_undone(const struct control_audit *a)
{
	struct audit_record record = record_of(a, "outcome");

	audit_text(&record, "code", "audit_unavailable");
	audit_text(&record, "result", "not_done");
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

/* What it waited for has come, or has not come in time. */
static void go_on(struct control_call *call, bool ended, bool durable)
{
	if (ended) {
		call->unrecorded = !durable;
		control_post_back(call);
	} else if (durable) {
		call->run(call);
	} else {
		refuse(call);
	}
}

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct control_audit *a =
		CONTAINER_OF(waiter, struct control_audit, waiter);
	struct control_call *call = a->call;
	bool ended = !a->intends;

	timer_stop(&a->deadline);
	a->waiting = false;
	if (!ended && (call == NULL || status != ATOM_OK))
		record_undone(a);
	a->intends = false;
	if (call == NULL)
		control_audit_free(&a);
	else
		go_on(call, ended, status == ATOM_OK);
}

static void on_deadline(struct timer *timer)
{
	struct control_audit *a =
		CONTAINER_OF(timer, struct control_audit, deadline);
	struct control_call *call = TAKE(a->call);

	call->audit = NULL;
	go_on(call, !a->intends, false);
}

static atom_status post(struct control_audit *a,
			const struct audit_record *record,
			enum audit_urgency urgency)
{
	atom_status status = audit_post(record, urgency, &a->waiter);

	if (status == ATOM_OK) {
		a->waiting = true;
		(void)timer_set(loop_control(), &a->deadline, DEADLINE_MS);
	}
	return status;
}

void control_audit_begin(struct control_call *call)
{
	struct audit_record record;
	atom_status status = ATOM_ENOMEM;

	if (call->route->audit == AUDIT_NONE || !audit_enabled()) {
		call->run(call);
		return;
	}
	call->audit = audit_of(call);
	if (call->audit != NULL && !note_members(call))
		control_audit_free(&call->audit);
	if ((call->route->flags & ROUTE_SAFER) != 0) {
		call->run(call);
		return;
	}
	if (call->audit != NULL) {
		call->audit->intends = true;
		record = record_of(call->audit, "intent");
		status = post(call->audit, &record, AUDIT_GATED);
	}
	if (status != ATOM_OK)
		refuse(call);
}

void control_audit_end(struct control_call *call)
{
	struct control_audit *a = call->audit;
	struct audit_record record;
	bool failed = call->error.status != 0;

	if (call->route->audit == AUDIT_NONE || !audit_enabled()) {
		control_post_back(call);
		return;
	}
	if (a == NULL) {
		go_on(call, true, false);
		return;
	}
	record = record_of(a, "outcome");
	audit_text(&record, "result", failed ? "failed" : "done");
	audit_number(&record, "status",
		     failed ? call->error.status : call->status);
	if (failed)
		audit_text(&record, "code", call->error.code);
	if (post(a, &record, AUDIT_SOON) != ATOM_OK)
		go_on(call, true, false);
}
