/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/probe.h"

#include <string.h>

#include "core/memory.h"
#include "core/table.h"
#include "plugin/probe_priv.h"

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

/* A plugin may have ended the helper that the others had with it. */
static void ask_alone(struct probe_job *job, struct probe_told *told)
{
	mem_free(TAKE(job->refusal));
	(void)probe_helper_run(&job, 1, told);
}

void probe_run(struct probe_job *jobs, size_t count)
{
	struct probe_job *asked[PROBE_FILES_MAX];
	struct probe_told told[PROBE_FILES_MAX] = { 0 };
	size_t asked_count = 0;

	for (size_t i = 0; i < count; i++)
		if (!recall(&jobs[i]))
			asked[asked_count++] = &jobs[i];
	if (asked_count > 0 && !probe_helper_run(asked, asked_count, told) &&
	    asked_count > 1)
		for (size_t i = 0; i < asked_count; i++)
			if (!told[i].heard)
				ask_alone(asked[i], &told[i]);
	for (size_t i = 0; i < asked_count; i++)
		if (told[i].lasting)
			remember(asked[i]);
}
