/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TOKEN_ESTIMATE_H
#define GATEWAY_TOKEN_ESTIMATE_H

/*
 * How many tokens a call may be, before anybody has counted: what is reserved
 * of a limit, and what is charged when a backend tells no usage.  A token is
 * about four bytes of English (OpenAI's rule of thumb); JSON around the text
 * is counted with it, so that the estimate is rather too high.  Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What somebody else has counted or asked for: more than any model takes is as
 * much as this, so that sums never wrap. */
#define TOKENS_MAX ((int64_t)1000 * 1000 * 1000 * 1000)
static inline int64_t tokens_bounded(int64_t tokens)
{
	return tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
}

/* An image or a file inside the messages ("data:..."), however long. */
#define TOKENS_OF_IMAGE 1000

/* JSON that a model shall read.  At least 1. */
int64_t tokens_of_input(const char *json, size_t length);
int64_t tokens_of_text(size_t length);

/* Chunks of a provider's stream, which are a token each and much JSON around
 * it: the smallest one is taken for the frame and one token, and what others
 * are longer for more text. */
struct token_chunks {
	int64_t count;
	int64_t bytes;
	int64_t smallest;
};
void token_chunks_add(struct token_chunks *chunks, size_t length);
int64_t tokens_of_chunks(const struct token_chunks *chunks);

/* Tokens of a call that has reached its backend, at its end; by estimate where
 * that has told none.  `chunks` are those of its bytes that came so. */
struct call;
int64_t tokens_of_call(const struct call *call,
		       const struct token_chunks *chunks, bool failed);

#endif
