/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

/*
 * Reads HTTP/1.1 messages as they come, requests and answers alike: head,
 * then a body by Content-Length or in chunks.  It knows what a benchmark
 * meets and refuses the rest, so a proxy that frames an answer wrongly is
 * noticed.  Written apart from the daemon's parser on purpose: one must not
 * excuse the other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MESSAGE_LINE_MAX 512 /* of a head or of a chunk's size */

enum message_state {
	MESSAGE_START, /* nothing of it has come */
	MESSAGE_HEAD,
	MESSAGE_FIXED,
	MESSAGE_CHUNK_SIZE,
	MESSAGE_CHUNK,
	MESSAGE_CHUNK_END,
	MESSAGE_TRAILER,
	MESSAGE_DONE,
};

struct message {
	enum message_state state;
	bool chunked;
	bool has_length;
	bool close; /* the connection ends with it */
	bool event_stream;
	int status;    /* of an answer; 0: a request */
	uint64_t left; /* of the body, or of the chunk */
	uint64_t body_bytes;
	char target[64];	     /* "POST /path", cut */
	char line[MESSAGE_LINE_MAX]; /* one that has not come whole */
	size_t line_length;
};

/* A piece of the body.  false: this is wrong, stop. */
typedef bool message_body(void *owner, const char *bytes, size_t length);

void message_init(struct message *m);
/* Takes bytes up to the end of the message (state MESSAGE_DONE) and says how
 * many it took; -1: no HTTP, or body() said so. */
ssize_t message_take(struct message *m, const char *bytes, size_t length,
		     message_body *body, void *owner);

#endif
