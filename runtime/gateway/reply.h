/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REPLY_H
#define GATEWAY_REPLY_H

/*
 * Answers that are made at once: answer and release in one step.  [loop]
 */

#include <jansson.h>

#include "core/buffer.h"
#include "gateway/api_error.h"

void reply_buffer(struct http_request *request, int status,
		  const char *content_type, const struct buffer *body);
void reply_text(struct http_request *request, int status,
		const char *content_type, const char *text);
void reply_error(struct http_request *request, const struct api_error *e);
/* HTML of ours, with the fields that keep a browser from anything else. */
void reply_html(struct http_request *request, const struct buffer *body);

#endif
