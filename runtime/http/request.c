/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request as the handler sees it.  Texts lie where they were received: a
 * NUL is put behind each when it is asked for, over the line end or the space
 * that stands there.
 */
#include <string.h>

#include "core/memory.h"
#include "http/server_priv.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decodes in place or elsewhere; the length, or -1 for an escape of a
 * NUL or one without two digits (which the parser lets through in queries).
 * In a path an escaped slash stays as it is: it belongs to a name and parts
 * nothing (RFC 3986 section 2.2), and who filters paths before us sees no
 * slash there either.  In a query it is decoded, and "+" is a space. */
static ssize_t percent_decode(struct http_text text, char *out, bool query)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == '%') {
			int high, low;

			if (i + 2 >= text.len)
				return -1;
			high = hex_value(text.at[i + 1]);
			low = hex_value(text.at[i + 2]);
			if (high < 0 || low < 0 || (high | low) == 0)
				return -1;
			if (query || high * 16 + low != '/') {
				c = (char)(high * 16 + low);
				i += 2;
			}
		} else if (query && c == '+') {
			c = ' ';
		}
		out[n++] = c;
	}
	return (ssize_t)n;
}

bool http_request_head_done(struct http_request *r)
{
	struct http_text path = http_head_path(r->head);
	struct http_text query = http_head_text(r->head, r->head->query);
	ssize_t length;

	r->query = "";
	if (query.len) {
		r->in[query.at + query.len - r->in] = '\0';
		r->query = query.at;
	}
	if (r->head->path.len == 0) {
		r->path = "/";
		return true;
	}
	r->path = r->in + (path.at - r->in);
	length = percent_decode(path, r->path, false);
	if (length < 0)
		return false;
	r->path[length] = '\0';
	return true;
}

const char *http_method(const struct http_request *request)
{
	return http_method_name((enum http_method)request->method);
}

const char *http_path(const struct http_request *request)
{
	return request->path ? request->path : "/";
}

const char *http_query(const struct http_request *request)
{
	return request->query ? request->query : "";
}

/* "name=value" or "name" of the first `length` bytes. */
static bool parameter_is(const char *at, size_t length, const char *name,
			 struct http_text *value)
{
	size_t name_length = strlen(name);

	if (length < name_length || memcmp(at, name, name_length) != 0)
		return false;
	at += name_length;
	length -= name_length;
	if (length && *at != '=')
		return false;
	*value = length ? (struct http_text){ at + 1, length - 1 }
			: (struct http_text){ at, 0 };
	return true;
}

/* The first of that name. */
static bool find_parameter(const struct http_request *request, const char *name,
			   struct http_text *value)
{
	const char *at = http_query(request);

	while (*at) {
		size_t length = strcspn(at, "&");

		if (parameter_is(at, length, name, value))
			return true;
		at += length;
		at += *at == '&';
	}
	return false;
}

bool http_query_has(const struct http_request *request, const char *name)
{
	struct http_text value;

	return find_parameter(request, name, &value);
}

bool http_query_value(const struct http_request *request, const char *name,
		      char *out, size_t out_size)
{
	struct http_text value;
	ssize_t n;

	if (!find_parameter(request, name, &value) || value.len >= out_size)
		return false;
	n = percent_decode(value, out, true);
	if (n < 0)
		return false;
	out[n] = '\0';
	return true;
}

const char *http_field(const struct http_request *request, const char *name)
{
	struct http_text value;

	if (!request->head || http_head_field(request->head, name, &value) == 0)
		return NULL;
	request->in[value.at + value.len - request->in] = '\0';
	return value.at;
}

const char *http_body(const struct http_request *request, size_t *length_r)
{
	*length_r = request->body_length;
	if (request->body)
		return request->body;
	return request->body_length ? request->in + request->body_at : "";
}

char *http_body_take(struct http_request *request, size_t *length_r)
{
	char *taken;

	if (request->body) {
		*length_r = request->body_length;
		request->body_length = 0;
		return TAKE(request->body);
	}
	taken = mem_strndup(http_body(request, length_r), request->body_length);
	*length_r = taken ? request->body_length : 0;
	return taken;
}

struct loop *http_loop(const struct http_request *request)
{
	return request->owner->loop;
}

int64_t http_began_ns(const struct http_request *request)
{
	return request->began_ns;
}

const char *http_client_address(const struct http_request *request)
{
	return request->client[0] ? request->client
				  : request->connection->address;
}

bool http_is_tls(const struct http_request *request)
{
	return request->connection->socket->listener->certificate != NULL;
}

bool http_is_loopback(const struct http_request *request)
{
	return request->client_loopback;
}

bool http_is_admin_listener(const struct http_request *request)
{
	return request->connection->socket->listener->admin;
}

const struct http_peer *http_peer(const struct http_request *request)
{
	return &request->connection->peer;
}

const char *http_request_id(const struct http_request *request)
{
	return request->id;
}

void http_set_user(struct http_request *request, void *user)
{
	request->user = user;
}

void *http_user(const struct http_request *request)
{
	return request->user;
}

void http_on_gone(struct http_request *request,
		  void (*gone)(struct http_request *request))
{
	request->gone = gone;
}

void http_on_drain(struct http_request *request,
		   void (*drain)(struct http_request *request))
{
	request->drain = drain;
}
