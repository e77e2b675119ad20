/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTLP_EXPORTER_H
#define OTLP_EXPORTER_H

/*
 * Requests of one signal on their way to a collector: a queue of EXPORTER_MAX,
 * posted one at a time, the next when its owner pumps again.  As OTLP/HTTP
 * says: 429, 502, 503 and 504, and a connection that fails, are tried again,
 * after Retry-After or 1 s, then twice as long each time up to 30 s with a
 * jitter of a quarter; any other status ends it, and so does its age.  A queue
 * that is full loses its oldest; one of cumulative metrics also what newer ones
 * replace.
 * [control]
 */

#include <stdbool.h>
#include <stddef.h>

#include <atomd/host.h>

#define EXPORTER_MAX 32

/* No text is NULL. */
struct exporter_options {
	const char *url; /* of the collector */
	const char *authorization;
	const char *ca_file; /* from the configuration's folder, if relative */
	int64_t timeout_ms;
	int64_t expires_ms;
};

struct exporter_request {
	char *body;
	size_t length;
	size_t items;
	int64_t made_ms; /* monotonic */
	bool replaced;	 /* on its way, and not to be tried again */
};

struct exporter {
	const struct atom_host *host;
	const struct atom_http *http;
	const struct atom_clock *clock;
	const struct atom_log *log;
	const struct atom_metric *metric;
	const struct exporter_options *options;
	char url[1024];
	char *ca_file;	     /* absolute, or NULL */
	char *authorization; /* the header, or NULL */
	/* series: items by what became of them */
	uint32_t sent, failed, dropped;
	struct exporter_request queue[EXPORTER_MAX];
	size_t first, count;
	struct atom_span span;
	struct atom_http_transfer *transfer;
	int32_t status;
	int64_t retry_after_ms; /* as the answer says; -1 = it does not */
	int64_t due_ms, wait_ms;
	bool complained; /* since the last success */
	bool losing;	 /* as exporter_lose() was told last */
	/* After a request has been delivered; may be NULL.  The next one may
	 * go at once. */
	void (*delivered)(void *argument);
	void *argument;
	char answer[4096];
	size_t answer_length;
};

/* `path` is put behind the endpoint: "/v1/traces". */
atom_status exporter_init(struct exporter *exporter,
			  const struct atom_host *host,
			  const struct exporter_options *options,
			  const char *path, const char *signal, uint32_t family,
			  struct atom_error *err);
void exporter_fini(struct exporter *exporter);
/* Takes the body, which is malloc()ed. */
void exporter_add(struct exporter *exporter, char *body, size_t items);
/* So many of the last items could not be made into a request, 0 included: they
 * count as dropped, and that is told when it was none before. */
void exporter_lose(struct exporter *exporter, size_t items);
/* What is added next says all that these say: those that wait are dropped, and
 * one that is on its way is not tried again. */
void exporter_replace(struct exporter *exporter);
/* Posts the oldest, if it is time. */
void exporter_pump(struct exporter *exporter);
/* Nothing waits and nothing is on its way. */
bool exporter_idle(const struct exporter *exporter);

#endif
