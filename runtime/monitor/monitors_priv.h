/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_MONITORS_PRIV_H
#define MONITOR_MONITORS_PRIV_H

/* One monitor, between the list of them (monitors.c) and its work
 * (monitor_work.c). */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <atomd/monitor.h>

#include "core/buffer.h"
#include "core/loop.h"
#include "core/metric.h"
#include "plugin/registry.h"

#define MONITOR_EVENTS_MAX 256

struct told_event {
	uint64_t sequence;
	uint64_t number; /* of all events, the same for each monitor */
	int64_t time_ms;
	int32_t severity;
	char *name;
	char *agent;
	struct buffer json;
};

struct monitor {
	struct monitor *next;
	struct configured *configured; /* NULL once it is to end */
	uint64_t declared;	       /* hash of what it was made of */
	bool seen;		       /* [control] a reload wants it */
	const struct atom_host *host;
	void *self;
	const struct atom_monitor_ops *ops;
	struct message kick;
	struct work work;
	bool busy; /* [control] the work is under way */
	metric_id dropped;
	_Atomic uint64_t heard; /* the number of the last event */
	pthread_mutex_t lock;
	/* under it */
	struct told_event events[MONITOR_EVENTS_MAX];
	size_t first, count;
	uint64_t sequence;
	bool kicked;
	bool metrics_due;
};

/* Takes over `monitor`, what it was not told yet, and its component. */
void monitor_free(struct monitor *monitor);
/* Queues the event, or counts it as dropped. [any] */
void monitor_queue(struct monitor *monitor, uint64_t number, const char *name,
		   const char *agent, const struct atom_span *json);
/* What is due goes to the pool, unless work of its is there. [control] */
void monitor_begin_work(struct monitor *monitor);
/* The message that says that something is due. [control] */
void monitor_on_kick(struct loop *loop, struct message *message);

/* monitors.c: frees one that has ended, when neither its work nor its message
 * is under way. [control] */
void monitors_reap(struct monitor *monitor);

#endif
