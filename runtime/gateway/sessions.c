/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/session.h"
#include "audit/audit.h"
#include "core/id.h"
#include "core/memory.h"
#include "gateway/desk.h"
#include "gateway/handlers.h"
#include "gateway/refusal.h"
#include "gateway/reply.h"
#include "security/secret.h"

/* A conversation's memory, read or forgotten by whom it belongs to.  Another
 * principal's is not there: the key of a session holds its owner. */

struct visit {
	struct http_request *request; /* NULL once the client has gone */
	struct desk *desk;
	char id[SESSION_ID_MAX + 1];
	/* For its record. */
	char agent[64];
	char principal[PRINCIPAL_NAME_MAX];
	char address[ADDRESS_TEXT_MAX];
	char request_id[ID_MAX];
};

static void on_gone(struct http_request *request)
{
	struct visit *visit = http_user(request);

	visit->request = NULL;
	http_request_release(request);
}

static void fail(const struct visit *visit, atom_status status)
{
	struct api_error e;

	if (status == ATOM_ENOENT)
		api_error_set(&e, "session_not_found", NULL,
			      "there is no session %s", visit->id);
	else if (status == ATOM_EBUSY)
		api_error_set(&e, "session_busy", NULL,
			      "a call of session %s has not ended", visit->id);
	else if (status == ATOM_ENOMEM)
		api_error_set(&e, "internal_error", NULL,
			      "no memory for the session");
	else
		api_error_set(&e, "state_unavailable", NULL,
			      "the session cannot be reached in the store");
	reply_error(visit->request, &e);
}

static void end(struct visit *visit)
{
	desk_leave(visit->desk);
	mem_free(visit);
}

static void on_read(void *argument, atom_status status, struct buffer *json)
{
	struct visit *visit = argument;

	if (visit->request != NULL && status == ATOM_OK)
		reply_buffer(visit->request, 200, "application/json", json);
	else if (visit->request != NULL)
		fail(visit, status);
	end(visit);
}

static void record_deletion(const struct visit *visit, atom_status status)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_SESSION_DELETE);
	char session[SECRET_TRACE_MAX];

	record.user = visit->principal;
	record.address = visit->address;
	record.request_id = visit->request_id;
	secret_trace(visit->principal, visit->id, session);
	audit_text(&record, "agent", visit->agent);
	audit_text(&record, "result", status == ATOM_OK ? "done" : "failed");
	audit_text(&record, "session", session);
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

static void on_deleted(void *argument, atom_status status)
{
	struct visit *visit = argument;
	char text[SESSION_ID_MAX + 64];

	record_deletion(visit, status);
	if (visit->request != NULL && status == ATOM_OK) {
		(void)snprintf(text, sizeof(text),
			       "{\"id\":\"%s\",\"object\":"
			       "\"session.deleted\",\"deleted\":true}",
			       visit->id);
		reply_text(visit->request, 200, "application/json", text);
	} else if (visit->request != NULL) {
		fail(visit, status);
	}
	end(visit);
}

/* The agent's revision, with a reference, if the caller may see it. */
static struct revision *find_agent(const struct admission *admission,
				   struct api_error *e)
{
	const struct route_params *params = &admission->params;
	struct revision *revision =
		directory_find(params->at[0], params->length[0]);

	if (revision == NULL)
		api_error_no_agent(e, params->at[0], params->length[0]);
	else if (!admission_agent(&admission->principal, revision, e))
		revision_unref(TAKE(revision));
	return revision;
}

static struct visit *visit_new(struct http_request *request,
			       const struct admission *admission,
			       const struct revision *revision,
			       struct api_error *e)
{
	const struct route_params *params = &admission->params;
	struct visit *visit = mem_zalloc(sizeof(*visit));

	if (visit == NULL) {
		api_error_set(e, "internal_error", NULL, "no memory");
		return NULL;
	}
	(void)snprintf(visit->id, sizeof(visit->id), "%.*s",
		       (int)params->length[1], params->at[1]);
	if (params->length[1] > SESSION_ID_MAX ||
	    !session_id_valid(visit->id) ||
	    !revision_config(revision)->memory.present) {
		api_error_set(e, "session_not_found", NULL,
			      "there is no session %s", visit->id);
		mem_free(visit);
		return NULL;
	}
	(void)snprintf(visit->agent, sizeof(visit->agent), "%s",
		       revision_agent(revision));
	(void)snprintf(visit->principal, sizeof(visit->principal), "%s",
		       admission->principal.name);
	(void)snprintf(visit->address, sizeof(visit->address), "%s",
		       http_client_address(request));
	(void)snprintf(visit->request_id, sizeof(visit->request_id), "%s",
		       http_request_id(request));
	visit->desk = desk_of(http_loop(request));
	visit->request = request;
	desk_enter(visit->desk);
	http_set_user(request, visit);
	http_on_gone(request, on_gone);
	return visit;
}

void handle_session_read(struct http_request *request,
			 const struct admission *admission)
{
	struct api_error e;
	struct revision *revision = find_agent(admission, &e);
	struct visit *visit =
		revision != NULL ? visit_new(request, admission, revision, &e)
				 : NULL;

	if (visit != NULL)
		session_read(http_loop(request), revision_agent(revision),
			     admission->principal.name, visit->id, on_read,
			     visit);
	else
		refusal_answer(request, admission, NULL, &e);
	if (revision != NULL)
		revision_unref(revision);
}

void handle_session_delete(struct http_request *request,
			   const struct admission *admission)
{
	struct api_error e;
	struct revision *revision = find_agent(admission, &e);
	struct visit *visit =
		revision != NULL ? visit_new(request, admission, revision, &e)
				 : NULL;

	if (visit != NULL)
		session_delete(http_loop(request), revision_agent(revision),
			       admission->principal.name, visit->id, on_deleted,
			       visit);
	else
		refusal_answer(request, admission, NULL, &e);
	if (revision != NULL)
		revision_unref(revision);
}
