/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 5000L
#define PROGRESS_AFTER_MS  500
#define PROGRESS_EVERY_MS  200
#define KEEPALIVE_S	   30L

struct client {
	CURLM *multi;
	CURL *easy;
	struct endpoint endpoints[ENDPOINTS_MAX];
	size_t endpoint_count;
	size_t endpoint; /* the one in use */
	bool settled;	 /* it has taken a connection */
	char *authorization;
	struct terminal *terminal;
	int wakes[2];
	char curl_error[CURL_ERROR_SIZE];
	/* of the call under way */
	const struct client_request *request;
	struct client_answer *answer;
	bool stopped;
	bool too_large;
};

bool client_key_is_valid(const char *key)
{
	for (const unsigned char *at = (const unsigned char *)key; *at; at++)
		if (*at <= ' ' || *at >= 0x7f)
			return false;
	return true;
}

struct client *client_new(const struct endpoint *endpoints, size_t count,
			  const char *key, struct terminal *terminal)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return NULL;
	struct client *client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->endpoint_count = count;
	memcpy(client->endpoints, endpoints, count * sizeof(*endpoints));
	client->terminal = terminal;
	client->wakes[0] = -1;
	client->wakes[1] = -1;
	client->multi = curl_multi_init();
	client->easy = curl_easy_init();
	bool ok = client->multi && client->easy;
	if (ok && key && *key) {
		struct text line = TEXT_INIT(CLIENT_ERROR_MAX);
		ok = text_append_format(&line, "Authorization: Bearer %s", key);
		client->authorization = line.bytes;
	}
	if (!ok)
		client_free(&client);
	return client;
}

void client_free(struct client **client_ref)
{
	struct client *client = *client_ref;
	*client_ref = NULL;
	if (!client)
		return;
	curl_easy_cleanup(client->easy);
	curl_multi_cleanup(client->multi);
	if (client->authorization)
		explicit_bzero(client->authorization,
			       strlen(client->authorization));
	free(client->authorization);
	free(client);
	curl_global_cleanup();
}

void client_set_wakes(struct client *client, int first, int second)
{
	client->wakes[0] = first;
	client->wakes[1] = second;
}

const char *client_endpoint(const struct client *client)
{
	return client->endpoints[client->endpoint].text;
}

void client_answer_fini(struct client_answer *answer)
{
	text_fini(&answer->body);
	text_fini(&answer->reason);
}

/* Copies a header's value, parameters and blanks left out. */
static void copy_header(char out[CLIENT_HEADER_MAX], const char *value,
			size_t length)
{
	size_t used = 0;
	for (size_t i = 0; i < length && used + 1 < CLIENT_HEADER_MAX; i++) {
		if (value[i] == ';')
			break;
		if ((unsigned char)value[i] > ' ')
			out[used++] = value[i];
	}
	out[used] = '\0';
}

static size_t on_header(char *line, size_t size, size_t count, void *closure)
{
	struct client_answer *answer = ((struct client *)closure)->answer;
	size_t length = size * count;
	const char *colon = memchr(line, ':', length);
	if (!colon)
		return length;
	size_t name_length = (size_t)(colon - line);
	size_t value_length = length - name_length - 1;
	char value[CLIENT_HEADER_MAX];
	copy_header(value, colon + 1, value_length);
	if (name_length == 12 && !strncasecmp(line, "content-type", 12))
		memcpy(answer->content_type, value, sizeof(value));
	else if (name_length == 12 && !strncasecmp(line, "x-request-id", 12))
		memcpy(answer->request_id, value, sizeof(value));
	else if (name_length == 11 && !strncasecmp(line, "retry-after", 11) &&
		 *value >= '0' && *value <= '9')
		answer->retry_after_s = strtol(value, NULL, 10);
	return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *closure)
{
	struct client *client = closure;
	const struct client_request *request = client->request;
	size_t length = size * count;
	long status = 0;
	curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
	client->answer->status = status;
	if (request->on_bytes && status >= 200 && status < 300) {
		if (request->on_bytes(request->closure, bytes, length))
			return length;
		client->stopped = true;
		return 0;
	}
	if (text_append(&client->answer->body, bytes, length))
		return length;
	client->too_large = true;
	return 0;
}

static bool set_up(struct client *client, const struct client_request *request,
		   const struct endpoint *endpoint, struct curl_slist *headers)
{
	CURL *easy = client->easy;
	char url[2 * ENDPOINT_TEXT_MAX];
	int length = snprintf(url, sizeof(url), "%s%s", endpoint->base,
			      request->path);
	if (length < 0 || (size_t)length >= sizeof(url))
		return false;
	curl_easy_reset(easy);
	client->curl_error[0] = '\0';
	bool reads = !strcmp(request->method, "GET");
	/* Kept even where $HTTPS_PROXY and its kin are set: a proxy cannot
	 * reach this machine's loopback. */
	if (endpoint->loopback)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (endpoint->is_socket)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
				 endpoint_socket(endpoint));
	const char *authorities = getenv("SSL_CERT_FILE");
	if (authorities && *authorities)
		curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
	if (request->json) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)strlen(request->json));
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->json);
	}
	if (!reads)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, reads ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->curl_error);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "atomctl/" PACKAGE_VERSION);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, client);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool add_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*headers, line);
	if (longer)
		*headers = longer;
	return longer;
}

static struct curl_slist *headers_of(const struct client *client,
				     const struct client_request *request)
{
	struct curl_slist *headers = NULL;
	char accept[CLIENT_HEADER_MAX];
	snprintf(accept, sizeof(accept), "Accept: %s", request->accept);
	/* An empty Expect: no second of waiting for a 100 before a large
	 * body. */
	bool ok =
		add_header(&headers, accept) && add_header(&headers, "Expect:");
	if (ok && request->json)
		ok = add_header(&headers, "Content-Type: application/json");
	if (ok && client->authorization)
		ok = add_header(&headers, client->authorization);
	if (!ok) {
		curl_slist_free_all(headers);
		headers = NULL;
	}
	return headers;
}

static int64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the transfer or a wake descriptor. True: interrupted. */
static bool wait_for_more(struct client *client, int64_t started_ms)
{
	struct curl_waitfd wakes[2];
	unsigned count = 0;
	for (size_t i = 0; i < 2; i++)
		if (client->wakes[i] >= 0)
			wakes[count++] = (struct curl_waitfd){
				.fd = client->wakes[i],
				.events = CURL_WAIT_POLLIN,
			};
	curl_multi_poll(client->multi, wakes, count, PROGRESS_EVERY_MS, NULL);
	for (unsigned i = 0; i < count; i++)
		if (wakes[i].revents)
			return true;
	int64_t elapsed_ms = monotonic_ms() - started_ms;
	if (client->request->progress && elapsed_ms >= PROGRESS_AFTER_MS)
		terminal_progress(client->terminal, client->request->progress,
				  (unsigned)(elapsed_ms / 1000));
	return false;
}

/* Runs the prepared transfer. False: interrupted. */
static bool transfer(struct client *client, CURLcode *code_r)
{
	int64_t started_ms = monotonic_ms();
	bool interrupted = false;
	*code_r = CURLE_FAILED_INIT;
	if (curl_multi_add_handle(client->multi, client->easy))
		return true;
	for (;;) {
		int running = 0;
		int left;
		if (curl_multi_perform(client->multi, &running))
			break;
		const CURLMsg *message =
			curl_multi_info_read(client->multi, &left);
		if (message && message->msg == CURLMSG_DONE) {
			*code_r = message->data.result;
			break;
		}
		interrupted = wait_for_more(client, started_ms);
		if (interrupted)
			break;
	}
	curl_multi_remove_handle(client->multi, client->easy);
	terminal_progress_end(client->terminal);
	return !interrupted;
}

static void give_reason(struct client *client, CURLcode code)
{
	struct text *reason = &client->answer->reason;
	long number = 0;
	curl_easy_getinfo(client->easy, CURLINFO_OS_ERRNO, &number);
	bool connecting = code == CURLE_COULDNT_CONNECT;
	if (reason->length)
		text_append_string(reason, "\n");
	text_append_format(reason, "%s: ", client_endpoint(client));
	if (client->too_large)
		text_append_format(reason,
				   "the answer is larger than %zu bytes",
				   client->answer->body.max);
	else if (connecting && number > 0)
		text_append_string(reason, strerror((int)number));
	else if (client->curl_error[0])
		text_append_string(reason, client->curl_error);
	else
		text_append_string(reason, curl_easy_strerror(code));
}

static bool never_connected(CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT ||
	       code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_COULDNT_RESOLVE_PROXY ||
	       code == CURLE_SSL_CONNECT_ERROR ||
	       code == CURLE_PEER_FAILED_VERIFICATION ||
	       code == CURLE_SSL_CACERT_BADFILE;
}

static enum client_result judge(struct client *client, CURLcode code)
{
	struct client_answer *answer = client->answer;
	curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE,
			  &answer->status);
	if (code == CURLE_OK)
		return CLIENT_ANSWERED;
	if (client->stopped)
		return CLIENT_STOPPED;
	give_reason(client, code);
	/* A connection that was never up, also by its time limit. */
	double connected_s = 0;
	curl_easy_getinfo(client->easy, CURLINFO_PRETRANSFER_TIME,
			  &connected_s);
	if (never_connected(code) ||
	    (code == CURLE_OPERATION_TIMEDOUT && connected_s <= 0))
		return CLIENT_UNREACHABLE;
	return CLIENT_CUT;
}

enum client_result client_send(struct client *client,
			       const struct client_request *request,
			       struct client_answer *answer)
{
	*answer = (struct client_answer){
		.retry_after_s = -1,
		.body = TEXT_INIT(CLIENT_BODY_MAX),
		.reason = TEXT_INIT(CLIENT_ERROR_MAX),
	};
	client->request = request;
	client->answer = answer;
	client->stopped = false;
	client->too_large = false;

	enum client_result result = CLIENT_CUT;
	struct curl_slist *headers = headers_of(client, request);
	size_t at = client->settled ? client->endpoint : 0;
	if (!headers) {
		text_append_string(&answer->reason, "out of memory");
		return CLIENT_CUT;
	}
	for (; at < client->endpoint_count; at++) {
		CURLcode code;
		client->endpoint = at;
		if (!set_up(client, request, &client->endpoints[at], headers)) {
			text_append_string(&answer->reason,
					   "the request's address is too "
					   "long");
			result = CLIENT_CUT;
			break;
		}
		result = transfer(client, &code) ? judge(client, code)
						 : CLIENT_INTERRUPTED;
		if (result != CLIENT_UNREACHABLE || client->settled)
			break;
	}
	if (result == CLIENT_ANSWERED || result == CLIENT_STOPPED)
		client->settled = true;
	if (result == CLIENT_UNREACHABLE && !client->settled)
		client->endpoint = 0;
	curl_slist_free_all(headers);
	return result;
}
