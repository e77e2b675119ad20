/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_REMOTE_REPORT_H
#define AUDIT_REMOTE_REPORT_H

/*
 * What a remote sink tells of itself.  A receiver that is away fails every
 * try; the log says so once when it begins and once when it is over, and the
 * counters say the rest.  [any]: the functions lock.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/host.h>
#include <atomd/plugin.h>

/* Series of a sink, all labelled by its receiver. */
enum report_count {
	REPORT_SENT,	/* records and checkpoints handed to the receiver */
	REPORT_FAILED,	/* tries that failed */
	REPORT_DROPPED, /* taken, and lost for this receiver */
	REPORT_SPILLED, /* put on disk to be sent later */
	REPORT_COUNTS
};

struct report {
	const struct atom_host *host;
	const struct atom_log *log;	  /* NULL: none */
	const struct atom_metric *metric; /* NULL: none */
	uint32_t series[REPORT_COUNTS];
	uint32_t waiting; /* gauge; see report_waiting() */
	pthread_mutex_t lock;
	bool failing;
	int64_t failing_since; /* monotonic */
	uint64_t failures;     /* of this episode */
	char target[256];
};

/* In create.  `target` names the receiver in log lines and labels: of the
 * configuration, and without secrets. */
atom_status report_init(struct report *report, const struct atom_host *host,
			const char *target, struct atom_error *err);
void report_fini(struct report *report);

/* A try failed: counted, and logged when the one before had not. */
void report_failed(struct report *report, const struct atom_error *error);
/* A try went well: logged when the one before had not. */
void report_succeeded(struct report *report);
void report_add(struct report *report, enum report_count what,
		uint64_t records);
/* Bytes that wait for the receiver now. */
void report_waiting(struct report *report, uint64_t bytes);
/* A line of its own, with the number that belongs to it. */
void report_log(struct report *report, int32_t level, const char *event,
		const char *message, const char *number_name, int64_t number);

#endif
