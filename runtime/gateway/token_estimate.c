/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/token_estimate.h"

#include <string.h>

#include "agent/call.h"

#define BYTES_OF_TOKEN 4
/* Shorter ones hold no image that would be worth the search. */
#define IMAGE_BYTES 4096

int64_t tokens_of_text(size_t length)
{
	return (int64_t)((length + BYTES_OF_TOKEN - 1) / BYTES_OF_TOKEN);
}

/* What strings that begin with "data:" are longer than TOKENS_OF_IMAGE. */
static size_t image_bytes(const char *json, size_t length)
{
	static const char prefix[] = "\"data:";
	const size_t kept = (size_t)TOKENS_OF_IMAGE * BYTES_OF_TOKEN;
	const char *at = json, *end = json + length;
	size_t sum = 0;

	while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
		const char *close;

		if ((size_t)(end - at) <= sizeof(prefix) - 1 ||
		    memcmp(at, prefix, sizeof(prefix) - 1) != 0) {
			at++;
			continue;
		}
		at += sizeof(prefix) - 1;
		close = memchr(at, '"', (size_t)(end - at));
		if (close == NULL)
			break;
		if ((size_t)(close - at) > kept)
			sum += (size_t)(close - at) - kept;
		at = close + 1;
	}
	return sum;
}

int64_t tokens_of_input(const char *json, size_t length)
{
	if (length > IMAGE_BYTES)
		length -= image_bytes(json, length);
	return length > 0 ? tokens_of_text(length) : 1;
}

void token_chunks_add(struct token_chunks *chunks, size_t length)
{
	int64_t bytes = (int64_t)length;

	if (chunks->count == 0 || bytes < chunks->smallest)
		chunks->smallest = bytes;
	chunks->count++;
	chunks->bytes += bytes;
}

int64_t tokens_of_chunks(const struct token_chunks *chunks)
{
	int64_t beyond = chunks->bytes - chunks->count * chunks->smallest;

	return chunks->count + beyond / BYTES_OF_TOKEN;
}

int64_t tokens_of_call(const struct call *call,
		       const struct token_chunks *chunks, bool failed)
{
	const struct atom_span *messages = &call->request.messages;
	uint64_t text = call->emitted_bytes - (uint64_t)chunks->bytes;

	if (call->usage_known)
		return tokens_bounded(call->usage.input_tokens) +
		       tokens_bounded(call->usage.output_tokens);
	/* By itself, and before it said anything. */
	if (failed && call->cancel_reason == 0 && call->emitted_bytes == 0)
		return 0;
	return tokens_of_input(messages->bytes, messages->length) +
	       tokens_of_text((size_t)text) + tokens_of_chunks(chunks);
}
