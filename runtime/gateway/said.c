/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/said.h"

void said_keep(struct completion *c, bool *cut, bool whole, int32_t kind,
	       const char *bytes, size_t length)
{
	if (!*cut && length <= SAID_MAX - c->bytes &&
	    completion_add(c, kind, whole, bytes, length) == ATOM_OK)
		return;
	*cut = true;
	completion_clear(c, 0);
}

static bool is_structure(const struct json_span *value)
{
	return value->kind == JSON_SPAN_OBJECT ||
	       value->kind == JSON_SPAN_ARRAY;
}

bool answer_read(struct completion *c, size_t max, struct answer *a)
{
	struct json_scan_error error;
	struct json_span value;

	*a = (struct answer){ .is_json = false };
	/* A byte escaped is six. */
	buffer_init(&a->output, 8 * max);
	buffer_init(&a->text, 8 * max);
	if (completion_output(c, &a->output) != ATOM_OK || a->output.failed ||
	    json_scan_value(a->output.bytes, a->output.length,
			    JSON_SCAN_DEPTH_MAX, &value, &error) != ATOM_OK)
		return false;
	if (value.kind != JSON_SPAN_STRING) {
		a->json = value;
		a->is_json = is_structure(&value);
		return buffer_append(&a->text, value.at, value.length) ==
		       ATOM_OK;
	}
	if (json_span_append(&value, &a->text) != ATOM_OK)
		return false;
	a->is_json = a->text.length > 0 &&
		     json_scan_value(a->text.bytes, a->text.length,
				     JSON_SCAN_DEPTH_MAX, &a->json,
				     &error) == ATOM_OK &&
		     is_structure(&a->json);
	return true;
}

void answer_fini(struct answer *answer)
{
	buffer_fini(&answer->output);
	buffer_fini(&answer->text);
}
