/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last lines, in memory, for `atomctl logs`: a ring of pointers.  The
 * mutex is held for a few stores when a line is kept and for the copy of one
 * line when it is read; memory is taken and given back outside.
 */

#include <pthread.h>
#include <string.h>

#include "core/log.h"
#include "core/log_priv.h"
#include "core/memory.h"

#define LINES_MAX 4096
#define BYTES_MAX (4 * 1024 * 1024)

struct kept {
	struct kept *next; /* of those about to be freed */
	int level;
	size_t length;
	char json[];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct kept *ring[LINES_MAX]; /* by sequence % LINES_MAX */
static uint64_t oldest = 1;	     /* sequence of the oldest in the ring */
static uint64_t newest;		     /* of the newest; 0 = none yet */
static size_t kept_bytes;

static struct kept **slot(uint64_t sequence)
{
	return &ring[sequence % LINES_MAX];
}

/* Takes the oldest out and puts it in front of `gone`. */
static struct kept *drop_oldest(struct kept *gone)
{
	struct kept *line = TAKE(*slot(oldest));

	oldest++;
	if (!line)
		return gone;
	kept_bytes -= sizeof(*line) + line->length;
	line->next = gone;
	return line;
}

static void free_all(struct kept *line)
{
	while (line) {
		struct kept *next = line->next;

		mem_free(line);
		line = next;
	}
}

void log_keep(int level, const char *json, size_t length)
{
	struct kept *line = mem_alloc(sizeof(*line) + length);
	struct kept *gone = NULL;

	if (line) {
		line->level = level;
		line->length = length;
		memcpy(line->json, json, length);
	}
	pthread_mutex_lock(&mutex);
	newest++;
	if (newest - oldest >= LINES_MAX)
		gone = drop_oldest(gone);
	/* Without memory its place stays empty: a reader sees the gap. */
	*slot(newest) = line;
	if (line)
		kept_bytes += sizeof(*line) + length;
	while (kept_bytes > BYTES_MAX)
		gone = drop_oldest(gone);
	pthread_mutex_unlock(&mutex);
	free_all(gone);
}

/* Copies the first line behind `after`; false when there is none.
 * *last_r is the newest sequence at that moment. */
static bool copy_next(uint64_t after, struct log_kept *copy, char *json,
		      uint64_t *last_r)
{
	const struct kept *line = NULL;

	pthread_mutex_lock(&mutex);
	*last_r = newest;
	for (uint64_t at = after >= oldest ? after + 1 : oldest;
	     at <= newest && !line; at++) {
		line = *slot(at);
		copy->sequence = at;
	}
	if (line) {
		memcpy(json, line->json, line->length);
		copy->level = line->level;
		copy->length = line->length;
	}
	pthread_mutex_unlock(&mutex);
	return line != NULL;
}

uint64_t log_visit(uint64_t after,
		   bool (*visit)(void *argument, const struct log_kept *line),
		   void *argument)
{
	char json[LOG_LINE_MAX + 1];
	struct log_kept copy = { .sequence = after, .json = json };
	uint64_t last;

	while (copy_next(copy.sequence, &copy, json, &last)) {
		json[copy.length] = '\0';
		if (!visit(argument, &copy))
			break;
	}
	return last;
}

void log_forget_kept(void)
{
	struct kept *gone = NULL;

	pthread_mutex_lock(&mutex);
	while (oldest <= newest)
		gone = drop_oldest(gone);
	pthread_mutex_unlock(&mutex);
	free_all(gone);
}
