/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_PRIV_H
#define AUDIT_HTTP_PRIV_H

/*
 * The room of the http sink.
 *
 *	records --> pending --+--> receiver           (nothing is spilled)
 *	            (memory)  |
 *	                      +--> spill --> receiver (by the courier)
 *	                           (disk)
 *
 * The sink's own thread fills `pending` and, at `sync`, posts it; when that
 * fails, or older entries wait on disk already, it goes to the spill instead,
 * which is what `sync` then vouches for.  A second thread, the courier,
 * empties the spill, also when no record comes.  Only one of the two posts at
 * any time: the sink's own while the spill is empty, the courier while it is
 * not; so entries arrive in order.
 *
 * `lock` covers what stands under it below.  It is held while the disk works,
 * never while the receiver is waited for.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/audit.h>
#include <atomd/thread.h>

#include "plugins/audit/http/body.h"
#include "plugins/audit/http/position.h"
#include "plugins/audit/http/poster.h"
#include "plugins/audit/http/spill.h"
#include "plugins/audit/remote/backoff.h"
#include "plugins/audit/remote/report.h"

struct http_options {
	const char *url;
	int32_t format; /* 0 ndjson, 1 json */
	struct atom_map headers;
	const char *authorization;
	const char *signature_key;
	int64_t batch_records;
	int64_t batch_size;
	int64_t timeout;
	int64_t connect_timeout;
	int64_t retry_max;
	const char *spill;
	int64_t spill_size;
	const char *ca_file;
	const char *certificate;
	const char *key;
	int32_t verify;
	const char *proxy;
};

struct http_sink {
	const struct http_options *options;
	const struct atom_host *host;
	struct report report;
	struct poster_settings settings;
	char *ca_file;
	char *certificate;
	char *key;

	/* The sink's own thread. */
	struct pack pending;
	struct body body;
	struct poster *poster;
	uint64_t ordinal; /* of the last entry made */
	uint64_t given;	  /* sequence of the last record of this run */

	/* The courier's. */
	const struct atom_thread *threads;
	struct atom_thread_handle *courier;
	struct poster *courier_poster;
	struct pack courier_pack;
	struct body courier_body;
	atomic_bool stop;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* entries were spilled, or stop */
	struct spill spill;
	struct position position;
	struct position_file position_file;
	struct backoff backoff;
	size_t batch_records; /* now; halved when they are too large */
};

/* --- delivery.c ------------------------------------------------------------- */

/* Delivers `pending`, or puts it on disk: empty when ATOM_OK.  Waits for the
 * receiver until `deadline` at most.  ATOM_EBUSY: the spill is full, ATOM_EIO:
 * the disk failed; what could be neither is still pending. */
atom_status delivery_flush(struct http_sink *sink, int64_t deadline,
			   struct atom_error *err);
/* Is there room for one more entry of `length`? */
bool delivery_has_room(const struct http_sink *sink, size_t length);
/* The courier's thread, until `stop`; `argument` is the sink. */
void delivery_run_courier(void *argument);

#endif
