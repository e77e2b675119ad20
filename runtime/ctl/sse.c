/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "sse.h"

#include <string.h>

#define EVENT_NAME_MAX 256

static bool sse_dispatch(struct sse *sse)
{
	bool go_on = true;
	if (sse->has_data) {
		const char *event = sse->event.length ? text_string(&sse->event)
						      : "message";
		go_on = sse->on_event(sse->closure, event,
				      text_string(&sse->data),
				      sse->data.length);
	}
	text_clear(&sse->event);
	text_clear(&sse->data);
	sse->has_data = false;
	return go_on;
}

static bool sse_line(void *closure, const char *line, size_t length)
{
	struct sse *sse = closure;
	if (!sse->started && length >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
		line += 3;
		length -= 3;
	}
	sse->started = true;
	if (length == 0)
		return sse_dispatch(sse);

	const char *colon = memchr(line, ':', length);
	size_t name_length = colon ? (size_t)(colon - line) : length;
	const char *value = colon ? colon + 1 : line + length;
	if (*value == ' ')
		value++;
	size_t value_length = (size_t)(line + length - value);

	if (name_length == 4 && !memcmp(line, "data", 4)) {
		if (sse->has_data && !text_append(&sse->data, "\n", 1))
			return false;
		sse->has_data = true;
		return text_append(&sse->data, value, value_length);
	}
	if (name_length == 5 && !memcmp(line, "event", 5)) {
		text_clear(&sse->event);
		return text_append(&sse->event, value, value_length);
	}
	return true;
}

void sse_init(struct sse *sse, size_t max_bytes, sse_handler *on_event,
	      void *closure)
{
	*sse = (struct sse){
		.event = TEXT_INIT(EVENT_NAME_MAX),
		.data = TEXT_INIT(max_bytes),
		.on_event = on_event,
		.closure = closure,
	};
	lines_init(&sse->lines, max_bytes, sse_line, sse);
}

bool sse_feed(struct sse *sse, const char *bytes, size_t length)
{
	return lines_feed(&sse->lines, bytes, length);
}

void sse_fini(struct sse *sse)
{
	lines_fini(&sse->lines);
	text_fini(&sse->event);
	text_fini(&sse->data);
}
