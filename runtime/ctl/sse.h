/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events, as the HTML standard defines their parsing.
 *
 * Feed the body in pieces of any size; `on_event` gets each event with its
 * name ("message" when it has none) and its data lines joined by LF. Comments
 * (heartbeats), ids and retry times are dropped. An event that the stream's
 * end cuts off is no event.
 */
#ifndef CTL_SSE_H
#define CTL_SSE_H

#include "lines.h"

/* Answers false to stop. The strings are valid until it returns. */
typedef bool sse_handler(void *closure, const char *event, const char *data,
			 size_t length);

struct sse {
	struct lines lines;
	struct text event;
	struct text data;
	bool has_data;
	bool started;
	sse_handler *on_event;
	void *closure;
};

/* `max_bytes`: the longest line and the longest event that are accepted.
 * The struct must not move until sse_fini. */
void sse_init(struct sse *sse, size_t max_bytes, sse_handler *on_event,
	      void *closure);

/* False: the handler stopped, an event was too long, or memory was short. */
bool sse_feed(struct sse *sse, const char *bytes, size_t length);

void sse_fini(struct sse *sse);

#endif
