/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPENAI_SSE_H
#define OPENAI_SSE_H

/*
 * Reads server-sent events (HTML standard, 9.2.6) out of bytes as they come:
 * lines end in CR, LF or CRLF; comments and unknown fields are skipped; the
 * data lines of an event are joined by LF.  An event that lies whole in what
 * has come is not copied.
 */

#include <stddef.h>

#include "bytes.h"

#define SSE_EVENT_MAX ((size_t)1024 * 1024)

struct sse {
	struct bytes line;  /* the begin of a line that has not ended */
	struct bytes data;  /* of the event so far, when it is not `direct` */
	const char *direct; /* data that lies in the caller's bytes */
	size_t direct_length;
	int has_data;
	int is_error; /* its event field says "error" */
	int after_cr;
	int begun;
	int told; /* the event was given out: forget it */
};

struct sse_event {
	const char *bytes; /* until the next call */
	size_t length;
	int is_error;
};

enum sse_result {
	SSE_MORE,  /* all is read and no event is complete */
	SSE_EVENT, /* here is one; call again */
	SSE_LONG,  /* an event over SSE_EVENT_MAX */
	SSE_NO_MEMORY,
};

void sse_init(struct sse *sse);
void sse_fini(struct sse *sse);
/* Reads on from *at, which moves, to `end`. */
enum sse_result sse_next(struct sse *sse, const char **at, const char *end,
			 struct sse_event *event_r);
/* The stream has ended: the event that lacks its empty line, if any. */
enum sse_result sse_end(struct sse *sse, struct sse_event *event_r);

#endif
