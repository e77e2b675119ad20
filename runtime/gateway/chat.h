/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CHAT_H
#define GATEWAY_CHAT_H

/*
 * OpenAI's chat completions: what a body must be, and how an answer looks,
 * whole or as chunks.
 */

#include "gateway/exchange.h"
#include "gateway/messages.h"

/* What a body says, beside what only the backend reads. */
struct chat_request {
	struct json_span model;
	struct json_span messages;
	struct message_list list;
	int64_t max_tokens; /* 0 = not stated */
	bool stream;
	bool include_usage;
	bool wants_json; /* response_format */
};

/* Members of one body. */
#define CHAT_MEMBERS_MAX 128

struct chat_body {
	struct json_member members[CHAT_MEMBERS_MAX];
	size_t count;
};

/* The body's members and the agent's name.  Pure. [any] */
bool chat_scan(const char *bytes, size_t length, struct chat_body *body,
	       struct api_error *e);
bool chat_model(const struct chat_body *body, char *name, size_t name_size,
		struct api_error *e);
/* The parameters that the gateway itself obeys.  Pure. [any] */
bool chat_parameters(const struct chat_body *body,
		     struct chat_request *request_r, struct api_error *e);

extern const struct surface chat_surface;

#endif
