/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/syslog_priv.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "plugins/audit/remote/deadline.h"
#include "plugins/audit/syslog/datagram.h"

/* Bytes that go to the socket in one piece. */
#define PIECE (64u * 1024)

static bool is_open(const struct syslog_sink *sink)
{
	return sink->options->transport == TRANSPORT_UDP
		       ? sink->datagram_fd >= 0
		       : sink->stream.fd >= 0;
}

static void drop_connection(struct syslog_sink *sink, bool politely)
{
	stream_close(&sink->stream, politely);
	if (sink->datagram_fd >= 0)
		(void)close(sink->datagram_fd);
	sink->datagram_fd = -1;
}

void delivery_close(struct syslog_sink *sink)
{
	drop_connection(sink, true);
}

static void confirm(struct syslog_sink *sink, uint64_t mark)
{
	report_add(&sink->report, REPORT_SENT,
		   outbox_confirm(&sink->outbox, mark));
	report_waiting(&sink->report, sink->outbox.bytes);
}

/* The connection is of no use any more: what it may have lost is sent again
 * on the next one. */
static atom_status give_up(struct syslog_sink *sink, atom_status status,
			   const struct atom_error *why, struct atom_error *err)
{
	struct atom_error error = ATOM_ERROR_INIT;

	drop_connection(sink, false);
	outbox_rewind(&sink->outbox);
	backoff_failed(&sink->backoff, 0);
	if (status != ATOM_ETIMEOUT)
		status = ATOM_EIO;
	(void)atom_fail(&error, status, "syslog receiver %s: %s",
			sink->report.target, why->message);
	error.retry_after_ms = backoff_left(&sink->backoff);
	report_failed(&sink->report, &error);
	if (err != NULL)
		*err = error;
	return status;
}

static atom_status connect_transport(struct syslog_sink *sink, int64_t deadline,
				     struct atom_error *err)
{
	const struct syslog_options *options = sink->options;
	const bool udp = options->transport == TRANSPORT_UDP;
	static const int64_t ports[] = { 514, 514, 6514 };
	struct addrinfo *list = NULL;
	atom_status status = resolver_resolve(
		&sink->resolver, options->server,
		options->port ? options->port : ports[options->transport],
		udp ? SOCK_DGRAM : SOCK_STREAM, deadline, &list, err);

	if (status != ATOM_OK)
		return status;
	if (udp) {
		sink->datagram_fd =
			datagram_open(list, sink->backoff.failures, err);
		status = sink->datagram_fd >= 0 ? ATOM_OK : ATOM_EIO;
	} else {
		status = stream_open(&sink->stream, list, sink->tls, deadline,
				     err);
	}
	freeaddrinfo(list);
	return status;
}

static atom_status open_when_due(struct syslog_sink *sink, int64_t deadline,
				 struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	int32_t left = backoff_left(&sink->backoff);
	atom_status status;

	if (is_open(sink))
		return ATOM_OK;
	if (left > 0) {
		status = atom_fail(err, ATOM_EIO,
				   "syslog receiver %s is away; it is tried "
				   "again in %d ms",
				   sink->report.target, left);
		if (err != NULL)
			err->retry_after_ms = left;
		return status;
	}
	status = connect_transport(sink, deadline, &why);
	if (status != ATOM_OK)
		return give_up(sink, status, &why, err);
	return ATOM_OK;
}

/* --- streams --------------------------------------------------------------- */

static atom_status put_frames(struct syslog_sink *sink, int64_t deadline,
			      struct atom_error *err)
{
	while (sink->outbox.unsent != NULL) {
		const struct frame *frame = sink->outbox.unsent;
		uint64_t mark;
		atom_status status = ATOM_OK;

		if (stream_buffered(&sink->stream) >= PIECE)
			status = stream_flush(&sink->stream, deadline, err);
		if (status == ATOM_OK)
			status = stream_put(&sink->stream, frame->bytes,
					    frame->length, &mark, err);
		if (status != ATOM_OK)
			return status;
		outbox_sent(&sink->outbox, mark);
	}
	return stream_flush(&sink->stream, deadline, err);
}

/* What the receiver's TCP has is forgotten, if the connection still stands
 * after we asked: of one that broke, the count says nothing. */
static atom_status confirm_stream(struct syslog_sink *sink,
				  struct atom_error *err)
{
	uint64_t mark = stream_acknowledged(&sink->stream);
	atom_status status = stream_check(&sink->stream, err);

	if (status == ATOM_OK)
		confirm(sink, mark);
	return status;
}

/* The kernel has no event for "all is acknowledged", so it is asked, at
 * growing intervals; the socket's own events cut a wait short. */
static atom_status await_confirmation(struct syslog_sink *sink, size_t room,
				      int64_t deadline, struct atom_error *err)
{
	int wait = 1;

	for (;;) {
		struct pollfd poll_fd = { .fd = sink->stream.fd,
					  .events = POLLIN };
		atom_status status = confirm_stream(sink, err);
		int left = deadline_left(deadline);

		if (status != ATOM_OK || sink->outbox.bytes == 0 ||
		    (room > 0 && outbox_has_room(&sink->outbox, room)))
			return status;
		if (left == 0)
			return atom_fail(err, ATOM_ETIMEOUT,
					 "no acknowledgement of what was sent");
		(void)poll(&poll_fd, 1, wait < left ? wait : left);
		wait = wait < 16 ? wait * 2 : 20;
	}
}

/* `room` > 0: no more than room for that is needed. */
static atom_status run_stream(struct syslog_sink *sink, bool patient,
			      size_t room, int64_t deadline,
			      struct atom_error *err)
{
	atom_status status = confirm_stream(sink, err);

	if (status == ATOM_OK)
		status = put_frames(sink, patient ? deadline : monotonic_ms(),
				    err);
	/* A slow receiver is no failure to who does not wait for it. */
	if (status == ATOM_ETIMEOUT && !patient)
		return ATOM_OK;
	if (status == ATOM_OK)
		status = patient ? await_confirmation(sink, room, deadline, err)
				 : confirm_stream(sink, err);
	return status;
}

/* --- datagrams ------------------------------------------------------------- */

/* A refusal is told at the next send, so that the last datagram stays until
 * then. */
static atom_status run_datagrams(struct syslog_sink *sink, bool patient,
				 int64_t deadline, struct atom_error *err)
{
	atom_status status;

	while (sink->outbox.unsent != NULL) {
		const struct frame *frame = sink->outbox.unsent;

		status = datagram_send(sink->datagram_fd, frame->bytes,
				       frame->length, deadline, err);
		if (status != ATOM_OK && status != ATOM_ELIMIT)
			return status;
		confirm(sink, sink->datagrams);
		outbox_sent(&sink->outbox, ++sink->datagrams);
		if (status == ATOM_ELIMIT) {
			/* It gets no smaller by being tried again. */
			report_log(&sink->report, ATOM_LOG_ERROR,
				   "audit_message_dropped", err->message,
				   "length", (int64_t)frame->length);
			report_add(
				&sink->report, REPORT_DROPPED,
				outbox_confirm(&sink->outbox, sink->datagrams));
		}
	}
	if (!patient)
		return ATOM_OK;
	status = datagram_check(sink->datagram_fd, err);
	if (status == ATOM_OK)
		confirm(sink, sink->datagrams);
	return status;
}

/* --- both ------------------------------------------------------------------ */

static atom_status run_transport(struct syslog_sink *sink, bool patient,
				 size_t room, int64_t deadline,
				 struct atom_error *err)
{
	return sink->options->transport == TRANSPORT_UDP
		       ? run_datagrams(sink, patient, deadline, err)
		       : run_stream(sink, patient, room, deadline, err);
}

static atom_status run(struct syslog_sink *sink, bool patient, size_t room,
		       int64_t deadline, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	bool old = is_open(sink);
	atom_status status = open_when_due(sink, deadline, err);

	if (status != ATOM_OK)
		return status;
	status = run_transport(sink, patient, room, deadline, &why);
	if (status != ATOM_OK && status != ATOM_ETIMEOUT && old) {
		/* One that was good until now: the receiver may have been
		 * started again, which is no failure yet. */
		drop_connection(sink, false);
		outbox_rewind(&sink->outbox);
		status = open_when_due(sink, deadline, err);
		if (status != ATOM_OK)
			return status;
		status = run_transport(sink, patient, room, deadline, &why);
	}
	if (status == ATOM_ETIMEOUT) {
		/* Slow, and not gone: the connection stays. */
		(void)atom_fail(err, status, "syslog receiver %s: %s",
				sink->report.target, why.message);
		report_failed(&sink->report, &why);
		return status;
	}
	if (status != ATOM_OK)
		return give_up(sink, status, &why, err);
	backoff_succeeded(&sink->backoff);
	if (patient)
		report_succeeded(&sink->report);
	return ATOM_OK;
}

atom_status delivery_run(struct syslog_sink *sink, bool patient,
			 int64_t deadline, struct atom_error *err)
{
	if (sink->outbox.bytes == 0 && !is_open(sink) && !patient)
		return ATOM_OK;
	return run(sink, patient, 0, deadline, err);
}

atom_status delivery_make_room(struct syslog_sink *sink, size_t length,
			       int64_t deadline, struct atom_error *err)
{
	if (outbox_has_room(&sink->outbox, length))
		return ATOM_OK;
	return run(sink, true, length, deadline, err);
}
