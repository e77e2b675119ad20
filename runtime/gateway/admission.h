/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ADMISSION_H
#define GATEWAY_ADMISSION_H

/*
 * May this request in?  Route, principal and permission are decided from the
 * head alone, so that the body of one who may not is never read.
 */

#include <stdbool.h>

#include "gateway/api_error.h"
#include "gateway/route.h"
#include "http/server.h"
#include "security/principal.h"

struct revision;

/* Of a client's address as text, with its NUL; longer ones are cut. */
#define ADDRESS_TEXT_MAX 64

struct admission {
	const struct route *route;
	struct route_params params;
	struct principal principal; /* name "" on public routes */
};

/* Fills it, or says what to answer (false).  For 405 the request gets its
 * Allow field.  [loop] */
bool admission_decide(struct http_request *request,
		      struct admission *admission_r, struct api_error *e);

/* May the principal call this agent?  An agent that spends money is never
 * anonymous.  Within the iteration of admission_decide(). [loop] */
bool admission_agent(const struct principal *principal,
		     const struct revision *revision, struct api_error *e);

#endif
