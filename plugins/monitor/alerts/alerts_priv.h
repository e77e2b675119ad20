/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_PRIV_H
#define ALERTS_PRIV_H

/*
 * The component monitor/alerts.
 *
 *	[pool]     metrics(): each interval the rules are evaluated over the
 *	           history and the alerts take their states; who has to hear
 *	           of it gets a message into its queue
 *	[control]  a timer, once a second: queues are sent, states are stored
 *
 * What lies between the two is under `lock`: the states' text to store, the
 * states that a restart found, and the queues' own locks.
 */

#include <pthread.h>
#include <stdatomic.h>

#include <atomd/monitor.h>

#include "plugins/monitor/alerts/files.h"
#include "plugins/monitor/alerts/receiver.h"
#include "plugins/monitor/alerts/source.h"

struct alerts_options {
	struct atom_strings rules;
	int64_t interval;
	int64_t repeat;
	struct atom_groups receivers; /* struct receiver_options */
};

struct monitor {
	const struct atom_host *host;
	const struct alerts_options *options;
	const struct atom_log *log;
	const struct atom_metric *metric;
	const struct atom_monitor_host *monitors; /* or NULL */
	const struct atom_timer *timers;
	const struct atom_state *store; /* or NULL: not kept */
	struct history_source source;
	struct receiver *receivers;
	size_t receiver_count;
	struct atom_timer_handle *timer;
	uint32_t failures, evaluations; /* series */

	/* [pool] */
	struct rules rules;
	uint64_t stamp;
	struct alerts alerts;
	int64_t evaluated_ms;
	int64_t sent_all_ms; /* to Alertmanagers */
	bool restored;
	bool not_made; /* the last messages, for want of memory */

	pthread_mutex_t lock;
	char *found;   /* states of before the restart, until taken */
	char *to_keep; /* states that are to be stored */
	bool asked;    /* what was found is known */
	/* [control] */
	bool storing;
	bool not_kept; /* the last states could not be stored */
};

/* tell.c [pool]: log, daemon and receivers hear of what has changed. */
void tell(struct monitor *monitor, int64_t time_ms);

#endif
