/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/session_priv.h"
#include "core/json_scan.h"
#include "core/text.h"

#define HEAD_MAX  128
#define STATE_MAX ((size_t)256 * 1024)

void session_init_buffers(struct session *session)
{
	/* What one call adds may pass the bound for a moment. */
	buffer_init(&session->messages, (size_t)4 * SESSION_BYTES_MAX);
	buffer_init(&session->state, STATE_MAX);
}

atom_status session_store_key(const char *agent, const char *key,
			      struct buffer *out)
{
	buffer_append_text(out, agent);
	buffer_append_char(out, '\x1f');
	return buffer_append_text(out, key);
}

atom_status session_encode(const struct session *session, struct buffer *out)
{
	buffer_printf(out, "1 %" PRId64 " %" PRId64 " %zu %zu\n",
		      session->created_ms, session->updated_ms, session->count,
		      session->state.length);
	buffer_append(out, session->state.bytes, session->state.length);
	buffer_append(out, session->messages.bytes, session->messages.length);
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}

static bool read_head(const char *bytes, size_t length, int64_t *created_r,
		      int64_t *updated_r, size_t *count_r, size_t *state_r,
		      size_t *head_r)
{
	const char *end =
		memchr(bytes, '\n', length < HEAD_MAX ? length : HEAD_MAX - 1);
	char head[HEAD_MAX];

	if (end == NULL)
		return false;
	memcpy(head, bytes, (size_t)(end - bytes));
	head[end - bytes] = '\0';
	*head_r = (size_t)(end - bytes) + 1;
	return sscanf(head, "1 %" SCNd64 " %" SCNd64 " %zu %zu", created_r,
		      updated_r, count_r, state_r) == 4;
}

bool session_decode_head(const char *bytes, size_t length, int64_t *created_r,
			 int64_t *updated_r)
{
	size_t count, state, head;

	return read_head(bytes, length, created_r, updated_r, &count, &state,
			 &head);
}

atom_status session_decode(struct session *session, const char *bytes,
			   size_t length)
{
	size_t count, state, head;
	struct json_span array;
	struct json_scan_error error;
	atom_status status;

	if (!read_head(bytes, length, &session->created_ms,
		       &session->updated_ms, &count, &state, &head) ||
	    state > length - head)
		return ATOM_EDATALOSS;
	bytes += head;
	length -= head;
	buffer_clear(&session->state);
	buffer_clear(&session->messages);
	status = buffer_append(&session->state, bytes, state);
	if (status != ATOM_OK)
		return status;
	bytes += state;
	length -= state;
	if (length > 0 && (json_scan_value(bytes, length, JSON_SCAN_DEPTH_MAX,
					   &array, &error) != ATOM_OK ||
			   array.kind != JSON_SPAN_ARRAY))
		return ATOM_EDATALOSS;
	session->count = count;
	return buffer_append(&session->messages, bytes, length);
}

atom_status session_append(struct session *session,
			   const struct buffer *messages, size_t count)
{
	struct buffer *b = &session->messages;
	size_t before = b->length;

	if (count == 0)
		return ATOM_OK;
	if (buffer_reserve(b, messages->length + 3) != ATOM_OK)
		return ATOM_ELIMIT;
	if (before == 0)
		buffer_append_char(b, '[');
	else
		b->bytes[before - 1] = ',';
	buffer_append(b, messages->bytes, messages->length);
	buffer_append_char(b, ']');
	session->count += count;
	return ATOM_OK;
}

void session_trim(struct session *session, size_t max)
{
	struct buffer *b = &session->messages;
	struct json_span array = { b->bytes, b->length, JSON_SPAN_ARRAY,
				   false };
	struct json_iterator i;
	struct json_span element;
	size_t left = session->count;

	if (b->length == 0)
		return;
	i = json_iterate(&array);
	while (json_next_element(&i, &element)) {
		struct json_span role = json_span_member(&element, "role");
		size_t offset = (size_t)(element.at - b->bytes);
		bool fits =
			left <= max && b->length - offset <= SESSION_BYTES_MAX;

		if (fits && (left == session->count ||
			     json_span_equals(&role, "user"))) {
			if (offset > 1) {
				buffer_consume(b, offset - 1);
				b->bytes[0] = '[';
			}
			session->count = left;
			return;
		}
		left--;
	}
	/* Nothing that could begin a conversation is left. */
	buffer_clear(b);
	session->count = 0;
}

atom_status session_inside(const struct session *session, struct buffer *out)
{
	const struct buffer *b = &session->messages;

	if (b->length <= 2)
		return ATOM_OK;
	return buffer_append(out, b->bytes + 1, b->length - 2);
}

atom_status session_to_json(const struct session *session, const char *id,
			    struct buffer *out)
{
	char created[TEXT_TIME_MAX], updated[TEXT_TIME_MAX];

	text_of_time(session->created_ms, created);
	text_of_time(session->updated_ms, updated);
	buffer_append_text(out, "{\"id\":");
	buffer_append_json_string(out, id);
	buffer_append_text(out, ",\"agent\":");
	buffer_append_json_string(out, session->agent->name);
	buffer_printf(out, ",\"created\":\"%s\",\"updated\":\"%s\",", created,
		      updated);
	buffer_append_text(out, "\"messages\":");
	if (session->messages.length > 0)
		buffer_append(out, session->messages.bytes,
			      session->messages.length);
	else
		buffer_append_text(out, "[]");
	buffer_append_text(out, "}");
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}
