/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "core/memory.h"
#include "core/table.h"
#include "http/client_priv.h"
#include "http/parse_priv.h"

/*
 * From a request to the bytes of its head.  What is not plainly understood
 * here is left to libcurl, which then takes it or says what is wrong with it.
 */

#define HOST_MAX     253
#define DEFAULT_PORT 80
#define USER_AGENT   "User-Agent: atomd/" PACKAGE_VERSION "\r\n"
#define ACCEPT	     "Accept: */*\r\n"
#define LENGTH	     "Content-Length: "
#define DIGITS_MAX   20 /* of a uint64_t */

/* --- the URL ---------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "[2001:db8::1]" without a zone. */
static size_t bracketed(const char *text)
{
	size_t length = strcspn(text, "]");
	char address[INET6_ADDRSTRLEN];
	struct in6_addr ignored;

	if (text[length] != ']' || length - 1 >= sizeof(address))
		return 0;
	memcpy(address, text + 1, length - 1);
	address[length - 1] = '\0';
	return inet_pton(AF_INET6, address, &ignored) == 1 ? length + 1 : 0;
}

/* A name, or an address in the one way that everybody reads alike: "127.1" is
 * one, too, and libcurl knows. */
static size_t named(const char *text)
{
	char host[HOST_MAX + 1];
	struct in_addr ignored;
	const char *last;
	size_t length = 0;

	while (http_class[(unsigned char)text[length]] & HTTP_HOST)
		length++;
	if (length == 0 || length > HOST_MAX || text[length - 1] == '.' ||
	    text[0] == '.')
		return 0;
	memcpy(host, text, length);
	host[length] = '\0';
	last = strrchr(host, '.');
	last = last != NULL ? last + 1 : host;
	if (is_digit(*last) && inet_pton(AF_INET, host, &ignored) != 1)
		return 0;
	return length;
}

static bool take_port(const char **at, unsigned int *port_r)
{
	const char *text = *at;
	unsigned int port = 0;

	*port_r = DEFAULT_PORT;
	if (*text != ':')
		return true;
	for (text++; is_digit(*text) && text - *at <= 5; text++)
		port = port * 10 + (unsigned int)(*text - '0');
	if (port == 0 || port > UINT16_MAX)
		return false;
	*at = text;
	*port_r = port;
	return true;
}

/* To the end of the text: visible, and no fragment. */
static bool is_path(const char *text)
{
	if (*text != '\0' && *text != '/' && *text != '?')
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text >= 127 || *text == '#')
			return false;
	return true;
}

static bool take_url(const char *text, struct lean_url *url)
{
	static const char scheme[] = "http://";
	const char *host, *path;
	size_t length;

	if (text == NULL || strlen(text) > HTTP_URL_MAX ||
	    strncmp(text, scheme, sizeof(scheme) - 1) != 0)
		return false;
	host = text + sizeof(scheme) - 1;
	length = *host == '[' ? bracketed(host) : named(host);
	path = host + length;
	if (length == 0 || !take_port(&path, &url->port) || !is_path(path))
		return false;
	url->host = (struct http_text){ host, length };
	url->path = (struct http_text){ path, strlen(path) };
	return true;
}

/* --- fields ------------------------------------------------------------------ */

static bool has_name(const char *field, const char *name)
{
	size_t length = strlen(name);

	return strncasecmp(field, name, length) == 0 && field[length] == ':';
}

/* With nothing behind its name a field takes a default away, and is not sent
 * itself: libcurl's way. */
static bool is_empty(const char *field)
{
	const char *value = strchr(field, ':') + 1;

	return value[strspn(value, " \t")] == '\0';
}

/* Of those that say where a message ends, who gets it, or what becomes of its
 * connection. */
static bool is_framing(const char *field)
{
	static const char *const names[] = {
		"Connection", "Content-Length",	   "Expect",
		"Host",	      "Keep-Alive",	   "TE",
		"Trailer",    "Transfer-Encoding", "Upgrade",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (has_name(field, names[i]))
			return true;
	return false;
}

bool lean_can(const struct atom_http_request *request, struct lean_url *url)
{
	if ((request->proxy != NULL && request->proxy[0] != '\0') ||
	    strcmp(request->method, "CONNECT") == 0 ||
	    !take_url(request->url, url))
		return false;
	for (size_t i = 0; i < request->header_count; i++)
		if (is_framing(request->headers[i]))
			return false;
	return true;
}

/* --- as bytes ---------------------------------------------------------------- */

static char *put(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

static char *put_text(char *out, const char *text)
{
	return put(out, text, strlen(text));
}

/* In decimal. */
static char *put_number(char *out, uint64_t number)
{
	char digits[DIGITS_MAX];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return put(out, digits + at, sizeof(digits) - at);
}

static char *put_host(char *out, const struct lean_url *url)
{
	out = put_text(out, "Host: ");
	out = put(out, url->host.at, url->host.len);
	if (url->port != DEFAULT_PORT) {
		*out++ = ':';
		out = put_number(out, url->port);
	}
	return put_text(out, "\r\n");
}

static bool given(const struct atom_http_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++)
		if (has_name(request->headers[i], name))
			return true;
	return false;
}

static char *put_fields(char *out, const struct atom_http_request *request)
{
	if (!given(request, "User-Agent"))
		out = put_text(out, USER_AGENT);
	if (!given(request, "Accept"))
		out = put_text(out, ACCEPT);
	for (size_t i = 0; i < request->header_count; i++) {
		if (is_empty(request->headers[i]))
			continue;
		out = put_text(out, request->headers[i]);
		out = put_text(out, "\r\n");
	}
	return out;
}

/* A GET or HEAD without a body says nothing about it. */
static bool says_length(const char *method, uint64_t length)
{
	return strcmp(method, "HEAD") != 0 &&
	       (length > 0 || strcmp(method, "GET") != 0);
}

static size_t head_room(const struct atom_http_request *request,
			const struct lean_url *url)
{
	size_t room =
		strlen(request->method) + url->path.len + url->host.len +
		sizeof("  / HTTP/1.1\r\nHost: :65535\r\n" USER_AGENT ACCEPT
			       LENGTH "\r\n\r\n") +
		DIGITS_MAX;

	for (size_t i = 0; i < request->header_count; i++)
		room += strlen(request->headers[i]) + 2;
	return room;
}

static size_t write_head(char *out, const struct atom_http_request *request,
			 const struct lean_url *url)
{
	uint64_t length = request_body_length(request);
	const char *begin = out;

	out = put_text(out, request->method);
	*out++ = ' ';
	if (url->path.len == 0 || url->path.at[0] != '/')
		*out++ = '/';
	out = put(out, url->path.at, url->path.len);
	out = put_text(out, " HTTP/1.1\r\n");
	out = put_host(out, url);
	out = put_fields(out, request);
	if (says_length(request->method, length)) {
		out = put_number(put_text(out, LENGTH), length);
		out = put_text(out, "\r\n");
	}
	out = put_text(out, "\r\n");
	return (size_t)(out - begin);
}

/* --- one block of memory ------------------------------------------------------ */

/* "host\0port\0host:port\0"; returns what is behind. */
static char *put_names(struct atom_http_transfer *t, char *out,
		       const struct lean_url *url)
{
	t->peer_host = out;
	out = put(out, url->host.at, url->host.len);
	*out++ = '\0';
	t->peer_port = out;
	out = put_number(out, url->port);
	*out++ = '\0';
	t->where = out;
	out = put(out, url->host.at, url->host.len);
	*out++ = ':';
	out = put_number(out, url->port);
	*out++ = '\0';
	t->lean.name = table_hash(t->where, (size_t)(out - t->where));
	return out;
}

struct atom_http_transfer *lean_new(struct http_client *client,
				    const struct atom_http_request *request,
				    const struct lean_url *url)
{
	size_t names = 2 * (url->host.len + sizeof("65535")) + 1;
	size_t room = head_room(request, url);
	struct atom_http_transfer *t;
	char *behind;

	t = transfer_new(client, request, names + room);
	if (t == NULL)
		return NULL;
	t->is_lean = true;
	behind = put_names(t, transfer_behind(t), url);
	t->lean.request = behind;
	t->lean.request_room = room;
	t->lean.request_length = write_head(behind, request, url);
	if (strcmp(request->method, "HEAD") == 0) {
		t->lean.method = HTTP_HEAD;
		t->piece_count = 0;
	}
	return t;
}
