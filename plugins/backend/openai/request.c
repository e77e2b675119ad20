/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "openai.h"

/*
 * The body that goes out.  Of a caller's body only what has to change is
 * replaced or inserted; the rest is sent from where it lies.
 */

#define EDITS_MAX 8

/* `removed` bytes at `at` give way to `text`. */
struct edit {
	const char *at;
	size_t removed;
	struct atom_span text;
};

struct edits {
	struct edit all[EDITS_MAX];
	size_t count;
};

static struct atom_span span(const char *text)
{
	return (struct atom_span){ text, strlen(text) };
}

/* In the order in which they stand in the body; equal ones as they came. */
static void add_edit(struct edits *edits, const char *at, size_t removed,
		     struct atom_span text)
{
	size_t i = edits->count++;

	while (i > 0 && edits->all[i - 1].at > at) {
		edits->all[i] = edits->all[i - 1];
		i--;
	}
	edits->all[i] = (struct edit){ at, removed, text };
}

static void replace(struct edits *edits, struct json value,
		    struct atom_span text)
{
	add_edit(edits, value.at, value.length, text);
}

static void add_piece(struct request_body *body, struct atom_span piece)
{
	if (piece.length > 0)
		body->pieces[body->count++] = piece;
}

static void apply(const struct edits *edits, struct atom_span text,
		  struct request_body *body)
{
	const char *at = text.bytes;

	body->count = 0;
	for (size_t i = 0; i < edits->count; i++) {
		const struct edit *edit = &edits->all[i];

		add_piece(body,
			  (struct atom_span){ at, (size_t)(edit->at - at) });
		add_piece(body, edit->text);
		at = edit->at + edit->removed;
	}
	add_piece(body, (struct atom_span){
				at, (size_t)(text.bytes + text.length - at) });
}

/* --- a caller's body ------------------------------------------------------------- */

/* What this backend looks at. */
struct members {
	struct json object; /* the whole */
	struct json model;
	struct json messages;
	struct json stream_options;
	struct json tokens[2]; /* in the order of token_fields */
};

/* 1 where the text is a sound object with messages. */
static int find_members(struct atom_span text, struct members *m)
{
	struct json_walk walk = json_walk_text(text.bytes, text.length);
	struct json name, value;

	*m = (struct members){ 0 };
	while (json_next(&walk, &name, &value)) {
		if (json_reads(name, "model"))
			m->model = value;
		else if (json_reads(name, "messages"))
			m->messages = value;
		else if (json_reads(name, "stream_options"))
			m->stream_options = value;
		else if (json_reads(name, token_fields[0]))
			m->tokens[0] = value;
		else if (json_reads(name, token_fields[1]))
			m->tokens[1] = value;
	}
	return json_walked(&walk, &m->object) && m->messages.at != NULL;
}

/* Asks for usage at the stream's end, whatever the caller's options are. */
static void edit_stream_options(struct edits *edits, const char *inside,
				struct json options)
{
	struct json usage = json_member(options, "include_usage");
	struct json_walk walk = json_walk(options);
	struct json name, value;

	if (options.at == NULL)
		add_edit(edits, inside, 0,
			 span("\"stream_options\":{\"include_usage\":true},"));
	else if (!json_is_object(options))
		replace(edits, options, span("{\"include_usage\":true}"));
	else if (usage.at != NULL)
		replace(edits, usage, span("true"));
	else
		add_edit(edits, options.at + 1, 0,
			 json_next(&walk, &name, &value)
				 ? span("\"include_usage\":true,")
				 : span("\"include_usage\":true"));
}

static void edit_tokens(struct call *call, struct edits *edits,
			const char *inside, const struct members *m,
			int64_t max_tokens)
{
	int32_t which = call->openai->options->token_field;

	if (max_tokens <= 0 || !json_is_null(m->tokens[0]) ||
	    !json_is_null(m->tokens[1]))
		return;
	if (m->tokens[which].at != NULL) {
		(void)snprintf(call->tokens, sizeof(call->tokens), "%" PRId64,
			       max_tokens);
		replace(edits, m->tokens[which], span(call->tokens));
		return;
	}
	(void)snprintf(call->tokens, sizeof(call->tokens),
		       "\"%s\":%" PRId64 ",", token_fields[which], max_tokens);
	add_edit(edits, inside, 0, span(call->tokens));
}

static atom_status splice(struct call *call,
			  const struct atom_call_request *request,
			  struct request_body *body_r, struct atom_error *err)
{
	struct edits edits = { .count = 0 };
	struct members m;
	const char *inside;

	if (!find_members(request->body, &m))
		return atom_fail(err, ATOM_EINVAL,
				 "openai: the call's body is no JSON object "
				 "with messages");
	inside = m.object.at + 1;
	if (call->openai->model != NULL && m.model.at != NULL)
		replace(&edits, m.model, span(call->openai->model));
	if (request->messages.bytes != request->body_messages.bytes)
		replace(&edits, m.messages, request->messages);
	edit_tokens(call, &edits, inside, &m, request->max_tokens);
	if ((request->flags & ATOM_CALL_STREAM) != 0 &&
	    (request->flags & ATOM_CALL_WANTS_STREAM_USAGE) == 0)
		edit_stream_options(&edits, inside, m.stream_options);
	apply(&edits, request->body, body_r);
	return ATOM_OK;
}

/* --- an invoke: there is no body --------------------------------------------------- */

static void build(struct call *call, const struct atom_call_request *request,
		  struct request_body *body)
{
	body->count = 0;
	add_piece(body, span("{\"model\":"));
	if (call->openai->model != NULL) {
		add_piece(body, span(call->openai->model));
	} else {
		/* An agent's name needs no escapes. */
		add_piece(body, span("\""));
		add_piece(body, span(request->agent));
		add_piece(body, span("\""));
	}
	add_piece(body, span(",\"messages\":"));
	add_piece(body, request->messages);
	if (request->max_tokens > 0) {
		(void)snprintf(call->tokens, sizeof(call->tokens),
			       ",\"%s\":%" PRId64,
			       token_fields[call->openai->options->token_field],
			       request->max_tokens);
		add_piece(body, span(call->tokens));
	}
	if ((request->flags & ATOM_CALL_STREAM) != 0)
		add_piece(body, span(",\"stream\":true,\"stream_options\":"
				     "{\"include_usage\":true}"));
	add_piece(body, span("}"));
}

atom_status request_body(struct call *call,
			 const struct atom_call_request *request,
			 struct request_body *body_r, struct atom_error *err)
{
	if (request->body.length > 0)
		return splice(call, request, body_r, err);
	build(call, request, body_r);
	return ATOM_OK;
}
