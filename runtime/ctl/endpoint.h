/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a daemon is: `http://HOST[:PORT][/BASE]`, `https://...`, `unix:PATH`.
 */
#ifndef CTL_ENDPOINT_H
#define CTL_ENDPOINT_H

#include "text.h"

#define ENDPOINT_TEXT_MAX  2048
#define ENDPOINT_ERROR_MAX 2304
#define ENDPOINTS_MAX	   2

struct endpoint {
	char text[ENDPOINT_TEXT_MAX]; /* as the user wrote it */
	char base[ENDPOINT_TEXT_MAX]; /* what a path is put behind */
	bool is_socket;		      /* unix:PATH, not TCP */
	bool loopback;
};

/* False: `error` says what was expected and what was found. */
bool endpoint_parse(struct endpoint *endpoint, const char *text,
		    char error[ENDPOINT_ERROR_MAX]);

/* The path of a unix socket; NULL for TCP. Lives as long as the endpoint. */
const char *endpoint_socket(const struct endpoint *endpoint);

/* The sockets to try, in order, when nothing was said; answers how many. A
 * runtime folder too long for a socket address is left out. */
size_t endpoint_defaults(struct endpoint endpoints[ENDPOINTS_MAX],
			 const char *runtime_directory);

/* Appends a path segment or a query value, percent-encoded by RFC 3986. */
bool endpoint_escape(struct text *path, const char *segment);

#endif
