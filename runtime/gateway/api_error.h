/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_API_ERROR_H
#define GATEWAY_API_ERROR_H

/*
 * What went wrong, as a caller sees it: OpenAI's error object, the status
 * that belongs to its code, and how to go on (Retry-After, x-should-retry,
 * WWW-Authenticate).  Codes are stable words; the table in api_error.c is all
 * of them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "core/buffer.h"
#include "http/server.h"

struct api_error {
	int status;
	int32_t retry_after_ms; /* 0 = not said */
	bool no_retry;		/* nor ever, whatever the code says */
	const char *param;	/* outlives this; or NULL */
	char code[ATOM_ERROR_CODE_MAX];
	char message[ATOM_ERROR_MESSAGE_MAX];
};

#define API_ERROR_INIT                    \
	{                                 \
		0, 0, false, NULL, "", "" \
	}

/* Fills it; the status is the code's. */
ATOM_PRINTF(4, 5)
void api_error_set(struct api_error *e, const char *code, const char *param,
		   const char *format, ...);

/* The daemon takes no more calls: another one may, or this one later. */
void api_error_stopping(struct api_error *e);

/* There is no agent of this name; or there may be, but none serves any more
 * because the daemon is stopping, which is what is said then. */
void api_error_no_agent(struct api_error *e, const char *name, size_t length);

/* Why a call of an agent ended, for the caller.  `cancelled` is the reason it
 * was asked to stop for (ATOM_CANCEL_*), or 0.  A provider's words are passed
 * on where they are about the request, and withheld where they may quote
 * its key. */
void api_error_of_call(struct api_error *e, atom_status status,
		       const struct atom_error *error, int32_t cancelled);

/* {"error":{...}}, appended.  `message` stands for e->message when it is not
 * NULL (it may be longer). */
atom_status api_error_append(const struct api_error *e, const char *message,
			     struct buffer *out);

/* Answers the request with it; releases nothing. [loop] */
void api_error_answer(struct http_request *request, const struct api_error *e);
void api_error_answer_long(struct http_request *request,
			   const struct api_error *e, const char *message);

/* Declares the counter of error answers. [control] */
atom_status api_error_init(struct atom_error *err);

#endif
