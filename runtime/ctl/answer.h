/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of an agent, for `invoke` and `chat`.
 */
#ifndef CTL_ANSWER_H
#define CTL_ANSWER_H

#include "ctl.h"

/* The largest input; the daemon's own default for a body is the same. */
#define ANSWER_INPUT_MAX (10u << 20)

struct answer_call {
	const char *agent;
	const char *input; /* text, UTF-8 */
	size_t input_length;
	const char *session; /* NULL: none */
};

/* Streams the answer to stdout as it comes and ends it with a newline.
 * `*end_r` is the event that closed it ({"output","usage",...}), the caller's,
 * set on CTL_DONE. `*interrupted_r`: a wake descriptor ended it. */
int answer_stream(struct ctl *ctl, const struct answer_call *call,
		  json_t **end_r, bool *interrupted_r);

/* Waits for the whole answer and prints nothing. */
int answer_whole(struct ctl *ctl, const struct answer_call *call,
		 json_t **answer_r);

/* `12 tokens in, 40 out` to stderr, where a person sees it. */
void answer_print_usage(const struct ctl *ctl, const json_t *end);

#endif
