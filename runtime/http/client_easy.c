/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "core/memory.h"
#include "http/client_priv.h"

/*
 * From a request to libcurl's options.  Nothing comes from the environment,
 * nothing is followed, nothing is decompressed, and nothing is sent that the
 * plugin did not ask for but Host, Accept, User-Agent and the body's length.
 */

#define USER_AGENT    "atomd/" PACKAGE_VERSION
#define CA_CACHE_S    3600L
#define RECEIVE_BYTES 8192L
#define SEND_BYTES    16384L

CURL *easy_take(struct http_client *client)
{
	if (client->idle_count > 0)
		return client->idle[--client->idle_count];
	return curl_easy_init();
}

void easy_give(struct http_client *client, CURL *easy)
{
	if (client->idle_count == HTTP_EASY_MAX || client->ended) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	client->idle[client->idle_count++] = easy;
}

/* --- where to -------------------------------------------------------------- */

static char *url_part(CURLU *url, CURLUPart part, unsigned int flags)
{
	char *text = NULL, *copy;

	if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
		return NULL;
	copy = mem_strdup(text);
	curl_free(text);
	return copy;
}

static char *join(const char *host, const char *port)
{
	size_t size = strlen(host) + strlen(port) + 2;
	char *text = mem_alloc(size);

	if (text != NULL)
		(void)snprintf(text, size, "%s:%s", host, port);
	return text;
}

static bool is_scheme(const char *scheme, const char *const *allowed)
{
	for (; scheme != NULL && *allowed != NULL; allowed++)
		if (strcmp(scheme, *allowed) == 0)
			return true;
	return false;
}

static atom_status prepare_url(struct atom_http_transfer *t, const char *text,
			       struct atom_error *err)
{
	static const char *const schemes[] = { "http", "https", NULL };
	char *scheme = NULL;
	CURLU *url = curl_url();
	atom_status status = ATOM_EINVAL;

	if (url == NULL || text == NULL || strlen(text) > HTTP_URL_MAX ||
	    curl_url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) !=
		    CURLUE_OK) {
		atom_fail(err, status,
			  "a URL is http://HOST[:PORT][/PATH] or https://..., "
			  "without a user name, at most %d bytes",
			  HTTP_URL_MAX);
		goto out;
	}
	scheme = url_part(url, CURLUPART_SCHEME, 0);
	t->peer_host = url_part(url, CURLUPART_HOST, 0);
	t->peer_port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	if (!is_scheme(scheme, schemes) || t->peer_host == NULL ||
	    t->peer_port == NULL) {
		atom_fail(err, status,
			  "a URL begins with http:// or https:// and a host");
		goto out;
	}
	t->where = join(t->peer_host, t->peer_port);
	status = t->where != NULL && curl_easy_setopt(t->easy, CURLOPT_URL,
						      text) == CURLE_OK
			 ? ATOM_OK
			 : ATOM_ENOMEM;
out:
	curl_url_cleanup(url);
	mem_free(scheme);
	return status;
}

/* With a proxy it is the proxy that has to be resolved; those kinds of proxy
 * that want an address from us are refused. */
static atom_status prepare_proxy(struct atom_http_transfer *t, const char *text,
				 struct atom_error *err)
{
	static const char *const schemes[] = { "http", "https", "socks5h",
					       "socks4a", NULL };
	char *scheme = NULL, *host = NULL, *port = NULL;
	CURLU *url = curl_url();
	atom_status status = ATOM_EINVAL;

	if (url == NULL || strlen(text) > HTTP_URL_MAX ||
	    curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) !=
		    CURLUE_OK)
		goto out;
	scheme = url_part(url, CURLUPART_SCHEME, 0);
	host = url_part(url, CURLUPART_HOST, 0);
	port = url_part(url, CURLUPART_PORT, 0);
	if (!is_scheme(scheme, schemes) || host == NULL || port == NULL)
		goto out;
	mem_free(t->peer_host);
	mem_free(t->peer_port);
	t->peer_host = TAKE(host);
	t->peer_port = TAKE(port);
	status = ATOM_OK;
out:
	curl_url_cleanup(url);
	mem_free(scheme);
	mem_free(host);
	mem_free(port);
	if (status != ATOM_OK)
		atom_fail(err, status,
			  "a proxy is SCHEME://HOST:PORT with the scheme "
			  "http, https, socks5h or socks4a");
	return status;
}

/* --- header fields ---------------------------------------------------------- */

static atom_status add_field(struct atom_http_transfer *t, const char *field)
{
	struct curl_slist *longer = curl_slist_append(t->fields, field);

	if (longer == NULL)
		return ATOM_ENOMEM;
	t->fields = longer;
	return ATOM_OK;
}

static atom_status prepare_fields(struct atom_http_transfer *t,
				  const struct atom_http_request *request,
				  struct atom_error *err)
{
	bool typed = false;

	/* Without it a body waits a second for leave to be sent. */
	if (add_field(t, "Expect:") != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a request");
	for (size_t i = 0; i < request->header_count; i++) {
		const char *field = request->headers[i];

		if (add_field(t, field) != ATOM_OK)
			return atom_fail(err, ATOM_ENOMEM,
					 "no memory for a request");
		typed |= strncasecmp(field, "Content-Type:", 13) == 0;
	}
	/* Or libcurl says that it is a form. */
	if (!typed && add_field(t, "Content-Type:") != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a request");
	if (curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->fields) !=
	    CURLE_OK)
		return ATOM_ENOMEM;
	return ATOM_OK;
}

/* --- method and body ---------------------------------------------------------- */

/* The body is read by a function that cannot be rewound: libcurl 7.88 sends
 * a POST a second time when a used connection turns out dead, unless it has
 * no way to. */
static CURLcode set_body(struct atom_http_transfer *t, const char *method,
			 curl_off_t length)
{
	CURL *easy = t->easy;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_POST, 1L);

	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					length);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_READFUNCTION,
					transfer_on_read);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_READDATA, t);
	/* With nothing to rewind it would: take no used connection. */
	if (code == CURLE_OK && length == 0)
		code = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	if (code == CURLE_OK && strcmp(method, "POST") != 0)
		code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	return code;
}

static atom_status prepare_method(struct atom_http_transfer *t,
				  const struct atom_http_request *request,
				  struct atom_error *err)
{
	const char *method = request->method;
	uint64_t length = request_body_length(request);
	CURLcode code;

	if (strcmp(method, "HEAD") == 0)
		code = curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(method, "GET") == 0 && length == 0)
		code = curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
	else
		code = set_body(t, method, (curl_off_t)length);
	return code == CURLE_OK
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM, "no memory for a request");
}

/* --- the rest ------------------------------------------------------------------ */

static CURLcode set_numbers(CURL *easy, const struct atom_http_request *request)
{
	bool verify = (request->flags & ATOM_HTTP_INSECURE) == 0;
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_QUICK_EXIT, 1 },
		{ CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
		{ CURLOPT_PATH_AS_IS, 1 },
		{ CURLOPT_TCP_KEEPALIVE, 1 },
		{ CURLOPT_MAXAGE_CONN, HTTP_IDLE_S },
		{ CURLOPT_BUFFERSIZE, RECEIVE_BYTES },
		{ CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES },
		{ CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S },
		{ CURLOPT_SSL_VERIFYPEER, verify },
		{ CURLOPT_SSL_VERIFYHOST, verify ? 2 : 0 },
		{ CURLOPT_PROXY_SSL_VERIFYPEER, verify },
		{ CURLOPT_PROXY_SSL_VERIFYHOST, verify ? 2 : 0 },
		/* ATOM_HTTP_VERSION_2 is a wish, not granted: with libcurl
		 * 7.88 the last bytes of an HTTP/2 answer stay within it
		 * until a deadline passes. */
		{ CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		/* Ours comes first; its own shares this out among
		 * addresses. */
		{ CURLOPT_CONNECTTIMEOUT_MS,
		  (request->connect_ms > 0 ? request->connect_ms
					   : HTTP_CONNECT_MS) +
			  1000L },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (curl_easy_setopt(easy, numbers[i].option,
				     numbers[i].value) != CURLE_OK)
			return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

static CURLcode set_texts(CURL *easy, const struct atom_http_request *request)
{
	const struct {
		CURLoption option;
		const char *value;
	} texts[] = {
		{ CURLOPT_PROTOCOLS_STR, "http,https" },
		{ CURLOPT_USERAGENT, USER_AGENT },
		/* An empty one: the environment is not asked. */
		{ CURLOPT_PROXY, request->proxy != NULL ? request->proxy : "" },
		{ CURLOPT_NOPROXY, "" },
		{ CURLOPT_CAINFO, request->ca_file },
		{ CURLOPT_PROXY_CAINFO, request->ca_file },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].value != NULL &&
		    curl_easy_setopt(easy, texts[i].option, texts[i].value) !=
			    CURLE_OK)
			return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

static CURLcode set_callbacks(struct atom_http_transfer *t)
{
	CURL *easy = t->easy;
	curl_off_t most = t->answer_max < INT64_MAX ? (curl_off_t)t->answer_max
						    : INT64_MAX;

	if (curl_easy_setopt(easy, CURLOPT_PRIVATE, t) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->reason) !=
		    CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, transfer_on_field) !=
		    CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, transfer_on_body) !=
		    CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION,
			     transfer_on_connected) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, most) != CURLE_OK)
		return CURLE_OUT_OF_MEMORY;
	return CURLE_OK;
}

atom_status easy_prepare(struct atom_http_transfer *t,
			 const struct atom_http_request *request,
			 struct atom_error *err)
{
	atom_status status = prepare_url(t, request->url, err);

	if (status == ATOM_OK && request->proxy != NULL &&
	    request->proxy[0] != '\0')
		status = prepare_proxy(t, request->proxy, err);
	if (status == ATOM_OK)
		status = prepare_method(t, request, err);
	if (status == ATOM_OK)
		status = prepare_fields(t, request, err);
	if (status == ATOM_OK && (set_numbers(t->easy, request) != CURLE_OK ||
				  set_texts(t->easy, request) != CURLE_OK ||
				  set_callbacks(t) != CURLE_OK))
		status = ATOM_ENOMEM;
	if (status == ATOM_ENOMEM)
		atom_fail(err, status, "no memory for an HTTP request");
	return status;
}
