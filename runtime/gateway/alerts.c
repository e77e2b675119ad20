/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/alerts.h"

#include <string.h>

#include "core/buffer.h"
#include "core/json.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "monitor/silences.h"

/* Alerts and silences over the API.  The `on_` functions run on control. */

static bool refuse(struct control_call *call, const char *param,
		   const char *expected)
{
	api_error_set(&call->error, "invalid_request", param, "%s: expected %s",
		      param, expected);
	control_answer_error(call);
	return false;
}

static void answer_list(struct control_call *call, json_t *list)
{
	if (list != NULL) {
		control_answer(call, 200, list);
		return;
	}
	api_error_set(&call->error, "internal_error", NULL, "no memory");
	control_answer_error(call);
}

/* --- alerts -------------------------------------------------------------------- */

static void on_alerts(struct control_call *call)
{
	const char *state = control_query(call, "state");

	if (*state != '\0' && strcmp(state, "firing") != 0 &&
	    strcmp(state, "pending") != 0)
		(void)refuse(call, "state", "firing or pending");
	else
		answer_list(call,
			    alerts_list(control_query(call, "agent"), state));
}

void handle_alerts(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, "agent,state", on_alerts);
}

/* --- silences ------------------------------------------------------------------- */

static void on_silences(struct control_call *call)
{
	answer_list(call, silences_list());
}

static void on_done(void *argument, atom_status status, json_t *result,
		    const char *message)
{
	struct control_call *call = argument;
	struct atom_error err = ATOM_ERROR_INIT;

	if (status == ATOM_OK) {
		control_note_text(call, "id", json_text(result, "id", NULL));
		control_note_text(call, "ends_at",
				  json_text(result, "ends_at", NULL));
		control_answer(call,
			       strcmp(call->route->method, "POST") == 0 ? 201
									: 200,
			       result);
		return;
	}
	(void)atom_fail(&err, status, "%s", message);
	control_answer_status(call, status, "not_found", &err);
}

static bool may_silence(struct control_call *call)
{
	if (!call->principal.limited)
		return true;
	api_error_set(&call->error, "permission_denied", NULL,
		      "a key that is for some agents does not silence alerts");
	control_answer_error(call);
	return false;
}

/* {a="b",c!~"d"} for the record. */
static void note_matchers(struct control_call *call, const json_t *list)
{
	struct buffer text = BUFFER_INIT(65536);
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		bool equal = !json_is_false(json_object_get(item, "equal"));
		bool regex = json_is_true(json_object_get(item, "regex"));

		(void)buffer_printf(&text, "%s%s%s\"%s\"", i > 0 ? "," : "",
				    json_text(item, "name", ""),
				    equal   ? regex ? "=~" : "="
				    : regex ? "!~"
					    : "!=",
				    json_text(item, "value", ""));
	}
	if (text.length > 0 && buffer_append_char(&text, '\0') == ATOM_OK)
		control_note_text(call, "matchers", text.bytes);
	buffer_fini(&text);
}

static bool read_time(struct control_call *call, const json_t *body,
		      const char *name, int64_t *time_ms_r)
{
	const json_t *value = json_object_get(body, name);

	if (value == NULL)
		return true;
	return (json_is_string(value) &&
		text_to_time(json_string_value(value), time_ms_r)) ||
	       refuse(call, name, "a time, as 2026-01-02T03:04:05Z");
}

static bool read_end(struct control_call *call, const json_t *body,
		     struct silence_request *request)
{
	const json_t *duration = json_object_get(body, "duration");
	int64_t from_ms = os.realtime_ms(), ms;

	if ((duration == NULL) == (json_object_get(body, "ends_at") == NULL))
		return refuse(call, "ends_at",
			      "a time, or `duration`, as 2h, in its place");
	if (duration == NULL)
		return read_time(call, body, "ends_at", &request->ends_ms);
	if (!json_is_string(duration) ||
	    !text_to_duration(json_string_value(duration), 1000, &ms) ||
	    ms <= 0 || ms > SILENCE_LONGEST_MS)
		return refuse(call, "duration", "1s to 366d");
	if (request->starts_ms > from_ms)
		from_ms = request->starts_ms;
	if (__builtin_add_overflow(from_ms, ms, &request->ends_ms))
		return refuse(call, "starts_at", "a nearer time");
	return true;
}

static bool has_only(struct control_call *call, const json_t *body)
{
	static const char expected[] =
		"matchers, comment, ends_at or duration, and perhaps starts_at";
	static const char *const known[] = { "matchers", "comment", "ends_at",
					     "duration", "starts_at" };
	size_t count = json_object_size(body);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		count -= json_object_get(body, known[i]) != NULL;
	return count == 0 || refuse(call, "body", expected);
}

static void on_silence(struct control_call *call)
{
	struct silence_request request = { .created_by = call->principal.name };
	json_t *body;

	if (!may_silence(call) || !control_body(call, &body))
		return;
	request.matchers = json_object_get(body, "matchers");
	request.comment = json_text(body, "comment", "");
	if (has_only(call, body) &&
	    read_time(call, body, "starts_at", &request.starts_ms) &&
	    read_end(call, body, &request)) {
		note_matchers(call, request.matchers);
		silences_create(&request, on_done, call);
	}
	json_decref(body);
}

static void on_silence_end(struct control_call *call)
{
	if (may_silence(call))
		silences_end(call->params[0], on_done, call);
}

void handle_silences(struct http_request *request,
		     const struct admission *admission)
{
	control_call(request, admission, NULL, on_silences);
}

void handle_silence(struct http_request *request,
		    const struct admission *admission)
{
	control_call(request, admission, NULL, on_silence);
}

void handle_silence_end(struct http_request *request,
			const struct admission *admission)
{
	control_call(request, admission, NULL, on_silence_end);
}
