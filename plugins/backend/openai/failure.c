/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openai.h"

/*
 * A provider's errors in our words: the status decides what happens next, the
 * provider's code and message go along, without any key that they quote.
 */

#define MESSAGE_MAX ((size_t)8192)

static atom_status status_of(int32_t http_status)
{
	switch (http_status) {
	case 401:
	case 403:
		return ATOM_EPERM;
	case 404:
		return ATOM_ENOENT;
	case 408:
	case 504:
		return ATOM_ETIMEOUT;
	case 409:
	case 425:
	case 503:
	case 529:
		return ATOM_EBUSY;
	case 402:
	case 429:
		return ATOM_EQUOTA;
	default:
		return http_status >= 400 && http_status < 500 ? ATOM_EINVAL
							       : ATOM_EIO;
	}
}

/* --- what the provider said --------------------------------------------------- */

/* {"error":{...}}, {"error":"..."}, [{"error":...}], or bare members. */
static struct json error_of(struct json object)
{
	struct json error;

	if (json_is_array(object))
		object = json_first(object);
	error = json_member(object, "error");
	return json_is_null(error) ? object : error;
}

static struct json message_of(struct json error)
{
	static const char *const names[] = { "message", "detail", "msg", NULL };
	struct json message;

	if (json_is_string(error))
		return error;
	for (int i = 0; names[i] != NULL; i++) {
		message = json_member(error, names[i]);
		if (json_is_string(message))
			return message;
	}
	return (struct json){ NULL, 0 };
}

struct atom_error *failure_of(struct call *call)
{
	static _Thread_local struct atom_error unread;

	call->failed = 1;
	if (call->error == NULL) {
		call->error = malloc(sizeof(*call->error));
		if (call->error == NULL)
			return &unread;
		*call->error = (struct atom_error)ATOM_ERROR_INIT;
	}
	return call->error;
}

/* A stable word: letters, digits and _.- only. */
static int take_code(struct atom_error *err, struct json word)
{
	char decoded[256];
	size_t length;

	if (!json_is_string(word) || word.length > sizeof(decoded))
		return 0;
	length = json_decode(word, decoded);
	if (length == 0 || length >= sizeof(err->code))
		return 0;
	for (size_t i = 0; i < length; i++) {
		char c = decoded[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && strchr("_.-", c) == NULL)
			return 0;
	}
	memcpy(err->code, decoded, length);
	err->code[length] = '\0';
	return 1;
}

/* --- without keys ---------------------------------------------------------------- */

static void hide(char *text, const char *secret)
{
	size_t length = strlen(secret);
	char *at;

	if (length < 4)
		return;
	while ((at = strstr(text, secret)) != NULL) {
		memset(at, '*', 3);
		memmove(at + 3, at + length, strlen(at + length) + 1);
	}
}

static void redact(const struct openai *o, char *text)
{
	hide(text, o->options->api_key);
	for (size_t i = 0; i < o->options->headers.count; i++)
		if (strlen(o->options->headers.items[i].value) >= 8)
			hide(text, o->options->headers.items[i].value);
	if (o->secret != NULL)
		(void)o->secret->redact(o->host, text);
}

/* Hidden first and cut afterwards, so that no half of a key is left; cut
 * between characters. */
static void take_message(struct call *call, struct json message)
{
	struct atom_error *err = failure_of(call);
	size_t length = 0, max = sizeof(err->message) - 1;
	char *text;

	if (!json_is_string(message) || message.length > MESSAGE_MAX)
		return;
	text = malloc(message.length + 1);
	if (text == NULL)
		return;
	length = json_decode(message, text);
	text[length] = '\0';
	redact(call->openai, text);
	length = strlen(text);
	if (length > max)
		for (length = max;
		     length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;
		     length--)
			;
	if (length > 0) {
		memcpy(err->message, text, length);
		err->message[length] = '\0';
	}
	free(text);
}

static void take_error(struct call *call, struct json object)
{
	struct json error = error_of(object);
	struct atom_error *err = failure_of(call);

	if (!take_code(err, json_member(error, "code")))
		(void)take_code(err, json_member(error, "type"));
	if (strcmp(err->code, "") != 0)
		redact(call->openai, err->code);
	take_message(call, message_of(error));
}

/* --- the two places where errors stand ---------------------------------------------- */

static void explain_status(struct call *call)
{
	int32_t status = call->http_status;
	struct atom_error *err = failure_of(call);

	if (status == 401 || status == 403)
		atom_fail(err, ATOM_EPERM,
			  "openai: the provider refused the agent's credential "
			  "(%d); check api_key",
			  (int)status);
	else if (status >= 300 && status < 400)
		atom_fail(err, ATOM_EPROTO,
			  "openai: the provider answered with a redirection "
			  "(%d), which is not followed; check base_url",
			  (int)status);
	else
		atom_fail(err, status_of(status),
			  "openai: the provider answered %d", (int)status);
	err->http_status = status;
}

void failure_of_answer(struct call *call)
{
	struct openai *o = call->openai;
	struct json object;

	explain_status(call);
	failure_of(call)->retry_after_ms = retry_after_ms(
		o->http->header(call->transfer, "retry-after"),
		o->http->header(call->transfer, "retry-after-ms"),
		o->clock->realtime_ms(o->host));
	if (call->http_status == 401 || call->http_status == 403)
		return; /* such answers quote keys */
	if (json_whole(call->body.at, call->body.length, &object))
		take_error(call, object);
}

void failure_of_object(struct call *call, struct json object)
{
	struct atom_error *err = failure_of(call);

	atom_fail(err, ATOM_EIO,
		  "openai: the provider ended its answer with an error");
	take_error(call, object);
	if (strstr(err->code, "rate_limit") != NULL ||
	    strstr(err->code, "quota") != NULL)
		err->status = ATOM_EQUOTA;
	else if (strstr(err->code, "overloaded") != NULL)
		err->status = ATOM_EBUSY;
}
