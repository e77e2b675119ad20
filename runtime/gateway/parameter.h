/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PARAMETER_H
#define GATEWAY_PARAMETER_H

/*
 * A parameter of a request's query.
 */

#include <stdbool.h>
#include <stddef.h>

#include "gateway/api_error.h"
#include "http/server.h"

/* Decoded into `out`, which becomes "" where it is absent.  False with *e when
 * it is there and cannot be read: what somebody asked for is not left out
 * silently.  [the request's loop] */
bool parameter_read(const struct http_request *request, const char *name,
		    char *out, size_t out_size, struct api_error *e);

#endif
