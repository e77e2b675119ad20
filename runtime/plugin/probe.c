/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/probe.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/table.h"
#include "plugin/probe_priv.h"

#define PARALLEL_MAX   32
#define REMEMBERED_MAX 10000

/* --- answers by hash ----------------------------------------------------- */

struct remembered {
	uint8_t hash[PLUGIN_HASH];
	json_t *answer;
	char *refusal;
};

static struct table remembered = TABLE_INIT;

static void remembered_free(struct remembered *entry)
{
	if (entry->answer != NULL)
		json_decref(entry->answer);
	mem_free(entry->refusal);
	mem_free(entry);
}

/* Best effort: what is not remembered is probed again. */
static void remember(const struct probe_job *job)
{
	struct remembered *entry;
	void *old = NULL;

	if (remembered.count >= REMEMBERED_MAX)
		return;
	entry = mem_zalloc(sizeof(*entry));
	if (entry == NULL)
		return;
	memcpy(entry->hash, job->file->hash, PLUGIN_HASH);
	if (job->answer != NULL)
		entry->answer = json_incref(job->answer);
	else if (job->refusal != NULL)
		entry->refusal = mem_strdup(job->refusal);
	if ((entry->answer == NULL && entry->refusal == NULL) ||
	    table_set(&remembered, (const char *)entry->hash, PLUGIN_HASH,
		      entry, &old) != ATOM_OK)
		remembered_free(entry);
	if (old != NULL)
		remembered_free(old);
}

static bool recall(struct probe_job *job)
{
	const struct remembered *entry = table_get(
		&remembered, (const char *)job->file->hash, PLUGIN_HASH);

	if (entry == NULL)
		return false;
	if (entry->answer != NULL)
		job->answer = json_incref(entry->answer);
	else
		job->refusal = mem_strdup(entry->refusal);
	return true;
}

void probe_fini(void)
{
	struct remembered *entry;

	for (size_t at = 0; (entry = table_next(&remembered, &at)) != NULL;)
		remembered_free(entry);
	table_fini(&remembered);
	remembered = (struct table)TABLE_INIT;
}

/* --- several children at once -------------------------------------------- */

static size_t parallel(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 2)
		return 2;
	return cores > PARALLEL_MAX ? PARALLEL_MAX : (size_t)cores;
}

/* Until something happens to one of the children, or the first deadline. */
static void wait_for_news(const struct probe_child *children, size_t count,
			  bool ended[PARALLEL_MAX])
{
	struct pollfd fds[3 * PARALLEL_MAX];
	int64_t first = INT64_MAX, left_ms;

	for (size_t i = 0; i < count; i++) {
		const struct probe_child *child = &children[i];
		const int watched[3] = { child->pidfd, child->answer_fd,
					 child->said_fd };

		for (size_t j = 0; j < 3; j++)
			fds[3 * i + j] = (struct pollfd){
				.fd = child->pid != 0 ? watched[j] : -1,
				.events = POLLIN
			};
		if (child->pid != 0 && child->deadline_ns < first)
			first = child->deadline_ns;
	}
	left_ms = (first - os.monotonic_ns()) / 1000000 + 1;
	if (poll(fds, 3 * count, left_ms > 0 ? (int)left_ms : 0) < 0)
		memset(fds, 0, sizeof(fds));
	/* The pidfd, not the end of a pipe, tells of a child's end: what the
	 * plugin has started may hold the pipe. */
	for (size_t i = 0; i < count; i++)
		ended[i] = children[i].pid != 0 && fds[3 * i].revents != 0;
}

static void conclude(struct probe_child *child, int wait_status)
{
	probe_judge(child, wait_status);
	remember(child->job);
	probe_child_fini(child);
}

static void children_attend(struct probe_child *children, size_t count)
{
	bool ended[PARALLEL_MAX] = { false };
	int64_t now;

	wait_for_news(children, count, ended);
	now = os.monotonic_ns();
	for (size_t i = 0; i < count; i++) {
		struct probe_child *child = &children[i];

		if (child->pid == 0)
			continue;
		probe_child_read(child);
		if (ended[i])
			conclude(child, probe_child_reap(child));
		else if (probe_child_late(child, now))
			conclude(child, 0);
	}
}

/* The next job that is not remembered goes into a free place. */
static void fill_place(struct probe_child *child, struct probe_job *jobs,
		       size_t count, size_t *next)
{
	while (child->pid == 0 && *next < count) {
		struct probe_job *job = &jobs[(*next)++];

		if (!recall(job))
			(void)probe_child_start(child, job);
	}
}

void probe_run(struct probe_job *jobs, size_t count)
{
	struct probe_child children[PARALLEL_MAX] = { 0 };
	size_t width = parallel(), next = 0, running;

	do {
		running = 0;
		for (size_t i = 0; i < width; i++) {
			fill_place(&children[i], jobs, count, &next);
			running += children[i].pid != 0;
		}
		if (running > 0)
			children_attend(children, width);
	} while (running > 0);
}
