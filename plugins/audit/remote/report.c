/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/remote/report.h"

#include <stdio.h>

#include "plugins/audit/remote/deadline.h"

static const char *const label_names[] = { "target", NULL };

static const struct atom_metric_spec specs[] = {
	[REPORT_SENT] = {
		.struct_size = sizeof(struct atom_metric_spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_audit_remote_sent_total",
		.help = "Audit records and checkpoints handed to a remote "
			"receiver.",
		.unit = "",
		.label_names = label_names,
	},
	[REPORT_FAILED] = {
		.struct_size = sizeof(struct atom_metric_spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_audit_remote_failures_total",
		.help = "Tries to reach a remote receiver of audit records "
			"that failed.",
		.unit = "",
		.label_names = label_names,
	},
	[REPORT_DROPPED] = {
		.struct_size = sizeof(struct atom_metric_spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_audit_remote_dropped_total",
		.help = "Audit records and checkpoints that a remote receiver "
			"will not get.",
		.unit = "",
		.label_names = label_names,
	},
	[REPORT_SPILLED] = {
		.struct_size = sizeof(struct atom_metric_spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_audit_remote_spilled_total",
		.help = "Audit records and checkpoints put on disk because "
			"their remote receiver was away.",
		.unit = "",
		.label_names = label_names,
	},
};

static const struct atom_metric_spec waiting_spec = {
	.struct_size = sizeof(struct atom_metric_spec),
	.type = ATOM_METRIC_GAUGE,
	.name = "atomd_audit_remote_waiting_bytes",
	.help = "Bytes of audit records that wait for a remote receiver.",
	.unit = "bytes",
	.label_names = label_names,
};

static atom_status series_of(struct report *report,
			     const struct atom_metric_spec *spec,
			     uint32_t *series_r, struct atom_error *err)
{
	const char *const values[] = { report->target, NULL };
	uint32_t family;
	atom_status status =
		report->metric->declare(report->host, spec, &family, err);

	if (status != ATOM_OK)
		return status;
	return report->metric->series(report->host, family, values, series_r,
				      err);
}

atom_status report_init(struct report *report, const struct atom_host *host,
			const char *target, struct atom_error *err)
{
	atom_status status = ATOM_OK;

	*report = (struct report){
		.host = host,
		.log = atom_service(host, ATOM_LOG),
		.metric = atom_service(host, ATOM_METRIC),
	};
	(void)snprintf(report->target, sizeof(report->target), "%s", target);
	for (int i = 0; report->metric != NULL && i < REPORT_COUNTS; i++) {
		status = series_of(report, &specs[i], &report->series[i], err);
		if (status != ATOM_OK)
			return status;
	}
	if (report->metric != NULL)
		status =
			series_of(report, &waiting_spec, &report->waiting, err);
	if (status == ATOM_OK && pthread_mutex_init(&report->lock, NULL) != 0)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	return status;
}

void report_fini(struct report *report)
{
	(void)pthread_mutex_destroy(&report->lock);
}

void report_log(struct report *report, int32_t level, const char *event,
		const char *message, const char *number_name, int64_t number)
{
	const struct atom_log_field fields[] = {
		{ "target", report->target, 0 },
		{ number_name, NULL, number },
	};

	if (report->log != NULL)
		report->log->write(report->host, level, event, message, fields,
				   2);
}

void report_failed(struct report *report, const struct atom_error *error)
{
	bool first;

	(void)pthread_mutex_lock(&report->lock);
	first = !report->failing;
	if (first) {
		report->failing = true;
		report->failing_since = monotonic_ms();
		report->failures = 0;
	}
	report->failures++;
	(void)pthread_mutex_unlock(&report->lock);
	report_add(report, REPORT_FAILED, 1);
	if (first)
		report_log(report, ATOM_LOG_WARN, "audit_receiver_lost",
			   error->message, "retry_after_ms",
			   error->retry_after_ms);
}

void report_succeeded(struct report *report)
{
	char message[96];
	int64_t since = 0;
	uint64_t failures;
	bool over;

	(void)pthread_mutex_lock(&report->lock);
	over = report->failing;
	failures = report->failures;
	since = report->failing_since;
	report->failing = false;
	(void)pthread_mutex_unlock(&report->lock);
	if (!over)
		return;
	(void)snprintf(message, sizeof(message),
		       "the receiver is back after %llu failed tries",
		       (unsigned long long)failures);
	report_log(report, ATOM_LOG_INFO, "audit_receiver_back", message,
		   "away_ms", monotonic_ms() - since);
}

void report_add(struct report *report, enum report_count what, uint64_t records)
{
	if (report->metric != NULL && records > 0)
		report->metric->update(report->host, report->series[what],
				       (double)records);
}

void report_waiting(struct report *report, uint64_t bytes)
{
	if (report->metric != NULL)
		report->metric->update(report->host, report->waiting,
				       (double)bytes);
}
