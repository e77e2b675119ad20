/* SPDX-License-Identifier: Apache-2.0 */
#include "state/state_priv.h"

static metric_id commits[STATE_RESULT_COUNT];
static metric_id commit_seconds;
static metric_id queue_depth;
static metric_id behind_bytes;
static metric_id behind_refused;
static metric_id up_gauge;
static metric_id damaged_records;
static metric_id rewrap_left;

static void declare_commits(void)
{
	static const char *const words[STATE_RESULT_COUNT] = {
		[STATE_RESULT_OK] = "ok",
		[STATE_RESULT_CONFLICT] = "conflict",
		[STATE_RESULT_REFUSED] = "refused",
		[STATE_RESULT_FAILED] = "failed",
	};
	static const char *const labels[] = { "result", NULL };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_state_commits_total",
		.help = "Transactions of the state store by their end.",
		.unit = "",
		.label_names = labels,
	};
	uint32_t family;

	if (metric_declare(&spec, &family, NULL) != ATOM_OK)
		return;
	for (size_t i = 0; i < STATE_RESULT_COUNT; i++) {
		const char *const values[] = { words[i], NULL };

		commits[i] = metric_series(family, values);
	}
}

static void declare_seconds(void)
{
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_HISTOGRAM,
		.name = "atomd_state_commit_seconds",
		.help = "From asking for a commit to its being durable.",
		.unit = "seconds",
		.bounds = metric_duration_bounds,
		.bound_count = metric_duration_bound_count,
	};
	uint32_t family;

	if (metric_declare(&spec, &family, NULL) == ATOM_OK)
		commit_seconds = metric_series(family, NULL);
}

/* What cannot be declared stays series 0, whose updates go nowhere. */
void metrics_declare(void)
{
	declare_commits();
	declare_seconds();
	queue_depth =
		metric_single(ATOM_METRIC_GAUGE, "atomd_state_queue_depth",
			      "Transactions that wait for the store.");
	behind_bytes = metric_single(
		ATOM_METRIC_GAUGE, "atomd_state_write_behind_bytes",
		"Bytes written behind that are not stored yet.");
	behind_refused = metric_single(
		ATOM_METRIC_COUNTER, "atomd_state_write_behind_refused_total",
		"Values not taken because too many bytes waited.");
	up_gauge = metric_single(ATOM_METRIC_GAUGE, "atomd_state_up",
				 "1 while the state store works.");
	damaged_records = metric_single(
		ATOM_METRIC_COUNTER, "atomd_state_damaged_records_total",
		"Reads of records that do not open: changed, or of a key that "
		"is gone.");
	rewrap_left = metric_single(
		ATOM_METRIC_GAUGE, "atomd_state_rewrap_left",
		"Records still to be moved to the current data key.");
}

void metrics_count(enum state_result result)
{
	metric_inc(commits[result]);
}

void metrics_observe(int64_t nanoseconds)
{
	metric_observe(commit_seconds, (double)nanoseconds / 1e9);
}

void metrics_up(bool up)
{
	metric_set(up_gauge, up ? 1 : 0);
}

void metrics_queue(size_t depth)
{
	metric_set(queue_depth, (double)depth);
}

void metrics_behind(size_t bytes)
{
	metric_set(behind_bytes, (double)bytes);
}

void metrics_behind_refused(void)
{
	metric_inc(behind_refused);
}

void metrics_damaged(void)
{
	metric_inc(damaged_records);
}

void metrics_rewrap_left(uint64_t left)
{
	metric_set(rewrap_left, (double)left);
}
