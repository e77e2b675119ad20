/* SPDX-License-Identifier: Apache-2.0 */

/* audit/journal: audit records as entries of the systemd journal, in its
 * native protocol. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <atomd/audit.h>

#include "plugins/audit/journal/fields.h"
#include "plugins/audit/journal/socket.h"
#include "plugins/audit/remote/backoff.h"
#include "plugins/audit/remote/deadline.h"
#include "plugins/audit/remote/report.h"

struct journal_options {
	const char *socket;
	const char *identifier;
	int64_t timeout;
	int64_t retry_max;
	int32_t synchronize;
	const char *control_socket;
	int32_t accept_loss;
};

static const struct atom_option journal_options[] = {
	ATOM_OPTION_STRING(struct journal_options, socket,
			   "/run/systemd/journal/socket", 0,
			   "journald's socket"),
	ATOM_OPTION_STRING(struct journal_options, identifier, "atomd", 0,
			   "SYSLOG_IDENTIFIER of every entry"),
	ATOM_OPTION_DURATION(struct journal_options, timeout, "4s", 10, 300000,
			     0, "longest wait for journald at a time"),
	ATOM_OPTION_DURATION(struct journal_options, retry_max, "5s", 10,
			     3600000, 0,
			     "longest pause between tries when it is away"),
	ATOM_OPTION_BOOL(struct journal_options, synchronize, "false", 0,
			 "at `sync` have journald write and sync its files; "
			 "root alone may ask for that"),
	ATOM_OPTION_STRING(struct journal_options, control_socket,
			   "/run/systemd/journal/io.systemd.journal", 0,
			   "where it is asked"),
	ATOM_OPTION_BOOL(struct journal_options, accept_loss, "false", 0,
			 "call records durable that journald has taken, "
			 "though it may drop what is too much for it"),
};

struct journal {
	const struct journal_options *options;
	struct report report;
	struct backoff backoff;
	struct fields fields;
	int fd;		/* -1: not connected */
	uint64_t taken; /* the last sequence of this run */
};

/* --- sending --------------------------------------------------------------- */

static void disconnect(struct journal *journal)
{
	if (journal->fd >= 0)
		(void)close(journal->fd);
	journal->fd = -1;
}

static atom_status try_to_send(struct journal *journal, int64_t deadline,
			       struct atom_error *err)
{
	if (journal->fd < 0)
		journal->fd = journal_connect(journal->options->socket, err);
	if (journal->fd < 0)
		return ATOM_EIO;
	return journal_send(journal->fd, journal->fields.bytes,
			    journal->fields.length, deadline, err);
}

static atom_status fail_at(struct journal *journal, atom_status status,
			   const struct atom_error *why, struct atom_error *err)
{
	struct atom_error error = ATOM_ERROR_INIT;

	(void)atom_fail(&error, status, "journal: %s", why->message);
	error.retry_after_ms = backoff_left(&journal->backoff);
	report_failed(&journal->report, &error);
	if (err != NULL)
		*err = error;
	return status;
}

/* Sends what is in `fields`. */
static atom_status send_fields(struct journal *journal, int64_t deadline,
			       struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	int32_t left = backoff_left(&journal->backoff);
	bool old = journal->fd >= 0;
	atom_status status;

	if (journal->fields.failed)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (left > 0) {
		status = atom_fail(err, ATOM_EIO,
				   "journald is away; it is tried again in "
				   "%d ms",
				   left);
		if (err != NULL)
			err->retry_after_ms = left;
		return status;
	}
	status = try_to_send(journal, deadline, &why);
	if (status == ATOM_EIO && old) {
		/* journald was started again: its socket is a new one. */
		disconnect(journal);
		status = try_to_send(journal, deadline, &why);
	}
	if (status == ATOM_OK) {
		backoff_succeeded(&journal->backoff);
		report_succeeded(&journal->report);
		report_add(&journal->report, REPORT_SENT, 1);
		return ATOM_OK;
	}
	if (status == ATOM_EIO) {
		disconnect(journal);
		backoff_failed(&journal->backoff, 0);
	}
	return fail_at(journal, status, &why, err);
}

/* --- the component --------------------------------------------------------- */

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	atom_status status;

	if (journal == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	journal->options = options;
	journal->fd = -1;
	backoff_init(&journal->backoff,
		     journal->options->retry_max < 100
			     ? journal->options->retry_max
			     : 100,
		     journal->options->retry_max);
	status = report_init(&journal->report, host, journal->options->socket,
			     err);
	if (status == ATOM_OK)
		*self_r = journal;
	else
		free(journal);
	return status;
}

static void destroy(void *self)
{
	struct journal *journal = self;

	disconnect(journal);
	report_fini(&journal->report);
	fields_fini(&journal->fields);
	free(journal);
}

/* A record that was taken before, from a call that failed after it, is not
 * sent again. */
static atom_status write_records(void *self, const void *records, size_t count,
				 size_t stride, struct atom_error *err)
{
	struct journal *journal = self;
	int64_t deadline = monotonic_ms() + journal->options->timeout;

	for (size_t i = 0; i < count; i++) {
		const struct atom_audit_record *record =
			(const void *)((const char *)records + i * stride);
		atom_status status;

		if (record->sequence <= journal->taken)
			continue;
		fields_of_record(&journal->fields, journal->options->identifier,
				 record);
		status = send_fields(journal, deadline, err);
		if (status != ATOM_OK)
			return status;
		journal->taken = record->sequence;
	}
	return ATOM_OK;
}

static atom_status sync_records(void *self, struct atom_error *err)
{
	struct journal *journal = self;

	if (journal->options->synchronize) {
		struct atom_error why = ATOM_ERROR_INIT;
		atom_status status = journal_synchronize(
			journal->options->control_socket,
			monotonic_ms() + journal->options->timeout, &why);

		if (status != ATOM_OK)
			return fail_at(journal, status, &why, err);
		report_succeeded(&journal->report);
	}
	if (journal->options->accept_loss)
		return ATOM_OK;
	return atom_fail(err, ATOM_ENOTSUP,
			 "audit/journal: journald acknowledges no entry and "
			 "drops what is too much for it; set accept_loss = "
			 "true if what it has taken may count as kept");
}

static atom_status checkpoint(void *self,
			      const struct atom_audit_checkpoint *head,
			      struct atom_error *err)
{
	struct journal *journal = self;

	fields_of_checkpoint(&journal->fields, journal->options->identifier,
			     head);
	return send_fields(journal, monotonic_ms() + journal->options->timeout,
			   err);
}

static const struct atom_audit_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.write = write_records,
	.sync = sync_records,
	.checkpoint = checkpoint,
};

ATOM_PLUGIN("journal", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_AUDIT, "journal",
			   "audit records into the systemd journal", &ops,
			   journal_options, struct journal_options));
