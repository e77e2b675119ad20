/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "ctl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT_MS 120000

int ctl_fail(struct ctl *ctl, int code, const char *format, ...)
{
	va_list arguments;
	char *sentence = NULL;
	va_start(arguments, format);
	int length = vasprintf(&sentence, format, arguments);
	va_end(arguments);
	text_clear(&ctl->message);
	/* A daemon's sentence may end in a line end of its own. */
	while (length > 0 && sentence[length - 1] == '\n')
		length--;
	if (length >= 0)
		text_append(&ctl->message, sentence, (size_t)length);
	else
		text_append_string(&ctl->message, "out of memory");
	if (length >= 0)
		free(sentence);
	return code;
}

int ctl_fail_memory(struct ctl *ctl)
{
	return ctl_fail(ctl, CTL_FAILED, "out of memory");
}

const char *ctl_option(const struct ctl *ctl, enum option_id id)
{
	return ctl->arguments.values[id];
}

bool ctl_has(const struct ctl *ctl, enum option_id id)
{
	return ctl->arguments.values[id];
}

const char *member_string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

long long member_integer(const json_t *object, const char *name)
{
	return (long long)member_real(object, name, 0);
}

double member_real(const json_t *object, const char *name, double otherwise)
{
	const json_t *value = json_object_get(object, name);
	return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool member_text(const json_t *object, const char *name, struct text *out)
{
	const json_t *value = json_object_get(object, name);
	text_clear(out);
	if (!value || json_is_null(value))
		return true;
	if (json_is_string(value))
		return text_append(out, json_string_value(value),
				   json_string_length(value));
	char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	bool ok = json && text_append_string(out, json);
	free(json);
	return ok;
}

bool member_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

int ctl_fail_error(struct ctl *ctl, const json_t *error, long status,
		   const char *request_id)
{
	const char *message = member_string(error, "message");
	const char *code = member_string(error, "code");
	struct text about = TEXT_INIT(1024);
	if (code && status)
		text_append_format(&about, "%s, HTTP %ld", code, status);
	else if (code)
		text_append_string(&about, code);
	else if (status)
		text_append_format(&about, "HTTP %ld", status);
	if (request_id && *request_id)
		text_append_format(&about, "%srequest %s",
				   about.length ? ", " : "", request_id);

	/* A refused file's message is lines of its own; nothing goes behind
	 * them. */
	bool several = message && strchr(message, '\n');
	int exit_code = CTL_FAILED;
	const char *advice = "";
	if (status == 401) {
		exit_code = CTL_NOT_PERMITTED;
		advice = "; set $ATOMD_KEY or give --key-file FILE";
	} else if (status == 403) {
		exit_code = CTL_NOT_PERMITTED;
	}
	if (several)
		ctl_fail(ctl, exit_code, "%s", message);
	else
		ctl_fail(ctl, exit_code, "%s%s (%s)",
			 message ? message : "the daemon gave no reason",
			 advice, text_string(&about));
	text_fini(&about);
	return exit_code;
}

/* An answer of 400 or more, or one that is no daemon's. */
static int judge_status(struct ctl *ctl, const struct client_answer *answer)
{
	json_t *root = json_loadb(text_string(&answer->body),
				  answer->body.length, 0, NULL);
	const json_t *error = json_object_get(root, "error");
	int code;
	if (json_is_object(error)) {
		code = ctl_fail_error(ctl, error, answer->status,
				      answer->request_id);
	} else if (answer->status >= 502 && answer->status <= 504) {
		/* A proxy says so: the daemon itself answers in JSON. */
		code = ctl_fail(ctl, CTL_UNREACHABLE,
				"%s answered HTTP %ld without atomd's JSON: a "
				"proxy there cannot reach atomd",
				client_endpoint(ctl->client), answer->status);
	} else {
		code = ctl_fail(ctl,
				answer->status == 401 || answer->status == 403
					? CTL_NOT_PERMITTED
					: CTL_FAILED,
				"%s answered HTTP %ld with %s, expected "
				"atomd's JSON; is it atomd's address?",
				client_endpoint(ctl->client), answer->status,
				answer->content_type[0] ? answer->content_type
							: "no content type");
	}
	json_decref(root);
	return code;
}

int ctl_judge(struct ctl *ctl, enum client_result result,
	      const struct client_answer *answer)
{
	const char *reason = text_string(&answer->reason);
	switch (result) {
	case CLIENT_ANSWERED:
	case CLIENT_STOPPED:
		if (answer->status >= 200 && answer->status < 300)
			return CTL_DONE;
		return judge_status(ctl, answer);
	case CLIENT_UNREACHABLE: {
		bool several = strchr(reason, '\n');
		return ctl_fail(ctl, CTL_UNREACHABLE,
				"cannot reach atomd%s\n%s\nStart it, or name "
				"its address with --url or $ATOMD_URL",
				several ? "; tried" : "", reason);
	}
	case CLIENT_CUT:
		/* Half an answer with an error's status is still an error. */
		return ctl_fail(
			ctl, answer->status ? CTL_FAILED : CTL_UNREACHABLE,
			"the answer of atomd did not come whole: %s", reason);
	case CLIENT_INTERRUPTED:
		return ctl_fail(ctl, CTL_FAILED, "interrupted");
	}
	return CTL_FAILED;
}

int ctl_exchange(struct ctl *ctl, const struct client_request *request,
		 json_t **answer_r)
{
	struct client_answer answer;
	enum client_result result = client_send(ctl->client, request, &answer);
	int code = ctl_judge(ctl, result, &answer);
	if (code == CTL_DONE) {
		json_error_t error;
		*answer_r = json_loadb(text_string(&answer.body),
				       answer.body.length, 0, &error);
		if (!*answer_r)
			code = ctl_fail(ctl, CTL_FAILED,
					"%s answered %s with what is no JSON "
					"(%s); is it atomd's address?",
					client_endpoint(ctl->client),
					request->path, error.text);
	}
	client_answer_fini(&answer);
	return code;
}

int ctl_call(struct ctl *ctl, const char *method, const char *path,
	     const json_t *body, const char *progress, json_t **answer_r)
{
	char *json = body ? json_dumps(body, JSON_COMPACT) : NULL;
	if (body && !json)
		return ctl_fail_memory(ctl);
	const struct client_request request = {
		.method = method,
		.path = path,
		.json = json,
		.accept = "application/json",
		.progress = progress,
		.timeout_ms = CALL_TIMEOUT_MS,
	};
	int code = ctl_exchange(ctl, &request, answer_r);
	free(json);
	return code;
}

int ctl_get(struct ctl *ctl, const char *path, json_t **answer_r)
{
	return ctl_call(ctl, "GET", path, NULL, NULL, answer_r);
}

int ctl_get_list(struct ctl *ctl, const char *path, const char *name,
		 json_t **list_r)
{
	json_t *root = NULL;
	int code = ctl_get(ctl, path, &root);
	if (code != CTL_DONE)
		return code;
	json_t *list = json_object_get(root, name);
	if (json_is_array(list))
		*list_r = json_incref(list);
	else
		code = ctl_fail(ctl, CTL_FAILED,
				"%s answered %s without a list \"%s\"; is it "
				"atomd's address?",
				client_endpoint(ctl->client), path, name);
	json_decref(root);
	return code;
}

bool ctl_path(struct text *path, const char *before, const char *segment,
	      const char *after)
{
	text_clear(path);
	return text_append_string(path, before) &&
	       endpoint_escape(path, segment) &&
	       text_append_string(path, after);
}

int ctl_print_json(struct ctl *ctl, const json_t *value)
{
	char *json = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
	if (!json)
		return ctl_fail_memory(ctl);
	terminal_write(stdout, json, strlen(json), !ctl->terminal.out);
	putchar('\n');
	free(json);
	return CTL_DONE;
}

void ctl_say(const struct ctl *ctl, const char *format, ...)
{
	va_list arguments;
	char *words = NULL;
	va_start(arguments, format);
	int length = vasprintf(&words, format, arguments);
	va_end(arguments);
	if (length < 0) {
		fputs("atomctl: out of memory, a line is missing\n", stderr);
		return;
	}
	terminal_write(stdout, words, (size_t)length, !ctl->terminal.out);
	free(words);
}

int ctl_print_table(struct ctl *ctl, struct table *table)
{
	bool whole =
		table_print(table, stdout, ctl->terminal.colour, 0, 0, "\n");
	table_discard(table);
	return whole ? CTL_DONE : ctl_fail_memory(ctl);
}
