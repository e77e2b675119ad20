/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "http/client_priv.h"
#include "http/parse_priv.h"

/*
 * What a request may be, whichever transport takes it.
 */

static bool is_token(const char *text, size_t length)
{
	return length > 0 && http_all_of(text, length, HTTP_TOK);
}

static bool is_field(const char *field, size_t length)
{
	const char *colon = memchr(field, ':', length);

	return colon != NULL && is_token(field, (size_t)(colon - field)) &&
	       http_is_printable(colon + 1,
				 length - (size_t)(colon + 1 - field));
}

static atom_status check_fields(const struct atom_http_request *request,
				struct atom_error *err)
{
	size_t bytes = 0;

	if (request->header_count > HTTP_FIELDS_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "an HTTP request has at most %d header fields",
				 HTTP_FIELDS_MAX);
	for (size_t i = 0; i < request->header_count; i++) {
		size_t length = strlen(request->headers[i]);

		bytes += length;
		if (!is_field(request->headers[i], length))
			return atom_fail(err, ATOM_EINVAL,
					 "header field %zu of a request is not "
					 "`Name: value` without control "
					 "characters",
					 i + 1);
		if (bytes > HTTP_FIELD_BYTES_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "the header fields of a request are "
					 "over %d bytes",
					 HTTP_FIELD_BYTES_MAX);
	}
	return ATOM_OK;
}

atom_status request_check(const struct atom_http_request *request,
			  struct atom_error *err)
{
	const char *method = request->method;

	if (method == NULL || strlen(method) > HTTP_METHOD_MAX ||
	    !is_token(method, strlen(method)))
		return atom_fail(err, ATOM_EINVAL,
				 "the method of an HTTP request is a word");
	if (request->body_count > HTTP_BODY_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "the body of a request has at most %d pieces",
				 HTTP_BODY_MAX);
	return check_fields(request, err);
}

uint64_t request_body_length(const struct atom_http_request *request)
{
	uint64_t length = 0;

	for (size_t i = 0; i < request->body_count; i++)
		length += request->body[i].length;
	return length;
}
