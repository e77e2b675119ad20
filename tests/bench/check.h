/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

/*
 * Whether an answer is the one that was asked for, byte by byte, as its body
 * comes.  Of the mock's answers every byte is known; of an echo agent's, who
 * writes ids and times of its own, every byte of the text.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "bytes.h"
#include "histogram.h"

enum check_kind {
	CHECK_MOCK,
	CHECK_ECHO
};

/* What all checks of a run share. */
struct check_rules {
	enum check_kind kind;
	const char *text; /* of the question, its number filled in (echo) */
	size_t text_length;
	uint64_t now_ns;	 /* when the bytes at hand arrived */
	uint64_t events;	 /* that arrived */
	struct histogram delays; /* of events on their way, ns */
};

struct check {
	struct check_rules *rules;
	struct answer answer;
	struct bytes kept; /* a body, or an event, that is not whole yet */
	uint32_t events;   /* that came, comments left out */
	size_t said;	   /* bytes of text that came (echo) */
	bool done;	   /* [DONE] came */
	const char *wrong; /* what is; NULL: nothing so far */
};

void check_fini(struct check *c);
void check_begin(struct check *c, struct check_rules *rules,
		 const struct answer *answer);
/* false: this is wrong; c->wrong says what. */
bool check_body(struct check *c, const char *bytes, size_t length);
bool check_end(struct check *c);

#endif
