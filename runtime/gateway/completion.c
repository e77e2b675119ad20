/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/completion.h"

#include <string.h>

#include "core/memory.h"

#define WORD_MAX 512 /* of an id, a type, a function's name */

struct tool_call {
	struct buffer id; /* insides of JSON strings, all four */
	struct buffer type;
	struct buffer name;
	struct buffer arguments;
};

void completion_init(struct completion *c)
{
	*c = (struct completion){
		.text = BUFFER_INIT(COMPLETION_BYTES_MAX),
		.refusal = BUFFER_INIT(COMPLETION_BYTES_MAX),
		.json = BUFFER_INIT(COMPLETION_BYTES_MAX),
		.raw = BUFFER_INIT(COMPLETION_BYTES_MAX),
	};
}

static void free_tools(struct completion *c)
{
	for (size_t i = 0; i < c->tool_count; i++) {
		buffer_fini(&c->tools[i].id);
		buffer_fini(&c->tools[i].type);
		buffer_fini(&c->tools[i].name);
		buffer_fini(&c->tools[i].arguments);
	}
	mem_free(TAKE(c->tools));
	c->tool_count = 0;
}

void completion_fini(struct completion *c)
{
	free_tools(c);
	buffer_fini(&c->text);
	buffer_fini(&c->refusal);
	buffer_fini(&c->json);
	buffer_fini(&c->raw);
	completion_init(c);
}

static void clear(struct buffer *buffer, size_t keep_bytes)
{
	if (buffer->capacity > keep_bytes)
		buffer_fini(buffer);
	else
		buffer_clear(buffer);
}

void completion_clear(struct completion *c, size_t keep_bytes)
{
	if (c->tool_count > 0)
		free_tools(c);
	clear(&c->text, keep_bytes);
	clear(&c->raw, keep_bytes);
	buffer_fini(&c->refusal);
	buffer_fini(&c->json);
	c->bytes = 0;
	c->tail.length = 0;
}

/* --- pieces ---------------------------------------------------------------- */

/* The inside of a JSON string. */
static atom_status append_inside(struct buffer *out,
				 const struct json_span *string)
{
	if (string->kind != JSON_SPAN_STRING)
		return ATOM_OK;
	return buffer_append(out, string->at + 1, string->length - 2);
}

/* --- tool calls ----------------------------------------------------------- */

static struct tool_call *tool_at(struct completion *c, int64_t index)
{
	struct tool_call *tools;

	if (index < 0 || index > (int64_t)c->tool_count ||
	    index >= COMPLETION_TOOLS_MAX)
		return NULL;
	if ((size_t)index < c->tool_count)
		return &c->tools[index];
	tools = mem_realloc(c->tools, (c->tool_count + 1) * sizeof(*tools));
	if (tools == NULL)
		return NULL;
	c->tools = tools;
	tools[c->tool_count] = (struct tool_call){
		.id = BUFFER_INIT(WORD_MAX),
		.type = BUFFER_INIT(WORD_MAX),
		.name = BUFFER_INIT(WORD_MAX),
		.arguments = BUFFER_INIT(COMPLETION_BYTES_MAX),
	};
	return &tools[c->tool_count++];
}

/* Providers say these once, or again with every piece. */
static atom_status append_once(struct buffer *out,
			       const struct json_span *string)
{
	return out->length > 0 ? ATOM_OK : append_inside(out, string);
}

static atom_status merge_tool(struct completion *c,
			      const struct json_span *piece, size_t at)
{
	struct json_span index = json_span_member(piece, "index");
	struct json_span function = json_span_member(piece, "function");
	struct json_span part;
	struct tool_call *tool;
	int64_t number = (int64_t)at;
	atom_status status;

	(void)json_span_to_int(&index, &number);
	tool = tool_at(c, number);
	if (tool == NULL)
		return ATOM_EPROTO;
	part = json_span_member(piece, "id");
	status = append_once(&tool->id, &part);
	part = json_span_member(piece, "type");
	if (status == ATOM_OK)
		status = append_once(&tool->type, &part);
	part = json_span_member(&function, "name");
	if (status == ATOM_OK)
		status = append_once(&tool->name, &part);
	part = json_span_member(&function, "arguments");
	if (status == ATOM_OK)
		status = append_inside(&tool->arguments, &part);
	return status;
}

static atom_status merge_delta(struct completion *c,
			       const struct json_span *delta)
{
	struct json_span content = json_span_member(delta, "content");
	struct json_span refusal = json_span_member(delta, "refusal");
	struct json_span tools = json_span_member(delta, "tool_calls");
	struct json_iterator pieces = json_iterate(&tools);
	struct json_span piece;
	atom_status status = append_inside(&c->text, &content);

	if (status == ATOM_OK)
		status = append_inside(&c->refusal, &refusal);
	for (size_t at = 0;
	     status == ATOM_OK && tools.kind == JSON_SPAN_ARRAY &&
	     json_next_element(&pieces, &piece);
	     at++)
		status = merge_tool(c, &piece, at);
	return status;
}

/* choices[0].NAME of a chat.completion or a chunk of one. */
static struct json_span of_first_choice(const struct json_span *object,
					const char *name)
{
	struct json_span choices = json_span_member(object, "choices");
	struct json_iterator all = json_iterate(&choices);
	struct json_span first;

	if (choices.kind != JSON_SPAN_ARRAY || !json_next_element(&all, &first))
		return (struct json_span){ .kind = JSON_SPAN_NONE };
	return json_span_member(&first, name);
}

static atom_status scan(const char *bytes, size_t length,
			struct json_span *object_r)
{
	struct json_scan_error error;

	if (json_scan_piece(bytes, length, JSON_SCAN_DEPTH_MAX, object_r,
			    &error) != ATOM_OK ||
	    object_r->kind != JSON_SPAN_OBJECT)
		return ATOM_EPROTO;
	return ATOM_OK;
}

/* --- adding ---------------------------------------------------------------- */

atom_status completion_add(struct completion *c, int32_t kind, bool whole,
			   const char *bytes, size_t length)
{
	struct json_span object, delta;
	atom_status status;

	if (length > COMPLETION_BYTES_MAX - c->bytes)
		return ATOM_ELIMIT;
	c->bytes += length;
	switch (kind) {
	case ATOM_EMIT_TEXT:
		return utf8_append_json(&c->tail, &c->text, bytes, length);
	case ATOM_EMIT_JSON:
		return buffer_append(&c->json, bytes, length);
	case ATOM_EMIT_DELTA:
		status = scan(bytes, length, &object);
		return status == ATOM_OK ? merge_delta(c, &object) : status;
	case ATOM_EMIT_RAW:
		if (whole)
			return buffer_append(&c->raw, bytes, length);
		status = scan(bytes, length, &object);
		if (status != ATOM_OK)
			return status;
		delta = of_first_choice(&object, "delta");
		return merge_delta(c, &delta);
	default:
		return ATOM_OK;
	}
}

/* --- the result ------------------------------------------------------------ */

static void append_tool(const struct tool_call *tool, struct buffer *out)
{
	buffer_append_text(out, "{\"id\":\"");
	buffer_append(out, tool->id.bytes, tool->id.length);
	buffer_append_text(out, "\",\"type\":\"");
	if (tool->type.length > 0)
		buffer_append(out, tool->type.bytes, tool->type.length);
	else
		buffer_append_text(out, "function");
	buffer_append_text(out, "\",\"function\":{\"name\":\"");
	buffer_append(out, tool->name.bytes, tool->name.length);
	buffer_append_text(out, "\",\"arguments\":\"");
	buffer_append(out, tool->arguments.bytes, tool->arguments.length);
	buffer_append_text(out, "\"}}");
}

static void append_content(struct completion *c, struct buffer *out)
{
	completion_text_end(c);
	if (c->json.length > 0) {
		buffer_append_char(out, '"');
		buffer_append_json(out, c->json.bytes, c->json.length);
		buffer_append_char(out, '"');
	} else if (c->text.length > 0 ||
		   (c->tool_count == 0 && c->refusal.length == 0)) {
		buffer_append_char(out, '"');
		buffer_append(out, c->text.bytes, c->text.length);
		buffer_append_char(out, '"');
	} else {
		buffer_append_text(out, "null");
	}
}

/* The last bytes of the inside of a string are an escape of the first half of
 * a pair. */
static bool ends_in_half(const char *text, size_t length)
{
	size_t backslashes = 0;

	if (length < 6 || text[length - 5] != 'u' ||
	    (text[length - 4] | 0x20) != 'd' ||
	    strchr("89abAB", text[length - 3]) == NULL)
		return false;
	while (backslashes < length - 5 &&
	       text[length - 6 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

size_t completion_text_ready(const struct completion *c)
{
	size_t length = c->text.length;

	return ends_in_half(c->text.bytes, length) ? length - 6 : length;
}

void completion_text_end(struct completion *c)
{
	(void)utf8_end_json(&c->tail, &c->text);
}

static atom_status append_message(struct completion *c, struct buffer *out)
{
	struct json_span object, message;

	if (c->raw.length > 0) {
		if (scan(c->raw.bytes, c->raw.length, &object) != ATOM_OK)
			return ATOM_EPROTO;
		message = of_first_choice(&object, "message");
		if (message.kind != JSON_SPAN_OBJECT)
			return ATOM_EPROTO;
		return buffer_append(out, message.at, message.length);
	}
	buffer_append_text(out, "{\"role\":\"assistant\",\"content\":");
	append_content(c, out);
	if (c->refusal.length > 0) {
		buffer_append_text(out, ",\"refusal\":\"");
		buffer_append(out, c->refusal.bytes, c->refusal.length);
		buffer_append_char(out, '"');
	}
	if (c->tool_count > 0) {
		buffer_append_text(out, ",\"tool_calls\":[");
		for (size_t i = 0; i < c->tool_count; i++) {
			if (i > 0)
				buffer_append_char(out, ',');
			append_tool(&c->tools[i], out);
		}
		buffer_append_char(out, ']');
	}
	buffer_append_char(out, '}');
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

/* Halves of pairs that nothing completed, wherever they stand. */
static atom_status mend(struct buffer *out, size_t from, atom_status status)
{
	if (status == ATOM_OK)
		json_mend_surrogates(out->bytes + from, out->length - from);
	return status;
}

atom_status completion_message(struct completion *c, struct buffer *out)
{
	size_t from = out->length;

	return mend(out, from, append_message(c, out));
}

static atom_status append_output(struct completion *c, struct buffer *out)
{
	struct json_span value, message, content;
	struct json_scan_error error;

	if (c->json.length > 0) {
		if (json_scan_value(c->json.bytes, c->json.length,
				    JSON_SCAN_DEPTH_MAX, &value,
				    &error) != ATOM_OK)
			return ATOM_EPROTO;
		return buffer_append(out, value.at, value.length);
	}
	if (c->raw.length > 0) {
		if (scan(c->raw.bytes, c->raw.length, &value) != ATOM_OK)
			return ATOM_EPROTO;
		message = of_first_choice(&value, "message");
		content = json_span_member(&message, "content");
		if (message.kind != JSON_SPAN_OBJECT)
			return ATOM_EPROTO;
		if (content.kind != JSON_SPAN_STRING)
			content = message;
		return buffer_append(out, content.at, content.length);
	}
	if (c->tool_count > 0 || c->refusal.length > 0)
		return append_message(c, out);
	append_content(c, out);
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

bool completion_is_json(struct completion *c)
{
	struct buffer said = BUFFER_INIT(2 * COMPLETION_BYTES_MAX);
	struct buffer text = BUFFER_INIT(2 * COMPLETION_BYTES_MAX);
	struct json_span value;
	struct json_scan_error error;
	bool is = false;

	if (append_output(c, &said) == ATOM_OK && !said.failed &&
	    json_scan_piece(said.bytes, said.length, JSON_SCAN_DEPTH_MAX,
			    &value, &error) == ATOM_OK)
		is = value.kind != JSON_SPAN_STRING ||
		     (json_span_append(&value, &text) == ATOM_OK &&
		      json_scan_value(text.bytes, text.length,
				      JSON_SCAN_DEPTH_MAX, &value,
				      &error) == ATOM_OK);
	buffer_fini(&text);
	buffer_fini(&said);
	return is;
}

atom_status completion_output(struct completion *c, struct buffer *out)
{
	size_t from = out->length;

	return mend(out, from, append_output(c, out));
}

const char *completion_finish_word(const struct atom_usage *usage)
{
	switch (usage->finish_reason) {
	case ATOM_FINISH_LENGTH:
		return "length";
	case ATOM_FINISH_TOOL_CALLS:
		return "tool_calls";
	case ATOM_FINISH_CONTENT_FILTER:
		return "content_filter";
	default:
		return "stop";
	}
}

/* Counts are a plugin's word. */
static int64_t clamp(int64_t count)
{
	return count > 0 ? count : 0;
}

static void append_count(struct buffer *out, const char *before, int64_t count)
{
	buffer_append_text(out, before);
	buffer_append_u64(out, (unsigned long long)clamp(count));
}

static int64_t total(const struct atom_usage *usage)
{
	int64_t sum;

	return __builtin_add_overflow(clamp(usage->input_tokens),
				      clamp(usage->output_tokens), &sum)
		       ? INT64_MAX
		       : sum;
}

atom_status completion_usage_chat(const struct atom_usage *usage,
				  struct buffer *out)
{
	append_count(out, "{\"prompt_tokens\":", usage->input_tokens);
	append_count(out, ",\"completion_tokens\":", usage->output_tokens);
	append_count(out, ",\"total_tokens\":", total(usage));
	if (usage->cached_tokens > 0) {
		append_count(out,
			     ",\"prompt_tokens_details\":{\"cached_tokens\":",
			     usage->cached_tokens);
		buffer_append_char(out, '}');
	}
	return buffer_append_char(out, '}');
}

atom_status completion_usage_native(const struct atom_usage *usage,
				    struct buffer *out)
{
	append_count(out, "{\"input_tokens\":", usage->input_tokens);
	append_count(out, ",\"output_tokens\":", usage->output_tokens);
	append_count(out, ",\"total_tokens\":", total(usage));
	if (usage->cached_tokens > 0)
		append_count(out, ",\"cached_tokens\":", usage->cached_tokens);
	return buffer_append_char(out, '}');
}
