/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_PROVIDER_BODY_H
#define FUZZ_PROVIDER_BODY_H

/*
 * What the openai backend sends for a chat.  A file of its own: the backend's
 * header and the gateway's have names in common.
 */
#include <atomd/backend.h>

/* `variant` chooses the token field, a model of the backend's own.  Returns
 * the body, malloc()ed; a refusal aborts. */
char *provider_body(const struct atom_call_request *request,
		    unsigned int variant, size_t *length_r);

#endif
