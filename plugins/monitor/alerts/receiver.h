/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_RECEIVER_H
#define ALERTS_RECEIVER_H

/*
 * One receiver: a bounded queue of messages, sent one after the other on the
 * control thread, which never waits for it: posted through the host's HTTP
 * client (receiver_http.c), or given to a command as its standard input
 * (receiver_exec.c).  A message that fails is tried again, after 1 s and then
 * twice as long each time up to 5 min, until it is an hour old; an answer of
 * 4xx (but 408 and 429) ends it at once.  A receiver that hangs holds up its
 * own queue alone; where that is full its oldest message goes, and is counted.
 */

#include <pthread.h>

#include <atomd/host.h>

#include "plugins/monitor/alerts/message.h"

#define RECEIVER_QUEUE_MAX  64
#define RECEIVER_EXPIRES_MS (60 * 60 * 1000)
#define RECEIVER_OUTPUT_MAX 1000 /* bytes kept of what a command says last */

/* Options of one item of the list `receivers`. */
struct receiver_options {
	const char *name;
	const char *url;
	int32_t format; /* enum message_format */
	const char *signature_key;
	const char *authorization;
	int64_t timeout;
	const char *ca_file;
	struct atom_strings command; /* instead of `url` */
};

struct receiver_message {
	char *body;
	size_t length;
	size_t count, firing; /* alerts in it, and how many of them fire */
	int64_t made_ms;      /* monotonic */
};

struct receiver_kind;

struct receiver {
	const struct receiver_kind *kind;
	const struct atom_host *host;
	const struct atom_log *log;
	const struct atom_clock *clock;
	const struct atom_metric *metric; /* or NULL */
	const struct receiver_options *options;
	uint32_t sent, failed, dropped; /* series */
	pthread_mutex_t lock;		/* for the queue */
	struct receiver_message queue[RECEIVER_QUEUE_MAX];
	size_t first, count;
	/* [control] */
	struct receiver_message sending; /* body NULL: none */
	bool busy;			 /* it is under way */
	int32_t status;			 /* of the answer, or of the exit */
	int64_t due_ms;
	int64_t wait_ms;
	/* receiver_http.c */
	const struct atom_http *http;
	struct atom_http_transfer *transfer;
	struct atom_span span;
	char *ca_file;	     /* absolute, or NULL */
	char *authorization; /* the header, or NULL */
	/* receiver_exec.c */
	const struct atom_process *process;
	const struct atom_timer *timers;
	struct atom_timer_handle *timer;
	struct atom_process_handle *child;
	bool late; /* it was told to end */
	char output[RECEIVER_OUTPUT_MAX + 1];
	size_t output_length;
};

/* [control] */
atom_status receiver_init(struct receiver *receiver,
			  const struct atom_host *host,
			  const struct receiver_options *options,
			  uint32_t family, struct atom_error *err);
/* Ends what is under way. */
void receiver_fini(struct receiver *receiver);
/* [any] Takes `body`, of so many `alerts`, of which `firing` fire. */
void receiver_add(struct receiver *receiver, char *body, size_t alerts,
		  size_t firing);
/* [control] Begins what is due; does not wait. */
void receiver_pump(struct receiver *receiver);

#endif
