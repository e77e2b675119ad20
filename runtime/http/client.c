/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <pthread.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "http/client_priv.h"
#include "http/curl_lazy.h"
#include "plugin/host.h"

/*
 * The service as plugins see it, and the client of each loop: made when the
 * loop first asks, ended with the loop.
 */

static struct http_client *clients[LOOP_MAX + 1];

/* --- what is counted ------------------------------------------------------ */

enum result {
	RESULT_OK,
	RESULT_CANCELLED,
	RESULT_TIMEOUT,
	RESULT_FAILED,
	RESULT_LIMIT,
	RESULT_PROTOCOL,
	RESULT_COUNT,
};

static const char *const result_words[RESULT_COUNT] = {
	"ok", "cancelled", "timeout", "failed", "limit", "protocol",
};

static metric_id results[RESULT_COUNT];
static metric_id connections_new;
static metric_id connections_reused;
static metric_id in_flight;

static enum result result_of(atom_status status)
{
	switch (status) {
	case ATOM_OK:
		return RESULT_OK;
	case ATOM_ECANCELED:
		return RESULT_CANCELLED;
	case ATOM_ETIMEOUT:
		return RESULT_TIMEOUT;
	case ATOM_ELIMIT:
		return RESULT_LIMIT;
	case ATOM_EPROTO:
		return RESULT_PROTOCOL;
	default:
		return RESULT_FAILED;
	}
}

void client_count_end(struct atom_http_transfer *t, atom_status status)
{
	long connects = 0;

	metric_inc(results[result_of(status)]);
	metric_add(in_flight, -1);
	if (t->phase < PHASE_SENT)
		return;
	if (t->is_lean)
		connects = !t->lean.used;
	else if (curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects) !=
		 CURLE_OK)
		return;
	metric_inc(connects > 0 ? connections_new : connections_reused);
}

static atom_status declare_counter(const char *name, const char *help,
				   const char *label, uint32_t *family_r,
				   struct atom_error *err)
{
	const char *const labels[] = { label, NULL };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = name,
		.help = help,
		.unit = "",
		.label_names = labels,
	};

	return metric_declare(&spec, family_r, err);
}

static atom_status declare_metrics(struct atom_error *err)
{
	const char *values[2] = { NULL, NULL };
	uint32_t family;
	atom_status status;

	status = declare_counter("atomd_upstream_requests_total",
				 "Requests of backends and other plugins to "
				 "HTTP servers, by how they ended.",
				 "result", &family, err);
	if (status != ATOM_OK)
		return status;
	for (int i = 0; i < RESULT_COUNT; i++) {
		values[0] = result_words[i];
		results[i] = metric_series(family, values);
	}
	status = declare_counter("atomd_upstream_connections_total",
				 "Connections that such requests took, by "
				 "whether they were new.",
				 "use", &family, err);
	if (status != ATOM_OK)
		return status;
	values[0] = "new";
	connections_new = metric_series(family, values);
	values[0] = "reused";
	connections_reused = metric_series(family, values);
	in_flight = metric_single(ATOM_METRIC_GAUGE,
				  "atomd_upstream_inflight_requests",
				  "Requests to HTTP servers under way.");
	return ATOM_OK;
}

/* --- the client of a loop ------------------------------------------------- */

static void client_free(struct http_client *client)
{
	resolve_fini(client);
	while (client->idle_count > 0)
		curl_easy_cleanup(client->idle[--client->idle_count]);
	client_loop_fini(client);
	lean_fini(client);
	if (clients[loop_index(client->loop)] == client)
		clients[loop_index(client->loop)] = NULL;
	mem_free(client);
}

void client_unref_lookup(struct http_client *client)
{
	client->lookups--;
	if (client->ended && client->lookups == 0)
		client_free(client);
}

static void client_end(void *argument)
{
	struct http_client *client = argument;
	struct atom_error err = ATOM_ERROR_INIT;

	atom_fail(&err, ATOM_ECANCELED, "the daemon is stopping");
	client->ended = true;
	while (client->unlaunched.first != NULL)
		transfer_end(client->unlaunched.first, ATOM_ECANCELED, &err);
	while (client->transfers.first != NULL)
		transfer_end(client->transfers.first, ATOM_ECANCELED, &err);
	lean_stop(client);
	/* One more than there are, so that the last callback of a lookup does
	 * not free what is still in use here. */
	client->lookups++;
	resolve_end(client, ATOM_ECANCELED, &err);
	client_unref_lookup(client);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_code;

static void begin_curl(void)
{
	curl_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* libcurl is loaded for the first transfer that wants it, and set up on each
 * loop where one does. */
static atom_status need_curl(struct http_client *client, struct atom_error *err)
{
	if (client->multi != NULL)
		return ATOM_OK;
	if (pthread_once(&curl_once, begin_curl) == 0 &&
	    curl_code == CURLE_OK) {
		if (client_loop_init(client) == ATOM_OK)
			return ATOM_OK;
		client_loop_fini(client);
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for an HTTP client");
	}
	return atom_fail(err, ATOM_EUNAVAILABLE, "%s",
			 curl_lazy_reason()[0] != '\0'
				 ? curl_lazy_reason()
				 : "libcurl could not be set up");
}

/* Of the calling thread's loop. */
static atom_status client_of_loop(struct loop *loop,
				  struct http_client **client_r,
				  struct atom_error *err)
{
	struct http_client **place = &clients[loop_index(loop)];
	struct http_client *client = *place;
	atom_status status = ATOM_ENOMEM;

	*client_r = client;
	if (client != NULL && !client->ended)
		return ATOM_OK;
	client = mem_zalloc(sizeof(*client));
	if (client != NULL) {
		client->loop = loop;
		status = lean_init(client);
	}
	if (status == ATOM_OK)
		status = loop_at_stop(loop, client_end, client);
	if (status == ATOM_OK) {
		*place = *client_r = client;
		return ATOM_OK;
	}
	if (client != NULL)
		client_free(client);
	return atom_fail(err, status, "%s",
			 status == ATOM_ECANCELED
				 ? "the daemon is stopping"
				 : "no memory for an HTTP client");
}

/* --- the service ----------------------------------------------------------- */

static atom_status new_curl(struct http_client *client,
			    const struct atom_http_request *request,
			    struct atom_http_transfer **transfer_r,
			    struct atom_error *err)
{
	atom_status status = need_curl(client, err);
	struct atom_http_transfer *t = NULL;

	if (status != ATOM_OK)
		return status;
	t = transfer_new(client, request, CURL_ERROR_SIZE);
	if (t == NULL)
		goto no_memory;
	t->reason = transfer_behind(t);
	t->easy = easy_take(client);
	if (t->easy == NULL)
		goto no_memory;
	status = easy_prepare(t, request, err);
	if (status != ATOM_OK) {
		transfer_free(t);
		return status;
	}
	*transfer_r = t;
	return ATOM_OK;
no_memory:
	if (t != NULL)
		transfer_free(t);
	return atom_fail(err, ATOM_ENOMEM, "no memory for an HTTP request");
}

/* Of a checked request, with the transport that it needs. */
static atom_status new_transfer(struct http_client *client,
				const struct atom_http_request *request,
				struct atom_http_transfer **transfer_r,
				struct atom_error *err)
{
	struct lean_url url;

	if (!lean_can(request, &url))
		return new_curl(client, request, transfer_r, err);
	*transfer_r = lean_new(client, request, &url);
	return *transfer_r != NULL ? ATOM_OK
				   : atom_fail(err, ATOM_ENOMEM,
					       "no memory for an HTTP request");
}

static atom_status launch(struct atom_http_transfer *t, struct atom_error *err)
{
	if (transfer_arm(t) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a timer");
	if (t->is_lean && lean_launch_kept(t))
		return ATOM_OK;
	return resolve_and_launch(t, err);
}

static atom_status start(const struct atom_host *host,
			 const struct atom_http_request *request,
			 const struct atom_http_events *events, void *argument,
			 struct atom_http_transfer **transfer_r,
			 struct atom_error *err)
{
	struct loop *loop = loop_current();
	struct atom_http_transfer *t;
	struct http_client *client;
	atom_status status;

	if (loop == NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "an HTTP request is begun on an event loop or "
				 "the control thread");
	if (!ATOM_HAS(request, answer_max) || !ATOM_HAS(events, end))
		return atom_fail(err, ATOM_EINVAL,
				 "an HTTP request is smaller than its first "
				 "version");
	status = client_of_loop(loop, &client, err);
	if (status != ATOM_OK)
		return status;
	if (client->transfer_count >= HTTP_TRANSFERS_MAX)
		return atom_fail(err, ATOM_EBUSY,
				 "%d HTTP requests are under way on one loop, "
				 "which is the most; try later",
				 HTTP_TRANSFERS_MAX);
	status = request_check(request, err);
	if (status == ATOM_OK)
		status = new_transfer(client, request, &t, err);
	if (status != ATOM_OK)
		return status;
	t->host = host;
	t->events = events;
	t->argument = argument;
	status = launch(t, err);
	if (status != ATOM_OK) {
		transfer_free(t);
		return status;
	}
	if (host != NULL)
		host_hold(host);
	metric_add(in_flight, 1);
	*transfer_r = t;
	return ATOM_OK;
}

static void cancel(struct atom_http_transfer *t)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (t->ended)
		return;
	atom_fail(&err, ATOM_ECANCELED, "the request to %s was cancelled",
		  t->where);
	transfer_end(t, ATOM_ECANCELED, &err);
}

static const char *header(struct atom_http_transfer *t, const char *name)
{
	struct curl_header *found;

	if (t->phase != PHASE_BEGUN)
		return NULL;
	if (t->is_lean)
		return lean_header(t, name);
	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &found) !=
	    CURLHE_OK)
		return NULL;
	return found->value;
}

static const struct atom_http service = {
	.struct_size = sizeof(service),
	.start = start,
	.cancel = cancel,
	.pause = transfer_pause,
	.resume = transfer_resume,
	.header = header,
};

const struct atom_http *http_client_service(void)
{
	return &service;
}

atom_status http_client_register(struct atom_error *err)
{
	atom_status status;

	status = declare_metrics(err);
	if (status != ATOM_OK)
		return status;
	status = host_register(ATOM_HTTP, &service);
	if (status != ATOM_OK)
		return atom_fail(err, status, "register " ATOM_HTTP);
	return ATOM_OK;
}
