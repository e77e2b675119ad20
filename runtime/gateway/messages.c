/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/messages.h"

#include <stdio.h>
#include <string.h>

/* One message's role and content, each there at most once: two readers would
 * choose different ones. */
static atom_status read_one(const struct json_span *message, size_t at,
			    struct json_span *role, struct json_span *content,
			    char *why, size_t why_size)
{
	struct json_iterator members = json_iterate(message);
	struct json_member member;

	role->kind = content->kind = JSON_SPAN_NONE;
	while (json_next_member(&members, &member)) {
		struct json_span *to = NULL;

		if (json_span_equals(&member.name, "role"))
			to = role;
		else if (json_span_equals(&member.name, "content"))
			to = content;
		if (to == NULL)
			continue;
		if (to->kind != JSON_SPAN_NONE) {
			(void)snprintf(why, why_size,
				       "messages[%zu] names a member twice",
				       at);
			return ATOM_EINVAL;
		}
		*to = member.value;
	}
	if (role->kind != JSON_SPAN_STRING) {
		(void)snprintf(why, why_size,
			       "messages[%zu]: expected a string `role`", at);
		return ATOM_EINVAL;
	}
	return ATOM_OK;
}

static bool is_system(const struct json_span *role)
{
	return json_span_equals(role, "system") ||
	       json_span_equals(role, "developer");
}

atom_status messages_read(const struct json_span *array,
			  struct message_list *list_r, char *why,
			  size_t why_size)
{
	struct message_list list = { 0 };
	struct json_iterator elements;
	struct json_span message, role, content;

	if (array->kind != JSON_SPAN_ARRAY) {
		(void)snprintf(why, why_size,
			       "messages: expected an array of messages");
		return ATOM_EINVAL;
	}
	elements = json_iterate(array);
	for (; json_next_element(&elements, &message); list.count++) {
		if (list.count == MESSAGES_MAX) {
			(void)snprintf(why, why_size,
				       "messages: expected at most %d",
				       MESSAGES_MAX);
			return ATOM_EINVAL;
		}
		if (message.kind != JSON_SPAN_OBJECT) {
			(void)snprintf(why, why_size,
				       "messages[%zu]: expected an object",
				       list.count);
			return ATOM_EINVAL;
		}
		if (read_one(&message, list.count, &role, &content, why,
			     why_size) != ATOM_OK)
			return ATOM_EINVAL;
		if (is_system(&role))
			list.has_system = true;
		else if (json_span_equals(&role, "user"))
			list.last_user = content;
	}
	if (list.count == 0) {
		(void)snprintf(why, why_size,
			       "messages: expected at least one message");
		return ATOM_EINVAL;
	}
	*list_r = list;
	return ATOM_OK;
}

/* A comma, unless the array has just been opened. */
static void join(struct buffer *out, size_t opened)
{
	if (out->length > opened)
		buffer_append_char(out, ',');
}

atom_status messages_splice(struct buffer *out, const char *system_prompt,
			    const struct buffer *session,
			    const struct json_span *array)
{
	size_t opened = out->length + 1;

	buffer_append_char(out, '[');
	if (system_prompt[0] != '\0') {
		buffer_append_text(out, "{\"role\":\"system\",\"content\":");
		buffer_append_json_string(out, system_prompt);
		buffer_append_char(out, '}');
	}
	if (session != NULL && session->length > 0) {
		join(out, opened);
		buffer_append(out, session->bytes, session->length);
	}
	if (array != NULL) {
		/* An array that was read has an element: no "," at its end. */
		join(out, opened);
		buffer_append(out, array->at + 1, array->length - 2);
	}
	buffer_append_char(out, ']');
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

atom_status messages_append_new(struct buffer *out,
				const struct json_span *array, size_t *count_r)
{
	struct json_iterator elements = json_iterate(array);
	struct json_span message;

	while (json_next_element(&elements, &message)) {
		struct json_span role = json_span_member(&message, "role");

		if (is_system(&role))
			continue;
		join(out, 0);
		buffer_append(out, message.at, message.length);
		++*count_r;
	}
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

atom_status messages_flatten(const struct json_span *content,
			     struct buffer *out)
{
	struct json_iterator parts = json_iterate(content);
	struct json_span part;
	size_t before = out->length;

	if (content->kind != JSON_SPAN_ARRAY)
		return ATOM_ENOTSUP;
	buffer_append_char(out, '"');
	while (json_next_element(&parts, &part)) {
		struct json_span type = json_span_member(&part, "type");
		struct json_span text = json_span_member(&part, "text");

		if (type.kind != JSON_SPAN_STRING ||
		    !json_span_equals(&type, "text") ||
		    text.kind != JSON_SPAN_STRING) {
			out->length = before;
			return ATOM_ENOTSUP;
		}
		/* Insides of JSON strings, side by side, are one. */
		buffer_append(out, text.at + 1, text.length - 2);
	}
	buffer_append_char(out, '"');
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}
