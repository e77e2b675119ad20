/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_COMPLETION_H
#define GATEWAY_COMPLETION_H

/*
 * An answer put together from what a backend emits: text, tool calls, an
 * object, or a provider's own chat.completion.  Needed where the caller wants
 * it whole, and where a session shall remember it.
 *
 * Text is kept as the inside of a JSON string, which is how it leaves; a
 * provider's strings are taken over without being decoded.  A provider may cut
 * an escaped pair of surrogates in two pieces: put together they are the pair
 * again, and a half that stays alone leaves as U+FFFD.  [one thread]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/backend.h>

#include "core/buffer.h"
#include "core/json_scan.h"
#include "gateway/utf8_tail.h"

#define COMPLETION_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define COMPLETION_TOOLS_MAX 128

struct tool_call;

struct completion {
	struct buffer text;    /* inside of a JSON string */
	struct buffer refusal; /* the same */
	struct buffer json;    /* ATOM_EMIT_JSON */
	struct buffer raw;     /* a whole chat.completion object */
	struct tool_call *tools;
	size_t tool_count;
	size_t bytes; /* taken in, of all kinds */
	struct utf8_tail tail;
};

void completion_init(struct completion *c);
void completion_fini(struct completion *c);
/* Empty again; buffers of text up to `keep_bytes` stay. */
void completion_clear(struct completion *c, size_t keep_bytes);

/* Takes what was emitted.  `whole`: a RAW piece belongs to one object, else
 * it is a chunk of a stream.  ATOM_ELIMIT beyond the bound, ATOM_EPROTO when
 * a chunk is not what it should be, ATOM_ENOMEM. */
atom_status completion_add(struct completion *c, int32_t kind, bool whole,
			   const char *bytes, size_t length);

/* How much of `text` may be told already: all but a character at its end of
 * which a part is missing. */
size_t completion_text_ready(const struct completion *c);
/* The text is over: what was never finished becomes U+FFFD.  Also done by the
 * functions below. */
void completion_text_end(struct completion *c);

/* The assistant's message as a JSON object, appended.  ATOM_EPROTO when a
 * provider's object holds none. */
atom_status completion_message(struct completion *c, struct buffer *out);
/* What an invoke gives back, as JSON: the text as a string, an object as
 * itself, the whole message when tools are called. */
atom_status completion_output(struct completion *c, struct buffer *out);

/* Is what was said one JSON value?  Also true of what says nothing: tool
 * calls, a refusal. */
bool completion_is_json(struct completion *c);

/* "stop" "length" "tool_calls" "content_filter" */
const char *completion_finish_word(const struct atom_usage *usage);
/* The usage object with OpenAI's names, or with ours. */
atom_status completion_usage_chat(const struct atom_usage *usage,
				  struct buffer *out);
atom_status completion_usage_native(const struct atom_usage *usage,
				    struct buffer *out);

#endif
