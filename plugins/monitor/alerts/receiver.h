/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_RECEIVER_H
#define ALERTS_RECEIVER_H

/*
 * One HTTP receiver: a bounded queue of messages, sent one after the other
 * through the host's client on the control thread, which never waits for it.
 * A message that fails is tried again, after 1 s and then twice as long each
 * time up to 5 min, until it is an hour old; an answer of 4xx (but 408 and
 * 429) ends it at once.  A receiver that hangs holds up its own queue alone;
 * where that is full its oldest message goes, and is counted.
 */

#include <pthread.h>

#include <atomd/host.h>

#include "plugins/monitor/alerts/message.h"

#define RECEIVER_QUEUE_MAX  64
#define RECEIVER_EXPIRES_MS (60 * 60 * 1000)

/* Options of one item of the list `receivers`. */
struct receiver_options {
	const char *name;
	const char *url;
	int32_t format; /* enum message_format */
	const char *signature_key;
	const char *authorization;
	int64_t timeout;
	const char *ca_file;
};

struct receiver_message {
	char *body;
	size_t length;
	int64_t made_ms; /* monotonic */
};

struct receiver {
	const struct atom_host *host;
	const struct atom_http *http;
	const struct atom_log *log;
	const struct atom_clock *clock;
	const struct atom_metric *metric; /* or NULL */
	const struct receiver_options *options;
	uint32_t sent, failed, dropped; /* series */
	pthread_mutex_t lock;		/* for the queue */
	struct receiver_message queue[RECEIVER_QUEUE_MAX];
	size_t first, count;
	/* [control] */
	struct atom_http_transfer *transfer;
	struct receiver_message sending; /* body NULL: none */
	struct atom_span span;
	int32_t status; /* of the answer */
	int64_t due_ms;
	int64_t wait_ms;
};

/* [control] */
atom_status receiver_init(struct receiver *receiver,
			  const struct atom_host *host,
			  const struct receiver_options *options,
			  uint32_t family, struct atom_error *err);
/* Ends the transfer under way. */
void receiver_fini(struct receiver *receiver);
/* [any] Takes `body`. */
void receiver_add(struct receiver *receiver, char *body);
/* [control] Begins what is due; does not wait. */
void receiver_pump(struct receiver *receiver);

#endif
