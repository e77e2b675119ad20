/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

/*
 * What is asked and what is answered.  Mock and generator share this file:
 * the one says it, the other knows every byte of it beforehand.
 *
 * A question holds its number and the shape of the answer that it wants, in
 * the text of its only message, for that is what every gateway passes on
 * unchanged.  All text of an answer follows from a checksum of the messages:
 * an answer that belongs to another question, or to a damaged one, is wrong
 * from its first byte.
 *
 *     {"model":"bench",...,"messages":[{"role":"user","content":"bench
 *      NUMBER size=SIZE events=EVENTS interval_us=MICROSECONDS filler"}]}
 *
 * A piece of a stream begins with the time at which it was said, sixteen hex
 * digits of CLOCK_MONOTONIC in ns: the delay on its way.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_MODEL	 "bench"
#define ANSWER_SIZE_MAX	 ((uint32_t)16 * 1024 * 1024)
#define ANSWER_FRAME_MAX 512 /* bytes around the text */
#define ANSWER_STAMP	 16
#define ANSWER_NUMBER	 16 /* hex digits of a question's number */

struct shape {
	uint32_t size;	 /* text of a whole answer, or of one event */
	uint32_t events; /* 0: a whole answer */
	uint32_t interval_us;
};

struct answer {
	struct shape shape;
	uint64_t checksum;
};

/* --- questions ------------------------------------------------------------ */

/* A question's body of about `size` bytes, malloc'ed; *number_at_r is where
 * its number stands, to be overwritten by question_number().  NULL: too
 * small to hold anything, or no memory. */
char *question_new(const struct shape *shape, size_t size, size_t *length_r,
		   size_t *number_at_r);
void question_number(char *digits, uint64_t number);
/* The text of its message, within `body`. */
const char *question_text(const char *body, size_t length, size_t *length_r);
/* What it asks for.  false: this is no question of ours. */
bool question_read(const char *body, size_t length, struct answer *answer_r);

/* --- answers -------------------------------------------------------------- */

/* An upper bound in bytes of the body of a whole answer, or of one event. */
size_t answer_bound(const struct answer *a);
/* A chat.completion; says its length. */
size_t answer_whole(const struct answer *a, char *out);

/* A stream is a role, shape.events pieces of text, an end, usage, [DONE]. */
#define ANSWER_EVENTS_AROUND 4
static inline uint32_t answer_event_count(const struct answer *a)
{
	return a->shape.events + ANSWER_EVENTS_AROUND;
}

/* Whether event `number` is a piece of text, which has a stamp. */
static inline bool answer_event_has_text(const struct answer *a,
					 uint32_t number)
{
	return number >= 1 && number <= a->shape.events;
}

/* "data: ...\n\n" */
size_t answer_event(const struct answer *a, uint32_t number, uint64_t stamp,
		    char *out);
/* The stamp of a piece of text that arrived.  false: there is none. */
bool answer_event_stamp(const char *event, size_t length, uint64_t *stamp_r);

/* ns of CLOCK_MONOTONIC */
uint64_t clock_ns(void);

#endif
