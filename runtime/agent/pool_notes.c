/* SPDX-License-Identifier: Apache-2.0 */

/* What instances tell their pool, for control to look at: starts that failed,
 * and the CPU that they take. */

#include <stdio.h>

#include "agent/directory.h"
#include "agent/pool.h"
#include "core/memory.h"
#include "core/text.h"

/* On its way to control, which looks after rollouts. */
struct failed_start {
	struct message message;
	struct revision *revision; /* a reference */
	char why[160];
};

static void on_failed_start(struct loop *loop, struct message *message)
{
	struct failed_start *failed =
		CONTAINER_OF(message, struct failed_start, message);
	struct pool *pool = &failed->revision->pool;

	(void)loop;
	pool->failed_starts++;
	(void)snprintf(pool->start_error, sizeof(pool->start_error), "%s",
		       failed->why);
	revision_unref(failed->revision);
	mem_free(failed);
}

void pool_note_failed_start(struct pool *pool, const char *why)
{
	struct failed_start *failed = mem_zalloc(sizeof(*failed));

	if (failed == NULL)
		return; /* the deadline counts all the same */
	(void)snprintf(failed->why, sizeof(failed->why), "%s", why);
	text_make_printable(failed->why, sizeof(failed->why));
	revision_ref(pool->revision);
	failed->revision = pool->revision;
	failed->message.deliver = on_failed_start;
	loop_post(loop_control(), &failed->message);
}

/* Percent of one CPU since the last look; negative: it is gone. */
void pool_note_cpu(struct instance *instance, int64_t cpu_ms)
{
	struct pool *pool = instance->pool;
	int64_t now = loop_now_ms(pool->home);
	int64_t past = now - instance->cpu_at_ms, permille = -1;

	if (cpu_ms >= 0 && instance->cpu_ms >= 0 && past > 0 &&
	    cpu_ms >= instance->cpu_ms)
		permille = (cpu_ms - instance->cpu_ms) * 1000 / past;
	atomic_fetch_add(&pool->cpu_permille,
			 (permille > 0 ? permille : 0) -
				 (instance->cpu_permille > 0
					  ? instance->cpu_permille
					  : 0));
	atomic_fetch_add(&pool->cpu_known,
			 (permille >= 0) - (instance->cpu_permille >= 0));
	instance->cpu_permille = permille;
	instance->cpu_ms = cpu_ms;
	instance->cpu_at_ms = now;
}
