/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a PROXY v2 header: read as a connection does, byte by byte,
 * they give what they give at once; no more is wanted than the header is
 * long; and what is taken names an address of a kind we know.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* As many at a time as are wanted, at most `piece`. */
static enum http_parse read_all(const uint8_t *bytes, size_t size, size_t piece,
				struct http_proxy *out)
{
	/* Of the size that has come, so that a sanitizer sees a byte too
	 * far. */
	uint8_t *so_far = NULL;
	size_t have = 0;
	enum http_parse result = http_proxy_parse(bytes, 0, out);

	while (result == HTTP_PARSE_MORE && have < size) {
		size_t want = out->size - have;

		if (out->size <= have || out->size > HTTP_PROXY_MAX)
			abort();
		want = want < piece ? want : piece;
		want = want < size - have ? want : size - have;
		have += want;
		free(so_far);
		so_far = malloc(have);
		if (so_far == NULL)
			return HTTP_PARSE_MORE;
		memcpy(so_far, bytes, have);
		result = http_proxy_parse(so_far, have, out);
	}
	free(so_far);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const uint8_t none[1];
	struct http_proxy whole, slow;
	enum http_parse result;

	if (size == 0)
		bytes = none;
	result = read_all(bytes, size, HTTP_PROXY_MAX, &whole);
	if (read_all(bytes, size, 1, &slow) != result)
		abort();
	if (result == HTTP_PARSE_REFUSED && (!whole.why || !slow.why))
		abort();
	if (result != HTTP_PARSE_DONE)
		return 0;
	if (whole.size != slow.size || whole.family != slow.family ||
	    memcmp(whole.address, slow.address, sizeof(whole.address)) != 0)
		abort();
	if (whole.family != AF_INET && whole.family != AF_INET6 &&
	    whole.family != AF_UNSPEC)
		abort();
	return 0;
}
