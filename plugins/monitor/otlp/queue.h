/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTLP_QUEUE_H
#define OTLP_QUEUE_H

/*
 * Spans or log records that wait to be sent, as the batching processors of
 * OpenTelemetry's SDK have it (specification, "Batching processor"): a batch is
 * due when it is full, or when something has waited long enough; what
 * finds the queue full is dropped.  No thread of its own: the caller asks, and
 * brings time and lock.  [any, one at a time]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

struct queue_options {
	size_t max_queue_size;
	size_t max_export_batch_size; /* at most max_queue_size */
	int64_t schedule_delay_ms;
};

struct queue {
	struct queue_options options;
	json_t **items; /* a ring of max_queue_size */
	size_t first, count;
	int64_t since_ms; /* what waits does so since then */
	size_t dropped;	  /* for queue_take_dropped() */
	size_t lost;	  /* for queue_take_lost() */
};

/* ATOM_EINVAL: a batch is larger than the queue. */
atom_status queue_init(struct queue *queue, const struct queue_options *options,
		       struct atom_error *err);
/* With all that waits; also of one that is all 0. */
void queue_fini(struct queue *queue);
size_t queue_room(const struct queue *queue);
/* Takes all items of the array, and the array, which may be NULL; those that
 * find no room are dropped. */
void queue_add(struct queue *queue, json_t *items, int64_t now_ms);
/* Is it time to send a batch? */
bool queue_due(const struct queue *queue, int64_t now_ms);
/* The oldest, as an array of the caller's; NULL: there is none, or no
 * memory. */
json_t *queue_take(struct queue *queue, int64_t now_ms);
/* How many were dropped since it was asked last. */
size_t queue_take_dropped(struct queue *queue);
/* So many there was no memory for. */
void queue_lose(struct queue *queue, size_t count);
/* How many of these since it was asked last. */
size_t queue_take_lost(struct queue *queue);

#endif
