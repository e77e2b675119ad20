/* SPDX-License-Identifier: Apache-2.0 */

/* Every series as numbers, and those that need no family. */

#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric_priv.h"

/* --- what needs no family ------------------------------------------------ */

size_t metric_read_plain(struct metric_plain all[METRIC_PLAIN_MAX])
{
	struct process_numbers p;
	size_t count = 0;

	metric_read_process(&p);

	const int64_t since_ms =
		p.start_time_seconds > 0
			? (int64_t)(p.start_time_seconds * 1000)
			: 0;

	/* The process's names are those of every official Prometheus
	 * client. */
	const struct metric_plain rows[METRIC_PLAIN_MAX] = {
		{ ATOM_METRIC_COUNTER, "atomd_log_dropped_total",
		  "Log lines that could not be written at once.", "",
		  (double)log_dropped(), since_ms },
		{ ATOM_METRIC_COUNTER, "atomd_metric_series_dropped_total",
		  "Requests for a series that there was no room for.", "",
		  (double)metric_series_dropped(), since_ms },
		{ ATOM_METRIC_COUNTER, "process_cpu_seconds_total",
		  "User and system CPU time spent in seconds.", "seconds",
		  p.cpu_seconds, since_ms },
		{ ATOM_METRIC_GAUGE, "process_start_time_seconds",
		  "Start of the process since the epoch in seconds.", "seconds",
		  p.start_time_seconds, 0 },
		{ ATOM_METRIC_GAUGE, "process_resident_memory_bytes",
		  "Resident memory in bytes.", "bytes", p.resident_bytes, 0 },
		{ ATOM_METRIC_GAUGE, "process_virtual_memory_bytes",
		  "Virtual memory in bytes.", "bytes", p.virtual_bytes, 0 },
		{ ATOM_METRIC_GAUGE, "process_virtual_memory_max_bytes",
		  "Most virtual memory in bytes that there may be.", "bytes",
		  p.virtual_max_bytes, 0 },
		{ ATOM_METRIC_GAUGE, "process_open_fds",
		  "Open file descriptors.", "", p.open_fds, 0 },
		{ ATOM_METRIC_GAUGE, "process_max_fds",
		  "Most file descriptors that may be open.", "", p.max_fds, 0 },
		{ ATOM_METRIC_GAUGE, "process_threads",
		  "Threads of the process.", "", p.threads, 0 },
	};

	/* Negative: it could not be read. */
	for (size_t i = 0; i < METRIC_PLAIN_MAX; i++)
		if (rows[i].value >= 0)
			all[count++] = rows[i];
	return count;
}

/* --- every series -------------------------------------------------------- */

double metric_read_series(const struct series *series)
{
	return series->read ? series->read(series->argument)
			    : metric_value(series->id);
}

typedef void (*visit_function)(void *argument, const struct metric_view *view);

static void visit_series(const struct family *family,
			 const struct series *series, visit_function visit,
			 void *argument)
{
	double counts[METRIC_BOUNDS_MAX + 1];
	const char *values[METRIC_LABELS_MAX];
	const char *value = series->key;
	struct metric_view view = {
		.type = family->type,
		.name = family->name,
		.help = family->help,
		.since_ms = series->since_ms,
		.label_count = family->label_count,
		.label_names = (const char *const *)family->label_names,
		.label_values = values,
		.labels = series->labels,
		.value = metric_read_series(series),
	};

	for (size_t i = 0; i < family->label_count; i++) {
		values[i] = value;
		value += strlen(value) + 1;
	}
	if (family->type == ATOM_METRIC_HISTOGRAM) {
		metric_bucket_counts(series->id, counts);
		view.bound_count = family->bound_count;
		view.bounds = family->bounds;
		view.counts = counts;
	}
	visit(argument, &view);
}

void metric_visit(visit_function visit, void *argument)
{
	struct metric_plain all[METRIC_PLAIN_MAX];
	struct reading reading;
	size_t count;

	metric_reading_begin(&reading);
	for (uint32_t i = 0; metric_reading_next(&reading, i); i++)
		for (size_t j = 0; j < reading.count; j++)
			if (reading.series[j]->id || reading.series[j]->read)
				visit_series(reading.family, reading.series[j],
					     visit, argument);
	metric_reading_end(&reading);
	count = metric_read_plain(all);
	for (size_t i = 0; i < count; i++)
		visit(argument, &(struct metric_view){
					.type = all[i].type,
					.name = all[i].name,
					.help = all[i].help,
					.since_ms = all[i].since_ms,
					.labels = "",
					.value = all[i].value,
				});
}
