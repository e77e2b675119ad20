/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first line of a message: method, target and version of a request,
 * version and status of a response.
 */
#include "http/parse_priv.h"

static bool hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	       (c >= 'A' && c <= 'F');
}

/* The path and query part of a target, which begins with "/" or "?". */
static bool path_ok(struct http_head *head, const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		if (http_class[(unsigned char)text[i]] & HTTP_PATH) {
			i++;
			continue;
		}
		if (text[i] != '%' || i + 2 >= len || !hex_digit(text[i + 1]) ||
		    !hex_digit(text[i + 2]) ||
		    (text[i + 1] == '0' && text[i + 2] == '0'))
			break;
		i += 3;
	}
	head->path = http_span_of(head, text, i);
	if (i == len)
		return true;
	if (text[i] != '?' || !http_all_of(text + i, len - i, HTTP_QUERY))
		return false;
	head->query = http_span_of(head, text + i + 1, len - i - 1);
	return true;
}

/* "http://host:port/path?query", RFC 9112 section 3.2.2. */
static enum http_parse absolute_target(struct http_head *head, const char *text,
				       size_t len)
{
	const char *scheme_end = memchr(text, ':', len);
	const char *end = text + len;
	const char *host, *path;
	struct http_text scheme;

	if (!scheme_end || end - scheme_end < 4 ||
	    memcmp(scheme_end, "://", 3) != 0)
		return http_refuse(head, 400, "request target is not a path");
	scheme = (struct http_text){ text, (size_t)(scheme_end - text) };
	if (!http_text_is(scheme, "http") && !http_text_is(scheme, "https"))
		return http_refuse(head, 400,
				   "unknown scheme in request target");
	host = scheme_end + 3;
	for (path = host; path < end && *path != '/' && *path != '?'; path++)
		;
	if (!http_host_ok(host, (size_t)(path - host)))
		return http_refuse(head, 400, "bad host in request target");
	if (!path_ok(head, path, (size_t)(end - path)))
		return http_refuse(head, 400,
				   "bad character in request target");
	head->host = http_span_of(head, host, (size_t)(path - host));
	head->seen |= HTTP_SEEN_ABSOLUTE;
	return HTTP_PARSE_DONE;
}

static enum http_parse request_target(struct http_head *head, const char *text,
				      size_t len)
{
	head->target = http_span_of(head, text, len);
	if (len == 0)
		return http_refuse(head, 400, "request target missing");
	if (text[0] == '/') {
		if (path_ok(head, text, len))
			return HTTP_PARSE_DONE;
		return http_refuse(head, 400,
				   "bad character in request target");
	}
	if (len == 1 && text[0] == '*') {
		head->path = head->target;
		if (head->method == HTTP_OPTIONS)
			return HTTP_PARSE_DONE;
		return http_refuse(head, 400, "only OPTIONS may have target *");
	}
	return absolute_target(head, text, len);
}

/* "HTTP/1.1"; later minors count as 1.1 (RFC 9110 section 2.5). */
static enum http_parse version(struct http_head *head, const char *text,
			       size_t len)
{
	if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || text[5] < '0' ||
	    text[5] > '9' || text[6] != '.' || text[7] < '0' || text[7] > '9')
		return http_refuse(head, 400, "bad HTTP version");
	if (text[5] != '1')
		return http_refuse(head, 505, "HTTP version not supported");
	head->minor = text[7] != '0';
	return HTTP_PARSE_DONE;
}

static const struct {
	const char *name;
	size_t len;
} methods[] = {
	/* clang-format off */
	[HTTP_GET]     = { "GET", 3 },
	[HTTP_HEAD]    = { "HEAD", 4 },
	[HTTP_POST]    = { "POST", 4 },
	[HTTP_PUT]     = { "PUT", 3 },
	[HTTP_PATCH]   = { "PATCH", 5 },
	[HTTP_DELETE]  = { "DELETE", 6 },
	[HTTP_OPTIONS] = { "OPTIONS", 7 },
	/* clang-format on */
};

const char *http_method_name(enum http_method method)
{
	return methods[method].name;
}

/* The index into methods[], or -1: a sound word that we do not serve. */
static int method_find(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (methods[i].len == len &&
		    memcmp(methods[i].name, text, len) == 0)
			return (int)i;
	return -1;
}

/*
 * The version is judged before the method, so that the preface of HTTP/2
 * ("PRI * HTTP/2.0") is told that its version is the trouble.
 */
enum http_parse http_request_line(struct http_head *head, const char *line,
				  size_t len)
{
	const char *space = memchr(line, ' ', len);
	const char *last = memrchr(line, ' ', len);
	const char *end = line + len;
	int method;

	if (!space || !http_all_of(line, (size_t)(space - line), HTTP_TOK) ||
	    space == line)
		return http_refuse(head, 400, "bad request line");
	if (space == last)
		return http_refuse(head, 400, "HTTP version missing");
	if (version(head, last + 1, (size_t)(end - last - 1)) !=
	    HTTP_PARSE_DONE)
		return HTTP_PARSE_REFUSED;
	method = method_find(line, (size_t)(space - line));
	if (method < 0)
		return http_refuse(head, 501, "method not implemented");
	head->method = (uint8_t)method;
	return request_target(head, space + 1, (size_t)(last - space - 1));
}

/* "HTTP/1.1 200 OK"; the space before an empty reason may be missing. */
enum http_parse http_status_line(struct http_head *head, const char *line,
				 size_t len)
{
	const char *code = line + 9;

	if (len < 12 || line[8] != ' ')
		return http_refuse(head, 502, "bad status line");
	if (version(head, line, 8) != HTTP_PARSE_DONE)
		return HTTP_PARSE_REFUSED;
	if (code[0] < '1' || code[0] > '9' || code[1] < '0' || code[1] > '9' ||
	    code[2] < '0' || code[2] > '9' || (len > 12 && line[12] != ' '))
		return http_refuse(head, 502, "bad status code");
	head->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 +
				  (code[2] - '0'));
	if (len > 13) {
		if (!http_is_printable(line + 13, len - 13))
			return http_refuse(head, 502, "bad status line");
		head->reason = http_span_of(head, line + 13, len - 13);
	}
	return HTTP_PARSE_DONE;
}
