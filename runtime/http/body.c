/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the bytes of a request go.
 *
 * Head and body share the request's own buffer as long as they fit: the usual
 * call.  A longer body has memory of its own that grows with what arrives,
 * never with what was announced.  A chunked body is received behind what is
 * decoded already and decoded in place.
 *
 * Once the handler has seen the head, the head does not move.
 */
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

#define BODY_FIRST_BYTES   (16 * 1024)
#define CHUNKED_READ_BYTES 4096 /* least room for a read */

/* --- room to read into ------------------------------------------------------ */

/* `in` grows while its head is read: nobody points into it yet. */
static bool in_grow(struct http_request *r, size_t size)
{
	bool inside = r->in == r->message->bytes;
	char *bytes = mem_realloc(inside ? NULL : r->in, size);

	if (!bytes)
		return false;
	if (inside)
		memcpy(bytes, r->message->bytes, r->in_end);
	r->in = bytes;
	r->in_size = size;
	return true;
}

static bool body_grow(struct http_request *r, size_t size)
{
	char *bytes = mem_realloc(r->body, size);

	if (!bytes)
		return false;
	r->body = bytes;
	r->body_size = size;
	return true;
}

static size_t room_head(struct http_request *r, char **room)
{
	size_t max = r->owner->server->limits.head_max;

	if (r->in_end == r->in_size) {
		size_t size = 4 * r->in_size;

		if (size > max)
			size = max;
		if (size <= r->in_size || !in_grow(r, size))
			return 0;
	}
	*room = r->in + r->in_end;
	return r->in_size - r->in_end;
}

static size_t room_body(struct http_request *r, char **room)
{
	size_t wanted = r->body_size;
	size_t length = (size_t)r->head->content_length;
	bool chunked = r->head->framing == HTTP_BODY_CHUNKED;

	if (!r->body) {
		*room = r->in + r->in_end;
		return r->in_size - r->in_end;
	}
	if (chunked && r->body_size - r->body_length < CHUNKED_READ_BYTES)
		wanted = 2 * r->body_size;
	else if (!chunked && r->body_size == r->body_length)
		wanted = 2 * r->body_size < length ? 2 * r->body_size : length;
	if (wanted != r->body_size && !body_grow(r, wanted))
		return 0;
	*room = r->body + r->body_length;
	return r->body_size - r->body_length;
}

/* For what comes while the handler has the request: behind the body, or, when
 * that memory has been given back, in some of its own. */
static size_t room_ahead(struct http_request *r, char **room)
{
	if (r->in && !r->ahead) {
		*room = r->in + r->in_end;
		return r->in_size - r->in_end;
	}
	if (!r->ahead) {
		r->ahead = mem_alloc(HTTP_INLINE_BYTES);
		r->ahead_size = r->ahead ? HTTP_INLINE_BYTES : 0;
	}
	*room = r->ahead + r->ahead_length;
	return r->ahead_size - r->ahead_length;
}

size_t http_request_room(struct http_request *r, enum http_state state,
			 char **room)
{
	if (state == CONNECTION_BODY)
		return room_body(r, room);
	if (state != CONNECTION_CALL)
		return room_head(r, room);
	return room_ahead(r, room);
}

/* --- the body ------------------------------------------------------------------ */

static enum http_parse too_large(unsigned int *status, const char **why)
{
	*status = 413;
	*why = "the body is larger than this server takes";
	return HTTP_PARSE_REFUSED;
}

static enum http_parse no_memory(unsigned int *status, const char **why)
{
	*status = 503;
	*why = "out of memory";
	return HTTP_PARSE_REFUSED;
}

/* Decodes text into the body, which has room for all of it; *used tells how
 * far the body went. */
static enum http_parse decode(struct http_request *r, const char *text,
			      size_t length, size_t *used, unsigned int *status,
			      const char **why)
{
	size_t max = r->owner->server->limits.body_max;
	enum http_parse result = HTTP_PARSE_MORE;

	*used = 0;
	while (*used < length && result == HTTP_PARSE_MORE) {
		struct http_text run;
		size_t n;

		result = http_chunked_next(&r->chunked, text + *used,
					   length - *used, &n, &run);
		*used += n;
		/* A chunk that will not fit is refused by its size alone. */
		if (run.len + r->chunked.left > max - r->body_length)
			return too_large(status, why);
		/* The two may overlap: a chunk moves over its own frame. */
		memmove(r->body + r->body_length, run.at, run.len);
		r->body_length += run.len;
	}
	if (result == HTTP_PARSE_REFUSED)
		*why = r->chunked.why;
	return result;
}

static enum http_parse begin_chunked(struct http_request *r,
				     unsigned int *status, const char **why)
{
	size_t arrived = r->in_end - r->head->size;
	enum http_parse result;
	size_t used;

	if (!body_grow(r,
		       BODY_FIRST_BYTES > arrived ? BODY_FIRST_BYTES : arrived))
		return no_memory(status, why);
	result = decode(r, r->in + r->head->size, arrived, &used, status, why);
	if (result == HTTP_PARSE_DONE)
		r->next_at = r->head->size + used;
	else
		r->in_end = r->head->size;
	return result;
}

static enum http_parse begin_length(struct http_request *r,
				    unsigned int *status, const char **why)
{
	size_t arrived = r->in_end - r->head->size;
	size_t length;

	if (r->head->content_length > r->owner->server->limits.body_max)
		return too_large(status, why);
	length = (size_t)r->head->content_length;
	r->body_at = r->head->size;
	if (arrived >= length) {
		r->body_length = length;
		r->next_at = r->head->size + length;
		return HTTP_PARSE_DONE;
	}
	if (length <= r->in_size - r->head->size)
		return HTTP_PARSE_MORE;
	if (!body_grow(r,
		       length < BODY_FIRST_BYTES ? length : BODY_FIRST_BYTES))
		return no_memory(status, why);
	if (arrived > r->body_size && !body_grow(r, arrived))
		return no_memory(status, why);
	memcpy(r->body, r->in + r->head->size, arrived);
	r->body_length = arrived;
	r->in_end = r->head->size;
	return HTTP_PARSE_MORE;
}

enum http_parse http_body_begin(struct http_request *r, unsigned int *status,
				const char **why)
{
	switch ((enum http_framing)r->head->framing) {
	case HTTP_BODY_LENGTH:
		return begin_length(r, status, why);
	case HTTP_BODY_CHUNKED:
		return begin_chunked(r, status, why);
	case HTTP_BODY_NONE:
	case HTTP_BODY_UNTIL_CLOSE:
		break;
	}
	r->next_at = r->head->size;
	return HTTP_PARSE_DONE;
}

static enum http_parse more_chunked(struct http_request *r, size_t arrived,
				    unsigned int *status, const char **why)
{
	const char *raw = r->body + r->body_length;
	enum http_parse result;
	size_t used;

	result = decode(r, raw, arrived, &used, status, why);
	if (result != HTTP_PARSE_DONE)
		return result;
	r->next_at = r->in_end;
	r->ahead_length = arrived - used;
	if (r->ahead_length == 0)
		return HTTP_PARSE_DONE;
	r->ahead = mem_strndup(raw + used, r->ahead_length);
	r->ahead_size = r->ahead_length;
	return r->ahead ? HTTP_PARSE_DONE : no_memory(status, why);
}

enum http_parse http_body_more(struct http_request *r, size_t arrived,
			       unsigned int *status, const char **why)
{
	if (r->head->framing == HTTP_BODY_CHUNKED)
		return more_chunked(r, arrived, status, why);
	if (r->body) {
		r->body_length += arrived;
		if (r->body_length < r->head->content_length)
			return HTTP_PARSE_MORE;
		r->next_at = r->in_end;
		return HTTP_PARSE_DONE;
	}
	r->in_end += arrived;
	if (r->in_end - r->body_at < r->head->content_length)
		return HTTP_PARSE_MORE;
	r->body_length = (size_t)r->head->content_length;
	r->next_at = r->body_at + r->body_length;
	return HTTP_PARSE_DONE;
}

/* --- the next request ------------------------------------------------------------- */

size_t http_request_left(const struct http_request *r)
{
	return r->ahead ? r->ahead_length : r->in_end - r->next_at;
}

bool http_request_next(struct http_request *r)
{
	struct http_connection *c = r->connection;
	const char *from = r->ahead ? r->ahead : r->in + r->next_at;
	size_t length = http_request_left(r);
	struct http_request *next = http_request_alloc(c);

	if (!next)
		return false;
	if (length > next->in_size && !in_grow(next, length)) {
		http_request_free(next);
		return false;
	}
	memcpy(next->in, from, length);
	next->in_end = length;
	next->began_ns = os.monotonic_ns();
	c->request = next;
	http_request_free(r);
	return true;
}

void http_request_forget(struct http_request *request)
{
	size_t length = request->in_end - request->next_at;

	if (!request->message || request->next_at == 0)
		return;
	if (length && !request->ahead) {
		request->ahead =
			mem_strndup(request->in + request->next_at, length);
		if (!request->ahead)
			return;
		request->ahead_size = request->ahead_length = length;
	}
	request->in_end = request->next_at;
	request->path = NULL;
	request->query = NULL;
	mem_free(TAKE(request->body));
	request->body_length = 0;
	http_message_free(request);
}
