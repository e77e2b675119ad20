/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a chunked body, at once and in steps of the first byte's size:
 * verdict, payload and the place of the end must be the same.
 */
#include <stdlib.h>
#include <string.h>

#include "http/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct outcome {
	enum http_parse result;
	size_t used;
	size_t payload_length;
	uint64_t payload_sum;
};

static struct outcome decode(const char *text, size_t size, size_t step)
{
	struct http_chunked chunked = { 0 };
	struct outcome o = { .result = HTTP_PARSE_MORE };

	while (o.used < size && o.result == HTTP_PARSE_MORE) {
		size_t given = size - o.used < step ? size - o.used : step;
		struct http_text run;
		size_t used;

		o.result = http_chunked_next(&chunked, text + o.used, given,
					     &used, &run);
		if (used == 0 || used > given)
			abort();
		if (run.len && (run.at < text + o.used ||
				run.at + run.len > text + o.used + used))
			abort();
		for (size_t i = 0; i < run.len; i++)
			o.payload_sum =
				o.payload_sum * 31 + (unsigned char)run.at[i];
		o.payload_length += run.len;
		o.used += used;
	}
	if ((o.result == HTTP_PARSE_REFUSED) != (chunked.why != NULL))
		abort();
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct outcome at_once, in_steps;

	if (size < 2)
		return 0;
	at_once = decode((const char *)bytes + 1, size - 1, size);
	in_steps =
		decode((const char *)bytes + 1, size - 1, 1 + (bytes[0] & 15));
	if (at_once.result != in_steps.result ||
	    at_once.used != in_steps.used ||
	    at_once.payload_length != in_steps.payload_length ||
	    at_once.payload_sum != in_steps.payload_sum)
		abort();
	return 0;
}
