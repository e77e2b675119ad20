/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

/*
 * The one table of what can be reached: method, path, permission, handler,
 * and the words that the API description and /docs are made of.  A request
 * is matched without allocation; what is not in the table is not there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "audit/event.h"
#include "http/server.h"

struct admission;

enum {
	/* Answers without a principal. */
	ROUTE_PUBLIC = 1,
	/* Described, not there yet: 404. */
	ROUTE_LATER = 2,
	/* Answers with events when the body says `"stream": true`. */
	ROUTE_STREAMS = 4,
	/* Makes things safer: acts first, and is recorded then. */
	ROUTE_SAFER = 8
};

struct route {
	const char *method;
	/* Segments; `{name}` stands for one that is not empty. */
	const char *pattern;
	uint32_t permissions; /* any one of these opens it */
	unsigned int flags;
	void (*handle)(struct http_request *request,
		       const struct admission *admission);
	/* Whatever changes something has an event.  `members` of the body
	 * ("role,agents") go into its record, no others. */
	enum audit_event audit;
	const char *members;

	/* --- for its description --- */
	const char *tag;
	const char *summary;
	const char *query;	    /* "limit,follow", or NULL */
	const char *request_schema; /* a name of schemas.h, or NULL */
	const char *answer_schema;  /* NULL: an object */
	const char *answer_type;    /* NULL: application/json */
	int answer_status;	    /* 0: 200 */
	const char *example;	    /* a request's body, or NULL */
};

#define ROUTE_PARAMS_MAX 2
#define ROUTE_PARAM_MAX	 160 /* bytes of one; longer ones match nothing */

/* What stands for {name}s, in order; within the request's path. */
struct route_params {
	const char *at[ROUTE_PARAMS_MAX];
	size_t length[ROUTE_PARAMS_MAX];
};

extern const struct route routes[];
extern const size_t route_count;

/* ATOM_OK with *route_r and *params_r; ATOM_ENOENT: no such path;
 * ATOM_ENOTSUP: other methods are there, as `allow` says ("GET, HEAD").
 * HEAD is answered wherever GET is.  Pure. [any] */
#define ROUTE_ALLOW_MAX 64
atom_status route_match(const char *method, const char *path,
			const struct route **route_r,
			struct route_params *params_r,
			char allow[ROUTE_ALLOW_MAX]);

/* Does `path` fit the pattern? */
bool route_fits(const char *pattern, const char *path,
		struct route_params *params_r);

/* Of a table: every row has a permission or is public, one that is not
 * `later` has a handler, one that changes something (no GET, no call) an
 * audit event, and none comes twice.  ATOM_EINTERNAL names the first that is
 * not so: with such a table the daemon does not start. */
atom_status route_check(const struct route *rows, size_t count,
			struct atom_error *err);

#endif
