/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/recent.h"
#include "audit/audit.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "gateway/desk.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"

/*
 * POST /v1/feedback: what a caller thinks of the answer to one of its own
 * calls.  The score counts for the revision that answered; the comment goes
 * to the log, where operators read it.
 */

#define COMMENT_MAX 2000 /* bytes */

struct feedback {
	struct recent_rating rating;
	struct http_request *request; /* NULL once the client has gone */
	struct desk *desk;
	char call[ID_MAX];
	char user[PRINCIPAL_NAME_MAX];
	char *comment; /* NULL: none */
	char address[ADDRESS_TEXT_MAX];
	char request_id[ID_MAX];
};

static void on_gone(struct http_request *request)
{
	struct feedback *feedback = http_user(request);

	feedback->request = NULL;
	http_request_release(request);
}

/* Who rated which call how; what was said stays out, as ever. */
static void record(const struct feedback *feedback)
{
	struct audit_record row = AUDIT_RECORD(AUDIT_FEEDBACK);
	const struct recent_rating *rating = &feedback->rating;
	char revision[24];

	(void)snprintf(revision, sizeof(revision), "%lld",
		       (long long)rating->revision);
	row.user = feedback->user;
	row.address = feedback->address;
	row.request_id = feedback->request_id;
	audit_text(&row, "agent", rating->agent);
	audit_text(&row, "call", feedback->call);
	audit_text(&row, "revision", revision);
	audit_number(&row, "score_percent",
		     (int64_t)(rating->score * 100 + 0.5));
	(void)audit_post(&row, AUDIT_BATCHED, NULL);
}

static void tell_log(const struct feedback *feedback)
{
	const struct recent_rating *rating = &feedback->rating;
	char score[32];

	(void)snprintf(score, sizeof(score), "%.4g", rating->score);
	log_line(ATOM_LOG_INFO, "feedback", "a caller rated an answer",
		 LOG_TEXT("agent", rating->agent),
		 LOG_NUMBER("revision", rating->revision),
		 LOG_TEXT("request", feedback->call), LOG_TEXT("score", score),
		 LOG_TEXT("user", feedback->user),
		 LOG_TEXT("comment",
			  feedback->comment != NULL ? feedback->comment : ""));
}

static void answer(struct http_request *request,
		   const struct feedback *feedback)
{
	const struct recent_rating *rating = &feedback->rating;
	struct buffer *out = desk_scratch(feedback->desk);
	struct api_error e;
	char score[32];

	if (!rating->found) {
		api_error_set(&e, "call_not_found", "request_id",
			      "there is no call %s of yours among those that "
			      "ended not long ago",
			      feedback->call);
		reply_error(request, &e);
		return;
	}
	(void)snprintf(score, sizeof(score), "%.17g", rating->score);
	buffer_append_text(out, "{\"request_id\":");
	buffer_append_json_string(out, feedback->call);
	buffer_append_text(out, ",\"agent\":");
	buffer_append_json_string(out, rating->agent);
	buffer_append_text(out, ",\"revision\":");
	buffer_append_u64(out, (unsigned long long)rating->revision);
	buffer_append_text(out, ",\"score\":");
	buffer_append_text(out, score);
	buffer_append_text(out, ",\"replaced\":");
	buffer_append_text(out, rating->replaced ? "true}" : "false}");
	reply_buffer(request, 200, "application/json", out);
}

static void on_rated(struct recent_rating *rating)
{
	struct feedback *feedback =
		CONTAINER_OF(rating, struct feedback, rating);
	struct desk *desk = feedback->desk;

	if (rating->found) {
		tell_log(feedback);
		record(feedback);
	}
	if (feedback->request != NULL)
		answer(TAKE(feedback->request), feedback);
	mem_free(feedback->comment);
	mem_free(feedback);
	desk_leave(desk);
}

/* --- the request --------------------------------------------------------------- */

static bool read_id(const json_t *body, struct feedback *feedback,
		    struct api_error *e)
{
	const char *id = json_text(body, "request_id", "");

	if (id[0] != '\0' && strlen(id) < sizeof(feedback->call)) {
		(void)snprintf(feedback->call, sizeof(feedback->call), "%s",
			       id);
		return true;
	}
	api_error_set(e, "invalid_request", "request_id",
		      "request_id: expected the x-request-id of a call, 1 to "
		      "%d characters",
		      ID_MAX - 1);
	return false;
}

static bool read_score(const json_t *body, double *score_r, struct api_error *e)
{
	const json_t *score = json_object_get(body, "score");

	*score_r = json_number_value(score);
	if (json_is_number(score) && *score_r >= 0 && *score_r <= 1)
		return true;
	api_error_set(e, "invalid_request", "score",
		      "score: expected a number from 0 (useless) to 1 (as it "
		      "should be)");
	return false;
}

static bool read_comment(const json_t *body, char **comment_r,
			 struct api_error *e)
{
	const json_t *comment = json_object_get(body, "comment");

	*comment_r = NULL;
	if (comment == NULL || json_is_null(comment))
		return true;
	if (!json_is_string(comment) ||
	    json_string_length(comment) > COMMENT_MAX) {
		api_error_set(e, "invalid_request", "comment",
			      "comment: expected a text of at most %d bytes",
			      COMMENT_MAX);
		return false;
	}
	*comment_r = mem_strdup(json_string_value(comment));
	if (*comment_r != NULL)
		return true;
	api_error_set(e, "internal_error", NULL, "no memory");
	return false;
}

static bool read_body(struct http_request *request, struct feedback *feedback,
		      struct api_error *e)
{
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *body = NULL;
	const char *bytes;
	size_t length;
	bool read = false;

	bytes = http_body(request, &length);
	if (json_decode(bytes, length, &body, &err) != ATOM_OK ||
	    !json_is_object(body))
		api_error_set(e, "invalid_request", NULL,
			      "the body is no JSON object as expected: %s",
			      err.message);
	else
		read = read_id(body, feedback, e) &&
		       read_score(body, &feedback->rating.score, e) &&
		       read_comment(body, &feedback->comment, e);
	json_decref(body);
	return read;
}

void handle_feedback(struct http_request *request,
		     const struct admission *admission)
{
	struct feedback *feedback = mem_zalloc(sizeof(*feedback));
	struct api_error e;

	if (feedback == NULL) {
		api_error_set(&e, "internal_error", NULL, "no memory");
		reply_error(request, &e);
		return;
	}
	if (!read_body(request, feedback, &e)) {
		mem_free(feedback);
		reply_error(request, &e);
		return;
	}
	(void)snprintf(feedback->user, sizeof(feedback->user), "%s",
		       admission->principal.name);
	(void)snprintf(feedback->address, sizeof(feedback->address), "%s",
		       http_client_address(request));
	(void)snprintf(feedback->request_id, sizeof(feedback->request_id), "%s",
		       http_request_id(request));
	recent_key(feedback->call, feedback->user, feedback->rating.key);
	feedback->desk = desk_of(http_loop(request));
	feedback->request = request;
	desk_enter(feedback->desk);
	http_set_user(request, feedback);
	http_on_gone(request, on_gone);
	feedback->rating.done = on_rated;
	recent_rate(&feedback->rating);
}
