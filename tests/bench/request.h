/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_REQUEST_H
#define BENCH_REQUEST_H

/*
 * The one request of a run, as bytes on the wire, head and all.  Calls differ
 * in the number that stands in it, which is filled in before each use: ten
 * thousand connections share one copy.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"

struct request {
	char *bytes;
	size_t length;
	char *body; /* within bytes */
	size_t body_length;
	char *number;	  /* within body */
	const char *text; /* of the message, within body */
	size_t text_length;
};

/* `key` may be NULL.  false, with a line on stderr. */
bool request_init(struct request *r, uint16_t port, const char *path,
		  const char *key, const struct shape *shape, size_t body_size);
void request_fini(struct request *r);
void request_number(struct request *r, uint64_t number);
/* What the model answers to the number that stands in it. */
void request_answer(const struct request *r, struct answer *answer_r);

#endif
