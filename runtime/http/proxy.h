/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

/*
 * The PROXY protocol, version 2: a header by which a proxy says, before the
 * connection's first byte of TLS or HTTP, for whom it connects ("The PROXY
 * protocol, versions 1 & 2", W. Tarreau, section 2.2).
 *
 *	12	signature
 *	 1	version 2, command LOCAL (a health check) or PROXY
 *	 1	address family and transport
 *	 2	length of the rest, most significant byte first
 *	 n	addresses, then type-length-values
 *
 * Strict where the document leaves a choice: transports other than streams,
 * values it does not define, and TLVs that do not end where the header does
 * are refused; a checksum (PP2_TYPE_CRC32C) is verified.  Pure. [any]
 */

#include <stddef.h>
#include <stdint.h>

#include "http/parse.h"

#define HTTP_PROXY_FIXED 16   /* of every header */
#define HTTP_PROXY_MAX	 2048 /* of a whole one; longer ones are refused */

struct http_proxy {
	/* Bytes of the header; HTTP_PROXY_FIXED until so many are there. */
	size_t size;
	int family;	     /* AF_INET, AF_INET6; AF_UNSPEC: nobody is named */
	uint8_t address[16]; /* the client's, in network order */
	const char *why;     /* REFUSED: a sentence */
};

/* `length` bytes have come so far, never more than out->size.  MORE: read on
 * up to out->size.  DONE: that was all of it. */
enum http_parse http_proxy_parse(const uint8_t *bytes, size_t length,
				 struct http_proxy *out);

#endif
