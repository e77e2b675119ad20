/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the body of a chat: it is refused with a message, or what the
 * gateway and the openai backend make of it is JSON again: the messages with
 * a system prompt and a session's before them, what a session keeps, the
 * input, and the body that goes to the provider.  The first byte chooses what
 * is put in.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/chat.h"
#include "provider_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define KEPT "{\"role\":\"assistant\",\"content\":\"before\"}"

static void must_be(const char *text, size_t length, enum json_span_kind kind,
		    struct json_span *value_r)
{
	struct json_scan_error error;

	if (json_scan_value(text, length, JSON_SCAN_DEPTH_MAX, value_r,
			    &error) != ATOM_OK ||
	    value_r->kind != kind)
		abort();
}

static void must_be_array(const struct buffer *text, size_t count)
{
	struct json_iterator iterator;
	struct json_span array, element;

	must_be(text->bytes, text->length, JSON_SPAN_ARRAY, &array);
	iterator = json_iterate(&array);
	while (json_next_element(&iterator, &element))
		count--;
	if (count != 0)
		abort();
}

/* What goes to the provider. */
static void pass_on(const char *body, size_t length,
		    const struct json_span *from, const struct buffer *messages,
		    uint8_t mode, bool stream)
{
	struct atom_call_request request = {
		.flags = (stream ? ATOM_CALL_STREAM : 0u) |
			 (mode & 4 ? ATOM_CALL_WANTS_STREAM_USAGE : 0u),
		.agent = "a",
		.body = { body, length },
		.body_messages = { from->at, from->length },
		.messages = { messages->bytes, messages->length },
		.max_tokens = mode & 8 ? 77 : 0,
	};
	size_t out_length;
	char *out = provider_body(&request, mode, &out_length);
	struct json_span object, sent;

	must_be(out, out_length, JSON_SPAN_OBJECT, &object);
	sent = json_span_member(&object, "messages");
	if (sent.length != messages->length ||
	    memcmp(sent.at, messages->bytes, sent.length) != 0)
		abort();
	free(out);
}

static void use(const char *body, size_t length, const struct chat_request *r,
		uint8_t mode)
{
	const char *system = mode & 16 ? "be \"brief\"\n" : "";
	struct buffer session = BUFFER_INIT(SIZE_MAX);
	struct buffer out = BUFFER_INIT(SIZE_MAX);
	size_t kept = 0;

	if (mode & 32 &&
	    buffer_append(&session, KEPT, sizeof(KEPT) - 1) != ATOM_OK)
		abort();
	if (messages_splice(&out, system, &session, &r->messages) != ATOM_OK)
		abort();
	must_be_array(&out, r->list.count + (system[0] != '\0') +
				    (session.length > 0));
	pass_on(body, length, &r->messages, &out, mode, r->stream);

	buffer_clear(&out);
	buffer_clear(&session);
	if (messages_append_new(&session, &r->messages, &kept) != ATOM_OK ||
	    buffer_printf(&out, "[%.*s]", (int)session.length,
			  session.bytes != NULL ? session.bytes : "") !=
		    ATOM_OK ||
	    kept > r->list.count)
		abort();
	must_be_array(&out, kept);

	buffer_clear(&out);
	if (messages_flatten(&r->list.last_user, &out) == ATOM_OK) {
		struct json_span text;

		must_be(out.bytes, out.length, JSON_SPAN_STRING, &text);
	} else if (out.length > 0) {
		abort();
	}
	buffer_fini(&session);
	buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct api_error e = API_ERROR_INIT;
	struct chat_request request;
	struct chat_body body;
	char *text, name[64];

	if (size == 0)
		return 0;
	/* No byte behind it. */
	text = malloc(size);
	if (text == NULL)
		abort();
	memcpy(text, bytes + 1, size - 1);
	if (chat_scan(text, size - 1, &body, &e)) {
		if (!chat_model(&body, name, sizeof(name), &e) &&
		    e.message[0] == '\0')
			abort();
		e = (struct api_error)API_ERROR_INIT;
		if (chat_parameters(&body, &request, &e))
			use(text, size - 1, &request, bytes[0]);
		else if (e.message[0] == '\0')
			abort();
	} else if (e.message[0] == '\0') {
		abort();
	}
	free(text);
	return 0;
}
