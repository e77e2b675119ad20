/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit_priv.h"
#include "core/memory.h"

static double ring_depth(void *argument)
{
	(void)argument;
	return (double)atomic_load(&audit.waiting);
}

atom_status audit_metrics(struct atom_error *err)
{
	static const char *const by_result[] = { "sink", "result", NULL };
	static const char *const by_sink[] = { "sink", NULL };
	/* A sync takes from some 10 us (a fast disk that lies) on. */
	static const double bounds[] = { 0.0001, 0.0003, 0.001, 0.003,
					 0.01,	 0.03,	 0.1,	0.3,
					 1,	 3,	 10 };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_audit_records_total",
		  .help = "Audit records by sink and what became of them.",
		  .labels = by_result,
		  .family_r = &audit.records_family },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_audit_sink_behind_records",
		  .help = "Records that the sink does not have yet.",
		  .labels = by_sink,
		  .family_r = &audit.depth_family },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_audit_sync_seconds",
		  .help = "How long the sink took to make a batch durable.",
		  .unit = "seconds",
		  .labels = by_sink,
		  .bounds = bounds,
		  .bound_count = ARRAY_SIZE(bounds),
		  .family_r = &audit.sync_family },
	};
	atom_status status;

	if (audit.has_metrics)
		return ATOM_OK;
	status = metric_declare_all(rows, ARRAY_SIZE(rows), err);
	if (status == ATOM_OK)
		status = metric_gauge_callback(
			"atomd_audit_queue_depth",
			"Audit records that wait for the sequencer.",
			ring_depth, NULL);
	if (status != ATOM_OK)
		return status;
	audit.checkpoints = metric_single(ATOM_METRIC_COUNTER,
					  "atomd_audit_checkpoints_total",
					  "Signed heads of the audit log.");
	audit.gap_count = metric_single(
		ATOM_METRIC_COUNTER, "atomd_audit_gaps_total",
		"Audit records of calls that were not kept: the ring was full.");
	audit.last_sequence =
		metric_single(ATOM_METRIC_GAUGE, "atomd_audit_last_sequence",
			      "Number of the last durable audit record.");
	audit.has_metrics = true;
	return ATOM_OK;
}

void audit_metrics_of(struct audit_sink *sink)
{
	const struct {
		const char *result;
		metric_id *id;
	} rows[] = {
		{ "written", &sink->written },
		{ "taken", &sink->taken },
		{ "failed", &sink->failed },
		{ "dropped", &sink->dropped },
	};
	const char *labels[] = { sink->name, NULL };

	sink->depth = metric_series(audit.depth_family, labels);
	sink->sync_seconds = metric_series(audit.sync_family, labels);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		labels[1] = rows[i].result;
		*rows[i].id = metric_series(audit.records_family, labels);
	}
}
