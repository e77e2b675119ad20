/* SPDX-License-Identifier: Apache-2.0 */

/* A receiver that is posted to. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "plugins/monitor/alerts/receiver_priv.h"

#define ANSWER_MAX (64 * 1024)

/* --- its answer ---------------------------------------------------------------- */

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct receiver *receiver = argument;

	(void)transfer;
	receiver->status = status;
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	(void)argument;
	(void)transfer;
	(void)bytes;
	(void)length;
}

static void fail(struct receiver *receiver, const char *why)
{
	const int32_t status = receiver->status;

	receiver_failed(receiver, why, NULL,
			status >= 400 && status < 500 && status != 408 &&
				status != 429);
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct receiver *receiver = argument;

	(void)request_sent;
	receiver->transfer = NULL;
	if (status == ATOM_ECANCELED)
		return;
	if (status == ATOM_OK && receiver->status >= 200 &&
	    receiver->status < 300) {
		receiver_sent(receiver);
		return;
	}
	fail(receiver, status != ATOM_OK && error != NULL
			       ? error->message
			       : "expected a status of 2xx");
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

/* --- what is sent -------------------------------------------------------------- */

/* HMAC-SHA-256 over "TIMESTAMP.BODY", as the audit sink `http` signs. */
static bool sign(const struct receiver *receiver, const char *seconds,
		 char hex[65])
{
	const char *key = receiver->options->signature_key;
	const struct receiver_message *message = &receiver->sending;
	size_t head = strlen(seconds) + 1;
	unsigned char out[32], *text = malloc(head + message->length);
	unsigned int size = 0;
	bool done = text != NULL;

	if (done) {
		memcpy(text, seconds, head - 1);
		text[head - 1] = '.';
		memcpy(text + head, message->body, message->length);
		done = HMAC(EVP_sha256(), key, (int)strlen(key), text,
			    head + message->length, out, &size) != NULL;
	}
	for (unsigned int i = 0; done && i < 32; i++)
		(void)snprintf(hex + 2 * (size_t)i, 3, "%02x", out[i]);
	free(text);
	return done;
}

static void begin(struct receiver *receiver)
{
	const struct receiver_options *options = receiver->options;
	char timestamp[64], signature[96];
	const char *headers[4] = { "Content-Type: application/json" };
	char seconds[24], hex[65] = "";
	struct atom_error error = ATOM_ERROR_INIT;
	struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "POST",
		.url = options->url,
		.headers = headers,
		.header_count = 1,
		.body = &receiver->span,
		.body_count = 1,
		.ca_file = receiver->ca_file,
		.total_ms = (int32_t)options->timeout,
		.answer_max = ANSWER_MAX,
	};

	receiver->span = (struct atom_span){ receiver->sending.body,
					     receiver->sending.length };
	if (receiver->authorization != NULL)
		headers[request.header_count++] = receiver->authorization;
	if (*options->signature_key != '\0') {
		(void)snprintf(seconds, sizeof(seconds), "%lld",
			       (long long)(receiver->clock->realtime_ms(
						   receiver->host) /
					   1000));
		if (!sign(receiver, seconds, hex)) {
			fail(receiver, "it could not be signed");
			return;
		}
		(void)snprintf(timestamp, sizeof(timestamp),
			       "X-Atomd-Timestamp: %s", seconds);
		(void)snprintf(signature, sizeof(signature),
			       "X-Atomd-Signature: v1=%s", hex);
		headers[request.header_count++] = timestamp;
		headers[request.header_count++] = signature;
	}
	if (receiver->http->start(receiver->host, &request, &events, receiver,
				  &receiver->transfer, &error) != ATOM_OK) {
		receiver->transfer = NULL;
		fail(receiver, error.message);
	}
}

static bool make_texts(struct receiver *receiver)
{
	const struct receiver_options *options = receiver->options;
	const char *path = options->ca_file;
	/* Relative paths start at the configuration's folder. */
	const char *folder = *path == '/' ? "" : receiver->host->directory;

	if (*path != '\0' && asprintf(&receiver->ca_file, "%s%s%s", folder,
				      *folder != '\0' ? "/" : "", path) < 0) {
		receiver->ca_file = NULL;
		return false;
	}
	if (*options->authorization != '\0' &&
	    asprintf(&receiver->authorization, "Authorization: %s",
		     options->authorization) < 0) {
		receiver->authorization = NULL;
		return false;
	}
	return true;
}

static atom_status init(struct receiver *receiver, struct atom_error *err)
{
	const struct receiver_options *options = receiver->options;

	receiver->http = atom_service(receiver->host, ATOM_HTTP);
	if (receiver->http == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "the host has no HTTP client");
	if (strncmp(options->url, "http://", 7) != 0 &&
	    strncmp(options->url, "https://", 8) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "receiver %s: option `url`: expected http:// "
				 "or https://",
				 options->name);
	return make_texts(receiver)
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM, "out of memory");
}

static void fini(struct receiver *receiver)
{
	if (receiver->transfer != NULL)
		receiver->http->cancel(receiver->transfer);
	free(receiver->ca_file);
	free(receiver->authorization);
}

const struct receiver_kind receiver_http = {
	.init = init,
	.begin = begin,
	.fini = fini,
};
