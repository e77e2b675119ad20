/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_PRIV_H
#define AUDIT_SYSLOG_PRIV_H

/*
 * The room of the syslog sink.  Records become messages in the outbox
 * (syslog.c); the delivery (delivery.c) moves them from there to the
 * receiver and connects again when it must.  All of it runs on the sink's
 * own thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/audit.h>

#include "plugins/audit/remote/backoff.h"
#include "plugins/audit/remote/report.h"
#include "plugins/audit/syslog/address.h"
#include "plugins/audit/syslog/message.h"
#include "plugins/audit/syslog/outbox.h"
#include "plugins/audit/syslog/stream.h"

enum syslog_transport {
	TRANSPORT_UDP,
	TRANSPORT_TCP,
	TRANSPORT_TLS
};

struct syslog_options {
	const char *server;
	int64_t port; /* 0 = the transport's own */
	int32_t transport;
	int32_t facility;
	const char *hostname; /* "" = the system's */
	const char *app_name;
	const char *structured_id;
	int32_t byte_order_mark;
	int64_t message_max;
	int64_t buffer_size;
	int64_t timeout;
	int64_t retry_max;
	const char *ca_file;
	const char *certificate;
	const char *key;
	const char *server_name; /* "" = `server` */
	int32_t verify;
	int32_t accept_loss;
};

struct syslog_sink {
	const struct syslog_options *options;
	struct report report;
	struct backoff backoff;
	struct resolver resolver;
	struct outbox outbox;
	struct stream stream; /* tcp, tls */
	int datagram_fd;      /* udp; -1: closed */
	uint64_t datagrams;   /* sent */
	struct tls_context *tls;
	struct message_origin origin;
	char *scratch;	/* one message */
	uint64_t taken; /* the last sequence of this run, 0 = none */
};

/* Sends what is in the outbox, for as long as `deadline` allows.
 *
 * `patient`: also waits for a slow receiver, and until everything is known to
 * have left; else only sends what the transport takes at once.  A connection
 * is made in either case when one is due.  ATOM_EIO with retry_after_ms: the
 * receiver is away and it is too early to try again. */
atom_status delivery_run(struct syslog_sink *sink, bool patient,
			 int64_t deadline, struct atom_error *err);
/* Waits until the outbox has room for a message of `length`. */
atom_status delivery_make_room(struct syslog_sink *sink, size_t length,
			       int64_t deadline, struct atom_error *err);
void delivery_close(struct syslog_sink *sink);

#endif
