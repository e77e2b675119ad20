/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reply.h"

#include <string.h>

void reply_buffer(struct http_request *request, int status,
		  const char *content_type, const struct buffer *body)
{
	struct api_error e;

	if (body->failed) {
		api_error_set(&e, "internal_error", NULL,
			      "no memory for the answer");
		reply_error(request, &e);
		return;
	}
	http_answer(request, status, content_type, body->bytes, body->length);
	http_request_release(request);
}

void reply_text(struct http_request *request, int status,
		const char *content_type, const char *text)
{
	http_answer(request, status, content_type, text, strlen(text));
	http_request_release(request);
}

void reply_error(struct http_request *request, const struct api_error *e)
{
	api_error_answer(request, e);
	http_request_release(request);
}

void reply_html(struct http_request *request, const struct buffer *body)
{
	static const char policy[] =
		"default-src 'none'; style-src 'unsafe-inline'; "
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

	(void)http_add_field(request, "Content-Security-Policy", policy);
	(void)http_add_field(request, "X-Content-Type-Options", "nosniff");
	(void)http_add_field(request, "Referrer-Policy", "no-referrer");
	(void)http_add_field(request, "Cache-Control", "no-cache");
	reply_buffer(request, 200, "text/html; charset=utf-8", body);
}
