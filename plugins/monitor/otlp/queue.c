/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/otlp/queue.h"

#include <stdlib.h>

atom_status queue_init(struct queue *queue, const struct queue_options *options,
		       struct atom_error *err)
{
	*queue = (struct queue){ .options = *options };
	if (options->max_export_batch_size > options->max_queue_size)
		return atom_fail(err, ATOM_EINVAL,
				 "option `max_export_batch_size`: expected at "
				 "most `max_queue_size`, which is %zu, found "
				 "%zu",
				 options->max_queue_size,
				 options->max_export_batch_size);
	queue->items = calloc(options->max_queue_size, sizeof(*queue->items));
	return queue->items != NULL
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM, "out of memory");
}

static json_t *take_first(struct queue *queue)
{
	json_t *item = queue->items[queue->first];

	queue->first = (queue->first + 1) % queue->options.max_queue_size;
	queue->count--;
	return item;
}

void queue_fini(struct queue *queue)
{
	while (queue->count > 0)
		json_decref(take_first(queue));
	free((void *)queue->items);
	queue->items = NULL;
}

size_t queue_room(const struct queue *queue)
{
	return queue->options.max_queue_size - queue->count;
}

void queue_add(struct queue *queue, json_t *items, int64_t now_ms)
{
	const size_t max = queue->options.max_queue_size;
	size_t i;
	json_t *item;

	if (queue->count == 0)
		queue->since_ms = now_ms;
	json_array_foreach(items, i, item)
	{
		if (queue->count == max)
			queue->dropped++;
		else
			queue->items[(queue->first + queue->count++) % max] =
				json_incref(item);
	}
	json_decref(items);
}

bool queue_due(const struct queue *queue, int64_t now_ms)
{
	return queue->count >= queue->options.max_export_batch_size ||
	       (queue->count > 0 &&
		now_ms - queue->since_ms >= queue->options.schedule_delay_ms);
}

json_t *queue_take(struct queue *queue, int64_t now_ms)
{
	json_t *batch = queue->count > 0 ? json_array() : NULL;

	for (size_t i = 0; batch != NULL && queue->count > 0 &&
			   i < queue->options.max_export_batch_size;
	     i++)
		if (json_array_append_new(batch, take_first(queue)) != 0)
			queue->lost++;
	queue->since_ms = now_ms;
	return batch;
}

size_t queue_take_dropped(struct queue *queue)
{
	const size_t dropped = queue->dropped;

	queue->dropped = 0;
	return dropped;
}

void queue_lose(struct queue *queue, size_t count)
{
	queue->lost += count;
}

size_t queue_take_lost(struct queue *queue)
{
	const size_t lost = queue->lost;

	queue->lost = 0;
	return lost;
}
