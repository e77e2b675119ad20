/* SPDX-License-Identifier: Apache-2.0 */

/* What monitor/otlp counts and tells of items that no request could be made
 * of, to a host that is played here. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/monitor/otlp/exporter.h"
#include "plugins/monitor/otlp/queue.h"

static char results[3][16]; /* by the number of the series */
static uint32_t series_count;
static double dropped;
static unsigned int lines;

static void log_write(const struct atom_host *host, int32_t level,
		      const char *event, const char *message,
		      const struct atom_log_field *fields, size_t field_count)
{
	(void)host;
	(void)message;
	cr_assert_eq(level, ATOM_LOG_WARN);
	if (strcmp(event, "otlp_not_delivered") == 0)
		return;
	cr_assert_str_eq(event, "otlp_not_made");
	cr_assert_eq(field_count, 1);
	cr_assert_str_eq(fields[0].text, "http://here/v1/logs");
	lines++;
}

static atom_status metric_series(const struct atom_host *host, uint32_t family,
				 const char *const *label_values,
				 uint32_t *series_r, struct atom_error *err)
{
	(void)host;
	(void)err;
	cr_assert_eq(family, 7);
	cr_assert_str_eq(label_values[0], "logs");
	cr_assert_lt(series_count, 3);
	(void)snprintf(results[series_count], sizeof(results[0]), "%s",
		       label_values[1]);
	*series_r = series_count++;
	return ATOM_OK;
}

static void metric_update(const struct atom_host *host, uint32_t series,
			  double value)
{
	(void)host;
	if (strcmp(results[series], "failed") == 0)
		return;
	cr_assert_str_eq(results[series], "dropped");
	dropped += value;
}

static char ca_file[64];
static char *authorization;

static atom_status http_start(const struct atom_host *host,
			      const struct atom_http_request *request,
			      const struct atom_http_events *events, void *self,
			      struct atom_http_transfer **transfer_r,
			      struct atom_error *err)
{
	(void)host;
	(void)events;
	(void)self;
	(void)transfer_r;
	(void)snprintf(ca_file, sizeof(ca_file), "%s",
		       request->ca_file != NULL ? request->ca_file : "-");
	free(authorization);
	authorization =
		request->header_count > 1 ? strdup(request->headers[1]) : NULL;
	return atom_fail(err, ATOM_EIO, "a host that is played sends nothing");
}

static int64_t monotonic_ns(const struct atom_host *host)
{
	(void)host;
	return 0;
}

static const void *service(const struct atom_host *host, const char *id)
{
	static const struct atom_log log = { .struct_size = sizeof(log),
					     .write = log_write };
	static const struct atom_metric metric = {
		.struct_size = sizeof(metric),
		.series = metric_series,
		.update = metric_update,
	};
	static const struct atom_http http = { .struct_size = sizeof(http),
					       .start = http_start };
	static const struct atom_clock now = { .struct_size = sizeof(now),
					       .monotonic_ns = monotonic_ns };

	(void)host;
	return strcmp(id, ATOM_LOG) == 0      ? (const void *)&log
	       : strcmp(id, ATOM_METRIC) == 0 ? (const void *)&metric
	       : strcmp(id, ATOM_HTTP) == 0   ? (const void *)&http
	       : strcmp(id, ATOM_CLOCK) == 0  ? (const void *)&now
					      : NULL;
}

static const struct atom_host host = {
	.struct_size = sizeof(host),
	.service = service,
	.directory = "/etc/here",
};

/* What a request says of these options. */
static void post(const char *file, const char *secret)
{
	const struct exporter_options options = {
		.url = "http://here/",
		.authorization = secret,
		.ca_file = file,
	};
	static struct exporter exporter;
	struct atom_error error = ATOM_ERROR_INIT;

	series_count = 0;
	cr_assert_eq(exporter_init(&exporter, &host, &options, "/v1/logs",
				   "logs", 7, &error),
		     ATOM_OK, "%s", error.message);
	exporter_add(&exporter, strdup("{}"), 1);
	exporter_pump(&exporter);
	exporter_fini(&exporter);
}

Test(otlp_exporter, certificates_lie_beside_the_configuration)
{
	post("ca.pem", "");
	cr_assert_str_eq(ca_file, "/etc/here/ca.pem");
	post("/etc/ssl/ca.pem", "");
	cr_assert_str_eq(ca_file, "/etc/ssl/ca.pem");
	post("", "");
	cr_assert_str_eq(ca_file, "-");
}

Test(otlp_exporter, a_long_authorization_is_sent_whole)
{
	static char secret[9000];

	post("", "");
	cr_assert_null(authorization);
	memset(secret, 't', sizeof(secret) - 1);
	post("", secret);
	cr_assert_not_null(authorization);
	cr_assert_eq(strncmp(authorization, "Authorization: ", 15), 0);
	cr_assert_str_eq(authorization + 15, secret);
	free(authorization);
}

Test(otlp_exporter, what_cannot_be_made_is_counted_and_told_once)
{
	const struct exporter_options options = {
		.url = "http://here/",
		.authorization = "",
		.ca_file = "",
	};
	static struct exporter exporter;
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert_eq(exporter_init(&exporter, &host, &options, "/v1/logs",
				   "logs", 7, &error),
		     ATOM_OK, "%s", error.message);
	exporter_lose(&exporter, 0);
	cr_assert(lines == 0 && dropped == 0);
	exporter_lose(&exporter, 3);
	exporter_lose(&exporter, 2);
	cr_assert(lines == 1 && dropped == 5);
	/* All of the next ones could be made: what is lost then is news. */
	exporter_lose(&exporter, 0);
	exporter_lose(&exporter, 1);
	cr_assert(lines == 2 && dropped == 6);
	exporter_fini(&exporter);
}

Test(otlp_exporter, what_is_lost_on_its_way_into_a_queue_is_asked_for_once)
{
	const struct queue_options options = { 4, 4, 1000 };
	struct queue queue;
	json_t *batch;

	cr_assert_eq(queue_init(&queue, &options, NULL), ATOM_OK);
	queue_add(&queue, NULL, 1);
	queue_lose(&queue, 2);
	queue_lose(&queue, 1);
	queue_add(&queue, json_pack("[i]", 5), 1);
	cr_assert_eq(queue_take_lost(&queue), 3);
	cr_assert_eq(queue_take_lost(&queue), 0);
	cr_assert_eq(queue_take_dropped(&queue), 0);
	/* The next one is sound. */
	batch = queue_take(&queue, 2000);
	cr_assert_eq(json_array_size(batch), 1);
	json_decref(batch);
	queue_fini(&queue);
}
