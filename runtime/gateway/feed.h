/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_FEED_H
#define GATEWAY_FEED_H

/*
 * What happens, as server-sent events to those who watch: a picture of the
 * whole each time one is made, and events as they come.
 *
 *	any thread ─ feed_event ──┐
 *	control ─ feed_picture ───┴─► one ring, a mutex for moments ─► loops:
 *	                              each writes to its own streams
 *
 * Bounded per client: a stream that takes no more bytes gets nothing until it
 * does; pictures in between are skipped, for the next one says all, and of
 * events the last FEED_EVENTS are kept for it; what is lost is counted and
 * told to it as the event `missed`.  Nobody waits for a stream.
 *
 * A stream ends with the event `again` after FEED_AGE_MS, for whoever comes back
 * is judged again, and within FEED_LOOK_MS of its holder no longer being let in
 * (security/standing.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/host.h>

#include "core/buffer.h"

struct http_request;
struct principal;

#define FEED_EVENTS	 64
#define FEED_EVENT_BYTES 8192 /* larger ones lose their details */
#define FEED_STREAMS_MAX 64
#define FEED_AGE_MS	 300000
#define FEED_LOOK_MS	 500

/* [control] Metrics. */
atom_status feed_init(struct atom_error *err);
/* When no loop runs any more. */
void feed_fini(void);

/* [loop] The answer to this request is a stream from now on, for as long as
 * this principal stands (security/standing.h).  False: there are
 * FEED_STREAMS_MAX already, or no memory; the request is as it was. */
bool feed_join(struct http_request *request, const struct principal *principal);
/* How many watch. [any] */
unsigned int feed_watched(void);

/* A picture, a JSON text; without memory it is left out. [control] */
void feed_picture(const struct buffer *json);
/* An event, as gateway_event(). [any] */
void feed_event(const char *name, const char *agent,
		const struct atom_span *json);
/* All streams end, and no more begin. [control] */
void feed_end(void);

#endif
