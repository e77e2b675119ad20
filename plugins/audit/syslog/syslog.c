/* SPDX-License-Identifier: Apache-2.0 */

/* audit/syslog: audit records as messages of RFC 5424, over UDP, TCP or TLS. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/audit/remote/deadline.h"
#include "plugins/audit/remote/path.h"
#include "plugins/audit/remote/text.h"
#include "plugins/audit/syslog/syslog_priv.h"

/* What fits into one datagram of IPv6 or IPv4. */
#define DATAGRAM_MAX 65507

static const char *const transports[] = { "udp", "tcp", "tls", NULL };

/* RFC 5424 table 1, by number. */
static const char *const facilities[] = {
	"kern",	  "user",   "mail",   "daemon",	  "auth",   "syslog", "lpr",
	"news",	  "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",
	"alert",  "clock",  "local0", "local1",	  "local2", "local3", "local4",
	"local5", "local6", "local7", NULL
};

static const struct atom_option syslog_options[] = {
	ATOM_OPTION_STRING(struct syslog_options, server, "", ATOM_REQUIRED,
			   "the receiver: a host name or an address"),
	ATOM_OPTION_INT(struct syslog_options, port, "0", 0, 65535, 0,
			"0: 514, with tls 6514"),
	ATOM_OPTION_CHOICE(struct syslog_options, transport, "tls", transports,
			   0,
			   "udp (RFC 5426), tcp with octet counting "
			   "(RFC 6587) or tls (RFC 5425)"),
	ATOM_OPTION_CHOICE(struct syslog_options, facility, "audit", facilities,
			   0, "of every message"),
	ATOM_OPTION_STRING(struct syslog_options, hostname, "", 0,
			   "this machine's name in every message; empty: the "
			   "system's"),
	ATOM_OPTION_STRING(struct syslog_options, app_name, "atomd", 0,
			   "this program's name in every message"),
	ATOM_OPTION_STRING(struct syslog_options, structured_id, "atomd@32473",
			   0,
			   "name of the structured data; 32473 is the number "
			   "for examples, put your enterprise's there"),
	ATOM_OPTION_BOOL(struct syslog_options, byte_order_mark, "true", 0,
			 "begin a text that is not plain ASCII with the mark "
			 "of RFC 5424"),
	ATOM_OPTION_SIZE(struct syslog_options, message_max, "8K", 2048,
			 1048576, 0,
			 "longest message; a longer one loses its end and "
			 "says how long it was"),
	ATOM_OPTION_SIZE(struct syslog_options, buffer_size, "1M", 65536,
			 1073741824, 0,
			 "messages that may be on their way at once"),
	ATOM_OPTION_DURATION(struct syslog_options, timeout, "4s", 10, 300000,
			     0, "longest wait for the receiver at a time"),
	ATOM_OPTION_DURATION(struct syslog_options, retry_max, "5s", 100,
			     3600000, 0,
			     "longest pause between tries to connect"),
	ATOM_OPTION_STRING(struct syslog_options, ca_file, "", 0,
			   "authorities that may sign the receiver's "
			   "certificate; empty: the system's"),
	ATOM_OPTION_STRING(struct syslog_options, certificate, "", 0,
			   "our own certificate, when the receiver asks for "
			   "one: PEM, with the chain"),
	ATOM_OPTION_STRING(struct syslog_options, key, "", 0,
			   "its private key; empty: in the same file"),
	ATOM_OPTION_STRING(struct syslog_options, server_name, "", 0,
			   "name that the receiver's certificate must have; "
			   "empty: `server`"),
	ATOM_OPTION_BOOL(struct syslog_options, verify, "true", 0,
			 "verify the receiver's certificate"),
	ATOM_OPTION_BOOL(struct syslog_options, accept_loss, "false", 0,
			 "call records durable that the receiver's TCP has "
			 "taken, though syslog acknowledges nothing"),
};

/* --- life ------------------------------------------------------------------ */

static atom_status check_options(const struct syslog_options *options,
				 struct atom_error *err)
{
	if (*options->server == '\0')
		return atom_fail(err, ATOM_EINVAL, "option `server` is empty");
	if (!message_is_sd_name(options->structured_id))
		return atom_fail(err, ATOM_EINVAL,
				 "option `structured_id`: expected 1 to 32 "
				 "printable characters without blanks, '=', "
				 "']' and '\"' (RFC 5424), found \"%s\"",
				 options->structured_id);
	if (options->transport == TRANSPORT_UDP &&
	    options->message_max > DATAGRAM_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "option `message_max`: a datagram holds at "
				 "most %d bytes; use tcp or tls",
				 DATAGRAM_MAX);
	if (options->buffer_size < 2 * options->message_max)
		return atom_fail(
			err, ATOM_EINVAL,
			"option `buffer_size`: expected at least twice "
			"message_max");
	return ATOM_OK;
}

static void set_origin(struct message_origin *origin,
		       const struct syslog_options *options)
{
	char name[MESSAGE_HOSTNAME_MAX + 1] = "";

	if (*options->hostname == '\0' && gethostname(name, sizeof(name)) != 0)
		name[0] = '\0';
	name[sizeof(name) - 1] = '\0';
	*origin = (struct message_origin){
		.facility = options->facility,
		.mark = options->byte_order_mark,
		.size_max = (size_t)options->message_max,
	};
	message_field(origin->hostname, MESSAGE_HOSTNAME_MAX,
		      *options->hostname ? options->hostname : name);
	message_field(origin->app_name, MESSAGE_APP_NAME_MAX,
		      options->app_name);
	(void)snprintf(origin->procid, sizeof(origin->procid), "%ld",
		       (long)getpid());
	(void)snprintf(origin->sd_id, sizeof(origin->sd_id), "%s",
		       options->structured_id);
}

static atom_status open_tls(struct syslog_sink *sink,
			    const struct atom_host *host,
			    struct atom_error *err)
{
	const struct syslog_options *options = sink->options;
	char *ca = absolute_path(host, options->ca_file);
	char *certificate = absolute_path(host, options->certificate);
	char *key = absolute_path(host, options->key);
	atom_status status;

	if (ca == NULL || certificate == NULL || key == NULL)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	else
		status = tls_context_new(
			&(struct tls_settings){
				.ca_file = ca,
				.certificate = certificate,
				.key = key,
				.server_name = *options->server_name
						       ? options->server_name
						       : options->server,
				.verify = options->verify,
			},
			&sink->tls, err);
	free(ca);
	free(certificate);
	free(key);
	return status;
}

static void free_sink(struct syslog_sink *sink)
{
	delivery_close(sink);
	outbox_fini(&sink->outbox);
	resolver_fini(&sink->resolver);
	tls_context_free(&sink->tls);
	free(sink->scratch);
	free(sink);
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct syslog_sink *sink = calloc(1, sizeof(*sink));
	char target[256];
	atom_status status;

	if (sink == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	sink->options = options;
	sink->datagram_fd = -1;
	stream_init(&sink->stream);
	backoff_init(&sink->backoff, 100, sink->options->retry_max);
	outbox_init(&sink->outbox, (size_t)sink->options->buffer_size);
	set_origin(&sink->origin, sink->options);
	status = check_options(sink->options, err);
	if (status != ATOM_OK)
		goto out;
	sink->scratch = malloc((size_t)sink->options->message_max);
	if (sink->scratch == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
		goto out;
	}
	if (sink->options->transport == TRANSPORT_TLS)
		status = open_tls(sink, host, err);
	if (status != ATOM_OK)
		goto out;
	(void)snprintf(target, sizeof(target), "%s:%s",
		       transports[sink->options->transport],
		       sink->options->server);
	status = report_init(&sink->report, host, target, err);
	if (status == ATOM_OK)
		*self_r = sink;
out:
	if (status != ATOM_OK)
		free_sink(sink);
	return status;
}

static int64_t deadline_of(const struct syslog_sink *sink)
{
	return monotonic_ms() + sink->options->timeout;
}

static void destroy(void *self)
{
	struct syslog_sink *sink = self;

	if (sink->outbox.bytes > 0)
		(void)delivery_run(sink, true, deadline_of(sink), NULL);
	if (sink->outbox.count > 0) {
		report_add(&sink->report, REPORT_DROPPED, sink->outbox.count);
		report_log(&sink->report, ATOM_LOG_WARN,
			   "audit_messages_dropped",
			   "stopped before the receiver had taken all",
			   "messages", (int64_t)sink->outbox.count);
	}
	report_waiting(&sink->report, 0);
	report_fini(&sink->report);
	free_sink(sink);
}

/* --- records --------------------------------------------------------------- */

/* Into the outbox, once there is room. */
static atom_status enqueue(struct syslog_sink *sink,
			   const struct message *message, int64_t deadline,
			   struct atom_error *err)
{
	char prefix[16] = "";
	bool cut;
	size_t length =
		message_format(&sink->origin, message, sink->scratch, &cut);
	atom_status status;

	/* Octet counting of RFC 6587 3.4.1 and RFC 5425 4.3. */
	if (sink->options->transport != TRANSPORT_UDP)
		(void)snprintf(prefix, sizeof(prefix), "%zu ", length);
	status = delivery_make_room(sink, strlen(prefix) + length, deadline,
				    err);
	if (status != ATOM_OK)
		return status;
	if (!outbox_append(&sink->outbox, prefix, strlen(prefix), sink->scratch,
			   length))
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	return ATOM_OK;
}

/* A record that was taken before, from a call that failed after it, is not
 * taken again. */
static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct syslog_sink *sink = self;
	int64_t deadline = deadline_of(sink);

	for (size_t i = 0; i < count; i++) {
		const struct atom_audit_record *record =
			(const void *)((const char *)records + i * stride);
		const struct message message = {
			.severity = record->severity,
			.time_ms = record->time_ms,
			.sequence = record->sequence,
			.hash = record->hash,
			.msgid = record->event_type,
			.category = record->category,
			.text = record->json,
		};
		atom_status status;

		if (record->sequence <= sink->taken)
			continue;
		status = enqueue(sink, &message, deadline, err);
		if (status != ATOM_OK)
			return status;
		sink->taken = record->sequence;
	}
	/* All are taken; what goes wrong from here is told by the report, and
	 * by `sync`. */
	(void)delivery_run(sink, false, deadline, NULL);
	report_waiting(&sink->report, sink->outbox.bytes);
	return ATOM_OK;
}

static atom_status sync_records(void *self, struct atom_error *err)
{
	struct syslog_sink *sink = self;
	atom_status status = delivery_run(sink, true, deadline_of(sink), err);

	if (status != ATOM_OK || sink->options->accept_loss)
		return status;
	return atom_fail(err, ATOM_ENOTSUP,
			 "audit/syslog: a syslog receiver acknowledges "
			 "nothing; set accept_loss = true if what was sent "
			 "may count as kept");
}

static atom_status checkpoint(void *self,
			      const struct atom_audit_checkpoint *head,
			      struct atom_error *err)
{
	struct syslog_sink *sink = self;
	int64_t deadline = deadline_of(sink);
	struct message message = {
		.severity = ATOM_LOG_INFO,
		.time_ms = head->time_ms,
		.sequence = head->sequence,
		.hash = head->hash,
		.msgid = "checkpoint",
	};
	char *text = malloc(JSON_STRING_MAX(head->note.length));
	atom_status status;

	if (text == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	message.text.bytes = text;
	message.text.length = json_ascii(text, &head->note);
	status = enqueue(sink, &message, deadline, err);
	free(text);
	if (status != ATOM_OK)
		return status;
	return delivery_run(sink, true, deadline, err);
}

static const struct atom_audit_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.write = write_records,
	.sync = sync_records,
	.checkpoint = checkpoint,
};

ATOM_PLUGIN("syslog", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_AUDIT, "syslog",
			   "audit records to a syslog receiver (RFC 5424)",
			   &ops, syslog_options, struct syslog_options));
