/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <atomd/backend.h>

#include "core/health.h"
#include "core/memory.h"
#include "core/metric.h"

enum {
	NAME_SHOWN = 64 /* bytes of the name of an agent that there is not */
};

static const struct code {
	const char *word;
	int status;
	bool no_retry;	    /* clients that retry by themselves shall not */
	bool from_the_host; /* a call ended by ourselves may carry it */
} codes[] = {
	{ "invalid_request", 400, false, false },
	{ "context_length_exceeded", 400, false, false },
	{ "invalid_api_key", 401, false, false },
	{ "permission_denied", 403, false, false },
	{ "agent_not_found", 404, false, false },
	{ "revision_not_found", 404, false, false },
	{ "call_not_found", 404, false, false },
	{ "session_not_found", 404, false, false },
	{ "not_found", 404, false, false },
	{ "method_not_allowed", 405, false, false },
	{ "session_busy", 409, false, false },
	{ "reload_busy", 409, false, false },
	{ "conflict", 409, false, false },
	{ "too_large", 413, false, false },
	{ "rate_limit_exceeded", 429, false, false },
	{ "budget_exceeded", 429, true, false },
	{ "queue_full", 429, false, true },
	{ "backend_rate_limited", 429, false, false },
	{ "internal_error", 500, false, false },
	{ "backend_error", 502, false, true },
	{ "backend_auth", 502, false, false },
	{ "no_instances", 503, false, true },
	{ "shutting_down", 503, false, true },
	{ "audit_unavailable", 503, true, false },
	{ "state_unavailable", 503, false, false },
	{ "not_ready", 503, false, false },
	{ "timeout", 504, true, true },
};

static metric_id answered[ARRAY_SIZE(codes)];
static metric_id answered_other; /* a provider's own word */

static const struct code *code_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (strcmp(codes[i].word, word) == 0)
			return &codes[i];
	return NULL;
}

static void set_code(struct api_error *e, const char *word)
{
	const struct code *code = code_of(word);

	(void)snprintf(e->code, sizeof(e->code), "%s", word);
	e->status = code != NULL ? code->status : 500;
}

void api_error_set(struct api_error *e, const char *code, const char *param,
		   const char *format, ...)
{
	va_list args;

	set_code(e, code);
	e->param = param;
	e->retry_after_ms = 0;
	e->no_retry = false;
	va_start(args, format);
	(void)vsnprintf(e->message, sizeof(e->message), format, args);
	va_end(args);
}

/* --- the end of a call ---------------------------------------------------- */

/* Where the provider has no word of its own. */
static const char *word_of_status(int32_t http_status)
{
	switch (http_status) {
	case 404:
		return "not_found";
	case 413:
		return "too_large";
	default:
		return "invalid_request";
	}
}

/* What an HTTP provider answered. */
static void of_provider(struct api_error *e, const struct atom_error *error)
{
	switch (error->http_status) {
	case 400:
	case 404:
	case 413:
	case 422:
		(void)snprintf(e->code, sizeof(e->code), "%s",
			       error->code[0] != '\0'
				       ? error->code
				       : word_of_status(error->http_status));
		e->status = error->http_status;
		return;
	case 401:
	case 403:
		/* Providers quote keys in these. */
		api_error_set(e, "backend_auth", NULL,
			      "the agent's provider refused the agent's own "
			      "credential; the operator has to look at it");
		return;
	case 429:
		set_code(e, "backend_rate_limited");
		return;
	default:
		set_code(e, "backend_error");
	}
}

static const char *code_of_status(atom_status status,
				  const struct atom_error *error)
{
	switch (status) {
	case ATOM_EINVAL:
		return strcmp(error->code, "context_overflow") == 0
			       ? "context_length_exceeded"
			       : "invalid_request";
	case ATOM_ETIMEOUT:
		return "timeout";
	case ATOM_EQUOTA:
		return "backend_rate_limited";
	case ATOM_ELIMIT:
		return strcmp(error->code, "too_large") == 0 ? "too_large"
							     : "backend_error";
	default:
		return "backend_error";
	}
}

void api_error_stopping(struct api_error *e)
{
	api_error_set(e, "shutting_down", NULL,
		      "the daemon is stopping; try another instance or later");
}

void api_error_no_agent(struct api_error *e, const char *name, size_t length)
{
	if (health_is_stopping())
		api_error_stopping(e);
	else
		api_error_set(e, "agent_not_found", NULL,
			      "there is no agent named '%.*s'",
			      length < NAME_SHOWN ? (int)length : NAME_SHOWN,
			      name);
}

void api_error_of_call(struct api_error *e, atom_status status,
		       const struct atom_error *error, int32_t cancelled)
{
	static const struct atom_error silent = ATOM_ERROR_INIT;
	const struct code *host;

	if (error == NULL)
		error = &silent;
	*e = (struct api_error)API_ERROR_INIT;
	e->retry_after_ms = error->retry_after_ms;
	(void)snprintf(e->message, sizeof(e->message), "%s",
		       error->message[0] != '\0' ? error->message
						 : "the agent failed");
	host = code_of(error->code);
	if (cancelled == ATOM_CANCEL_SHUTDOWN && status == ATOM_ECANCELED)
		api_error_stopping(e);
	else if (error->http_status != 0)
		of_provider(e, error);
	else if (host != NULL && host->from_the_host)
		set_code(e, host->word);
	else
		set_code(e, code_of_status(status, error));
	if (e->status == 429 && e->retry_after_ms <= 0)
		e->retry_after_ms = 1000;
}

/* --- as an answer --------------------------------------------------------- */

static const char *type_of(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 429:
		return "rate_limit_error";
	case 504:
		return "timeout_error";
	default:
		return status < 500 ? "invalid_request_error" : "server_error";
	}
}

atom_status api_error_append(const struct api_error *e, const char *message,
			     struct buffer *out)
{
	buffer_append_text(out, "{\"error\":{\"message\":");
	buffer_append_json_string(out, message != NULL ? message : e->message);
	buffer_append_text(out, ",\"type\":\"");
	buffer_append_text(out, type_of(e->status));
	buffer_append_text(out, "\",\"code\":");
	buffer_append_json_string(out, e->code);
	buffer_append_text(out, ",\"param\":");
	if (e->param != NULL)
		buffer_append_json_string(out, e->param);
	else
		buffer_append_text(out, "null");
	buffer_append_text(out, "}}");
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}

static void add_hints(struct http_request *request, const struct api_error *e)
{
	const struct code *code = code_of(e->code);
	char seconds[16];

	if (e->status == 401)
		(void)http_add_field(request, "WWW-Authenticate", "Bearer");
	if (e->retry_after_ms > 0) {
		(void)snprintf(seconds, sizeof(seconds), "%lld",
			       ((long long)e->retry_after_ms + 999) / 1000);
		(void)http_add_field(request, "Retry-After", seconds);
	}
	if (e->no_retry || (code != NULL && code->no_retry))
		(void)http_add_field(request, "x-should-retry", "false");
}

static void count(const struct api_error *e)
{
	const struct code *code = code_of(e->code);

	metric_inc(code != NULL ? answered[code - codes] : answered_other);
}

void api_error_answer_long(struct http_request *request,
			   const struct api_error *e, const char *message)
{
	static const char bare[] =
		"{\"error\":{\"message\":\"out of memory\",\"type\":"
		"\"server_error\",\"code\":\"internal_error\","
		"\"param\":null}}";
	struct buffer body = BUFFER_INIT((size_t)1024 * 1024);

	count(e);
	add_hints(request, e);
	if (api_error_append(e, message, &body) == ATOM_OK)
		http_answer(request, e->status, "application/json", body.bytes,
			    body.length);
	else
		http_answer(request, 500, "application/json", bare,
			    sizeof(bare) - 1);
	buffer_fini(&body);
}

void api_error_answer(struct http_request *request, const struct api_error *e)
{
	api_error_answer_long(request, e, NULL);
}

atom_status api_error_init(struct atom_error *err)
{
	static const char *const labels[] = { "code", NULL };
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_api_errors_total",
		.help = "Error answers of the API, by their code; `other` is "
			"a provider's own word.",
		.unit = "",
		.label_names = labels,
	};
	const char *values[2] = { "other", NULL };
	uint32_t family;
	atom_status status = metric_declare(&spec, &family, err);

	if (status != ATOM_OK)
		return status;
	answered_other = metric_series(family, values);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		values[0] = codes[i].word;
		answered[i] = metric_series(family, values);
	}
	return ATOM_OK;
}
