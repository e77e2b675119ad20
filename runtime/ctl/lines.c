/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "lines.h"

void lines_init(struct lines *lines, size_t max_bytes, lines_handler *on_line,
		void *closure)
{
	*lines = (struct lines){
		.pending = TEXT_INIT(max_bytes),
		.on_line = on_line,
		.closure = closure,
	};
}

static bool lines_emit(struct lines *lines)
{
	bool go_on =
		lines->on_line(lines->closure, text_string(&lines->pending),
			       lines->pending.length);
	text_clear(&lines->pending);
	return go_on;
}

bool lines_feed(struct lines *lines, const char *bytes, size_t length)
{
	size_t start = 0;
	for (size_t i = 0; i < length; i++) {
		char byte = bytes[i];
		bool second_half = lines->after_cr && byte == '\n';
		lines->after_cr = byte == '\r';
		if (second_half) {
			start = i + 1;
			continue;
		}
		if (byte != '\n' && byte != '\r')
			continue;
		if (!text_append(&lines->pending, bytes + start, i - start) ||
		    !lines_emit(lines))
			return false;
		start = i + 1;
	}
	return text_append(&lines->pending, bytes + start, length - start);
}

bool lines_end(struct lines *lines)
{
	return lines->pending.length == 0 || lines_emit(lines);
}

void lines_fini(struct lines *lines)
{
	text_fini(&lines->pending);
}
