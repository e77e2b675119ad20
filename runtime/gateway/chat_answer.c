/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory.h"
#include "gateway/chat.h"
#include "gateway/desk.h"
#include "gateway/sse.h"

/*
 * A chat's answer: a chat.completion object, or chunks of one.  The id is
 * the request's own, so that a complaint about an answer leads to the log.
 */

/* `"id":...,"object":OBJECT,"created":...,"model":...,`; agents' names need no
 * escape. */
static void append_head(const struct exchange *x, const char *object,
			struct buffer *out)
{
	buffer_append_text(out, "{\"id\":\"chatcmpl-");
	/* Behind "req_". */
	buffer_append_text(out, x->request_id + 4);
	buffer_append_text(out, "\",\"object\":\"");
	buffer_append_text(out, object);
	buffer_append_text(out, "\",\"created\":");
	buffer_append_u64(out, (unsigned long long)x->created_s);
	buffer_append_text(out, ",\"model\":\"");
	buffer_append_text(out, revision_agent(x->revision));
	buffer_append_text(out, "\",");
}

static void append_chunk_head(const struct exchange *x, struct buffer *out)
{
	buffer_append_text(out, "data: ");
	append_head(x, "chat.completion.chunk", out);
	buffer_append_text(out, "\"choices\":[");
}

#define CHOICE	   "{\"index\":0,\"delta\":"
#define CHOICE_END ",\"finish_reason\":null}]}\n\n"

static void introduce(struct exchange *x, struct buffer *out)
{
	if (x->introduced)
		return;
	x->introduced = true;
	append_chunk_head(x, out);
	buffer_append_text(out, CHOICE "{\"role\":\"assistant\","
				       "\"content\":\"\"}" CHOICE_END);
}

static void append_text(struct exchange *x, const char *bytes, size_t length,
			struct buffer *out)
{
	introduce(x, out);
	append_chunk_head(x, out);
	buffer_append_text(out, CHOICE "{\"content\":\"");
	utf8_append_json(&x->tail, out, bytes, length);
	buffer_append_text(out, "\"}" CHOICE_END);
}

static void chat_emit(struct exchange *x, int32_t kind, const char *bytes,
		      size_t length, struct buffer *out)
{
	switch (kind) {
	case ATOM_EMIT_RAW:
		sse_event(out, NULL, bytes, length);
		break;
	case ATOM_EMIT_TEXT:
	case ATOM_EMIT_JSON:
		append_text(x, bytes, length, out);
		break;
	case ATOM_EMIT_DELTA:
		introduce(x, out);
		append_chunk_head(x, out);
		buffer_append_text(out, CHOICE);
		sse_append(out, bytes, length);
		buffer_append_text(out, CHOICE_END);
		break;
	case ATOM_EMIT_EVENT:
		/* OpenAI's clients know no progress: it is only a sign of
		 * life, and no reason to give up the status. */
		if (x->begun)
			sse_comment(out, bytes, length);
		break;
	default:
		break;
	}
}

static atom_status chat_finish(struct exchange *x, struct buffer *out)
{
	const struct atom_usage *usage = &x->call.usage;

	if (x->tail.length > 0) {
		append_chunk_head(x, out);
		buffer_append_text(out, CHOICE "{\"content\":\"");
		utf8_end_json(&x->tail, out);
		buffer_append_text(out, "\"}" CHOICE_END);
	}
	if (!x->raw) {
		introduce(x, out);
		append_chunk_head(x, out);
		buffer_append_text(out, CHOICE "{},\"finish_reason\":\"");
		buffer_append_text(out, completion_finish_word(usage));
		buffer_append_text(out, "\"}]}\n\n");
	}
	if (!x->raw && x->include_usage) {
		append_chunk_head(x, out);
		buffer_append_text(out, "],\"usage\":");
		completion_usage_chat(usage, out);
		buffer_append_text(out, "}\n\n");
	}
	return buffer_append_text(out, "data: [DONE]\n\n");
}

static void chat_fail(struct exchange *x, const struct api_error *e,
		      struct buffer *out)
{
	(void)x;
	buffer_append_text(out, "data: ");
	api_error_append(e, NULL, out);
	buffer_append_text(out, "\n\n");
}

static atom_status chat_whole(struct exchange *x, struct buffer *out,
			      const struct buffer **body_r)
{
	atom_status status;

	if (x->raw) {
		*body_r = &x->completion.raw;
		return x->completion.raw.length > 0 ? ATOM_OK : ATOM_EPROTO;
	}
	append_head(x, "chat.completion", out);
	buffer_append_text(out, "\"choices\":[{\"index\":0,\"message\":");
	status = completion_message(&x->completion, out);
	buffer_append_text(out, ",\"finish_reason\":\"");
	buffer_append_text(out, completion_finish_word(&x->call.usage));
	buffer_append_text(out, "\"}],\"usage\":");
	completion_usage_chat(&x->call.usage, out);
	buffer_append_char(out, '}');
	return status;
}

static atom_status chat_splice(struct exchange *x)
{
	const char *prompt = revision_config(x->revision)->system_prompt;
	const struct buffer *session = exchange_remembered(x);
	struct atom_call_request *r = &x->call.request;
	atom_status status;

	if (prompt[0] == '\0' && (session == NULL || session->length == 0)) {
		r->messages = r->body_messages;
		return ATOM_OK;
	}
	status = messages_splice(&x->messages, prompt, session, &x->asked);
	r->messages =
		(struct atom_span){ x->messages.bytes, x->messages.length };
	return status;
}

static atom_status chat_remember(const struct exchange *x, struct buffer *out,
				 size_t *count_r)
{
	return messages_append_new(out, &x->asked, count_r);
}

const struct surface chat_surface = {
	.splice = chat_splice,
	.remember = chat_remember,
	.emit = chat_emit,
	.finish = chat_finish,
	.fail = chat_fail,
	.whole = chat_whole,
	.collects = false,
};
