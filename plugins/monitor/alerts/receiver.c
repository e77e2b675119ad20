/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/receiver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define WAIT_FIRST_MS 1000
#define WAIT_MOST_MS  (5 * 60 * 1000)
#define HEADER_MAX    4096
#define ANSWER_MAX    (64 * 1024)

static int64_t now_ms(const struct receiver *receiver)
{
	return receiver->clock->monotonic_ns(receiver->host) / 1000000;
}

static void count(const struct receiver *receiver, uint32_t series)
{
	if (receiver->metric != NULL)
		receiver->metric->update(receiver->host, series, 1);
}

static atom_status make_series(struct receiver *receiver, uint32_t family,
			       struct atom_error *err)
{
	const struct {
		const char *result;
		uint32_t *series;
	} rows[] = {
		{ "sent", &receiver->sent },
		{ "failed", &receiver->failed },
		{ "dropped", &receiver->dropped },
	};
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < 3 && status == ATOM_OK; i++) {
		const char *values[] = { receiver->options->name,
					 rows[i].result };

		status = receiver->metric->series(receiver->host, family,
						  values, rows[i].series, err);
	}
	return status;
}

atom_status receiver_init(struct receiver *receiver,
			  const struct atom_host *host,
			  const struct receiver_options *options,
			  uint32_t family, struct atom_error *err)
{
	*receiver = (struct receiver){
		.host = host,
		.http = atom_service(host, ATOM_HTTP),
		.log = atom_service(host, ATOM_LOG),
		.clock = atom_service(host, ATOM_CLOCK),
		.metric = atom_service(host, ATOM_METRIC),
		.options = options,
		.wait_ms = WAIT_FIRST_MS,
	};
	(void)pthread_mutex_init(&receiver->lock, NULL);
	if (receiver->http == NULL || receiver->clock == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "the host has no HTTP client or clock");
	if (strncmp(options->url, "http://", 7) != 0 &&
	    strncmp(options->url, "https://", 8) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "receiver %s: option `url`: expected http:// "
				 "or https://",
				 options->name);
	return receiver->metric != NULL ? make_series(receiver, family, err)
					: ATOM_OK;
}

void receiver_fini(struct receiver *receiver)
{
	if (receiver->transfer != NULL)
		receiver->http->cancel(receiver->transfer);
	free(receiver->sending.body);
	for (size_t i = 0; i < receiver->count; i++)
		free(receiver->queue[(receiver->first + i) % RECEIVER_QUEUE_MAX]
			     .body);
	(void)pthread_mutex_destroy(&receiver->lock);
}

void receiver_add(struct receiver *receiver, char *body)
{
	struct receiver_message *place;

	(void)pthread_mutex_lock(&receiver->lock);
	if (receiver->count == RECEIVER_QUEUE_MAX) {
		free(receiver->queue[receiver->first].body);
		receiver->first = (receiver->first + 1) % RECEIVER_QUEUE_MAX;
		receiver->count--;
		count(receiver, receiver->dropped);
	}
	place = &receiver->queue[(receiver->first + receiver->count++) %
				 RECEIVER_QUEUE_MAX];
	*place = (struct receiver_message){ body, strlen(body),
					    now_ms(receiver) };
	(void)pthread_mutex_unlock(&receiver->lock);
}

/* --- what the receiver says -------------------------------------------------------- */

static void complain(const struct receiver *receiver, const char *why,
		     bool given_up)
{
	const struct atom_log_field fields[] = {
		{ "receiver", receiver->options->name, 0 },
		{ "status", NULL, receiver->status },
		{ "given_up", given_up ? "yes" : "no", 0 },
	};

	if (receiver->log != NULL)
		receiver->log->write(receiver->host, ATOM_LOG_WARN,
				     "alert_not_delivered", why, fields, 3);
}

static void finish(struct receiver *receiver)
{
	free(receiver->sending.body);
	receiver->sending.body = NULL;
}

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

static void on_failure(struct receiver *receiver, const char *why)
{
	bool for_good = receiver->status >= 400 && receiver->status < 500 &&
			receiver->status != 408 && receiver->status != 429;
	bool old = now_ms(receiver) - receiver->sending.made_ms >
		   RECEIVER_EXPIRES_MS;

	complain(receiver, why, for_good || old);
	count(receiver, receiver->failed);
	if (for_good || old) {
		count(receiver, receiver->dropped);
		finish(receiver);
	}
	receiver->due_ms = now_ms(receiver) + receiver->wait_ms;
	receiver->wait_ms = receiver->wait_ms * 2 < WAIT_MOST_MS
				    ? receiver->wait_ms * 2
				    : WAIT_MOST_MS;
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
		count(receiver, receiver->sent);
		finish(receiver);
		receiver->due_ms = 0;
		receiver->wait_ms = WAIT_FIRST_MS;
		return;
	}
	on_failure(receiver, status != ATOM_OK && error != NULL
				     ? error->message
				     : "expected a status of 2xx");
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

/* --- what is sent -------------------------------------------------------------------- */

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
	char timestamp[64], signature[96], authorization[HEADER_MAX];
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
		.ca_file = *options->ca_file != '\0' ? options->ca_file : NULL,
		.total_ms = (int32_t)options->timeout,
		.answer_max = ANSWER_MAX,
	};

	receiver->status = 0;
	receiver->span = (struct atom_span){ receiver->sending.body,
					     receiver->sending.length };
	if (*options->authorization != '\0') {
		(void)snprintf(authorization, sizeof(authorization),
			       "Authorization: %s", options->authorization);
		headers[request.header_count++] = authorization;
	}
	if (*options->signature_key != '\0') {
		(void)snprintf(seconds, sizeof(seconds), "%lld",
			       (long long)(receiver->clock->realtime_ms(
						   receiver->host) /
					   1000));
		if (!sign(receiver, seconds, hex)) {
			on_failure(receiver, "it could not be signed");
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
		on_failure(receiver, error.message);
	}
}

void receiver_pump(struct receiver *receiver)
{
	if (receiver->transfer != NULL || now_ms(receiver) < receiver->due_ms)
		return;
	if (receiver->sending.body == NULL) {
		(void)pthread_mutex_lock(&receiver->lock);
		if (receiver->count > 0) {
			receiver->sending = receiver->queue[receiver->first];
			receiver->first =
				(receiver->first + 1) % RECEIVER_QUEUE_MAX;
			receiver->count--;
		}
		(void)pthread_mutex_unlock(&receiver->lock);
	}
	if (receiver->sending.body != NULL)
		begin(receiver);
}
