/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/otlp/exporter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define WAIT_FIRST_MS 1000
#define WAIT_MOST_MS  30000
#define RETRY_MOST_S  300

static int64_t now_ms(const struct exporter *e)
{
	return e->clock->monotonic_ns(e->host) / 1000000;
}

static void count(const struct exporter *e, uint32_t series, size_t items)
{
	if (e->metric != NULL)
		e->metric->update(e->host, series, (double)items);
}

static bool make_texts(struct exporter *e)
{
	const char *path = e->options->ca_file;
	const char *folder = *path == '/' ? "" : e->host->directory;

	if (*path != '\0' && asprintf(&e->ca_file, "%s%s%s", folder,
				      *folder != '\0' ? "/" : "", path) < 0) {
		e->ca_file = NULL;
		return false;
	}
	if (*e->options->authorization != '\0' &&
	    asprintf(&e->authorization, "Authorization: %s",
		     e->options->authorization) < 0) {
		e->authorization = NULL;
		return false;
	}
	return true;
}

atom_status exporter_init(struct exporter *e, const struct atom_host *host,
			  const struct exporter_options *options,
			  const char *path, const char *signal, uint32_t family,
			  struct atom_error *err)
{
	const char *values[] = { signal, "sent" };
	size_t length = strlen(options->url);
	atom_status status;
	int written;

	*e = (struct exporter){
		.host = host,
		.http = atom_service(host, ATOM_HTTP),
		.clock = atom_service(host, ATOM_CLOCK),
		.log = atom_service(host, ATOM_LOG),
		.metric = atom_service(host, ATOM_METRIC),
		.options = options,
		.wait_ms = WAIT_FIRST_MS,
	};
	if (e->http == NULL || e->clock == NULL || e->log == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "the host has no HTTP client, clock or log");
	while (length > 0 && options->url[length - 1] == '/')
		length--;
	written = snprintf(e->url, sizeof(e->url), "%.*s%s", (int)length,
			   options->url, path);
	if ((strncmp(options->url, "http://", 7) != 0 &&
	     strncmp(options->url, "https://", 8) != 0) ||
	    written < 0 || (size_t)written >= sizeof(e->url))
		return atom_fail(err, ATOM_EINVAL,
				 "option `endpoint`: expected http:// or "
				 "https:// and at most 1,000 bytes");
	if (!make_texts(e))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (e->metric == NULL)
		return ATOM_OK;
	status = e->metric->series(host, family, values, &e->sent, err);
	values[1] = "failed";
	if (status == ATOM_OK)
		status = e->metric->series(host, family, values, &e->failed,
					   err);
	values[1] = "dropped";
	return status == ATOM_OK ? e->metric->series(host, family, values,
						     &e->dropped, err)
				 : status;
}

static void forget_first(struct exporter *e)
{
	free(e->queue[e->first].body);
	e->queue[e->first].body = NULL;
	e->first = (e->first + 1) % EXPORTER_MAX;
	e->count--;
}

bool exporter_idle(const struct exporter *e)
{
	return e->count == 0;
}

void exporter_fini(struct exporter *e)
{
	if (e->transfer != NULL)
		e->http->cancel(e->transfer);
	while (e->count > 0)
		forget_first(e);
	free(e->ca_file);
	free(e->authorization);
}

void exporter_add(struct exporter *e, char *body, size_t items)
{
	/* The first one may be on its way: then the new one goes. */
	if (e->count == EXPORTER_MAX && e->transfer != NULL) {
		count(e, e->dropped, items);
		free(body);
		return;
	}
	if (e->count == EXPORTER_MAX) {
		count(e, e->dropped, e->queue[e->first].items);
		forget_first(e);
	}
	e->queue[(e->first + e->count++) % EXPORTER_MAX] =
		(struct exporter_request){ body, strlen(body), items, now_ms(e),
					   false };
}

void exporter_lose(struct exporter *e, size_t items)
{
	const struct atom_log_field field = { "url", e->url, 0 };

	if (items > 0)
		count(e, e->dropped, items);
	if (items > 0 && !e->losing)
		e->log->write(e->host, ATOM_LOG_WARN, "otlp_not_made",
			      "there is no memory for what the collector "
			      "should get, or more than it can be given at "
			      "once: that is dropped",
			      &field, 1);
	e->losing = items > 0;
}

void exporter_replace(struct exporter *e)
{
	size_t kept = e->transfer != NULL ? 1 : 0;

	for (; e->count > kept; e->count--) {
		struct exporter_request *last =
			&e->queue[(e->first + e->count - 1) % EXPORTER_MAX];

		count(e, e->dropped, last->items);
		free(last->body);
		last->body = NULL;
	}
	if (kept > 0)
		e->queue[e->first].replaced = true;
}

/* --- what the collector says ------------------------------------------------------ */

static void complain(struct exporter *e, const char *why)
{
	const struct atom_log_field fields[] = {
		{ "url", e->url, 0 },
		{ "status", NULL, e->status },
	};

	if (!e->complained)
		e->log->write(e->host, ATOM_LOG_WARN, "otlp_not_delivered", why,
			      fields, 2);
	e->complained = true;
}

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct exporter *e = argument;
	const char *after = e->http->header(transfer, "Retry-After");
	char *end = NULL;
	long seconds = after != NULL ? strtol(after, &end, 10) : -1;

	e->status = status;
	e->retry_after_ms = -1;
	if (after != NULL && end != after && *end == '\0' && seconds >= 0)
		e->retry_after_ms =
			1000 *
			(seconds < RETRY_MOST_S ? seconds : RETRY_MOST_S);
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	struct exporter *e = argument;
	size_t room = sizeof(e->answer) - e->answer_length;

	(void)transfer;
	if (length > room)
		length = room;
	memcpy(e->answer + e->answer_length, bytes, length);
	e->answer_length += length;
}

/* {"partialSuccess":{"rejectedSpans":"3"}}: how many were not taken.  Such a
 * request is not sent again. */
static size_t rejected_of(const struct exporter *e, size_t items)
{
	static const char *const names[] = { "rejectedSpans",
					     "rejectedLogRecords",
					     "rejectedDataPoints" };
	json_t *answer = json_loadb(e->answer, e->answer_length, 0, NULL);
	const json_t *partial = json_object_get(answer, "partialSuccess");
	long long rejected = 0;

	for (size_t i = 0; i < 3 && rejected == 0; i++) {
		const json_t *value = json_object_get(partial, names[i]);

		rejected = json_is_string(value)
				   ? strtoll(json_string_value(value), NULL, 10)
				   : json_integer_value(value);
	}
	json_decref(answer);
	if (rejected < 0)
		return 0;
	return (size_t)rejected < items ? (size_t)rejected : items;
}

static void on_success(struct exporter *e)
{
	size_t items = e->queue[e->first].items;
	size_t rejected = rejected_of(e, items);

	count(e, e->sent, items - rejected);
	if (rejected > 0) {
		count(e, e->dropped, rejected);
		complain(e, "the collector has rejected a part");
	} else {
		e->complained = false;
	}
	forget_first(e);
	e->due_ms = 0;
	e->wait_ms = WAIT_FIRST_MS;
	if (e->delivered != NULL)
		e->delivered(e->argument);
}

static void on_failure(struct exporter *e, bool again, const char *why)
{
	int64_t now = now_ms(e);
	int64_t wait = e->wait_ms + now % (e->wait_ms / 4 + 1);

	complain(e, why);
	count(e, e->failed, e->queue[e->first].items);
	if (!again || e->queue[e->first].replaced ||
	    now - e->queue[e->first].made_ms > e->options->expires_ms) {
		count(e, e->dropped, e->queue[e->first].items);
		forget_first(e);
	}
	if (again && e->retry_after_ms >= 0)
		wait = e->retry_after_ms;
	e->due_ms = now + wait;
	e->wait_ms =
		e->wait_ms * 2 < WAIT_MOST_MS ? e->wait_ms * 2 : WAIT_MOST_MS;
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct exporter *e = argument;
	bool again = status != ATOM_OK || e->status == 429 ||
		     e->status == 502 || e->status == 503 || e->status == 504;

	(void)request_sent;
	e->transfer = NULL;
	if (status == ATOM_ECANCELED)
		return;
	if (status == ATOM_OK && e->status >= 200 && e->status < 300)
		on_success(e);
	else
		on_failure(e, again,
			   status != ATOM_OK && error != NULL
				   ? error->message
				   : "expected a status of 2xx");
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

void exporter_pump(struct exporter *e)
{
	const char *headers[2] = { "Content-Type: application/json" };
	struct atom_error error = ATOM_ERROR_INIT;
	struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "POST",
		.url = e->url,
		.headers = headers,
		.header_count = 1,
		.body = &e->span,
		.body_count = 1,
		.ca_file = e->ca_file,
		.total_ms = (int32_t)e->options->timeout_ms,
		.answer_max = 65536,
	};

	if (e->transfer != NULL || e->count == 0 || now_ms(e) < e->due_ms)
		return;
	if (e->authorization != NULL)
		headers[request.header_count++] = e->authorization;
	e->span = (struct atom_span){ e->queue[e->first].body,
				      e->queue[e->first].length };
	e->status = 0;
	e->answer_length = 0;
	e->retry_after_ms = -1;
	if (e->http->start(e->host, &request, &events, e, &e->transfer,
			   &error) != ATOM_OK) {
		e->transfer = NULL;
		on_failure(e, true, error.message);
	}
}
