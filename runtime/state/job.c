/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading for who must not wait: a job on the pool per get or scan, answered
 * on the loop that asked.
 */
#include "state/state_priv.h"

#include <assert.h>

#include "core/memory.h"

struct job {
	struct work work;
	char bucket[ATOM_STORE_BUCKET_MAX + 1];
	struct atom_span key; /* or prefix; its bytes are behind the struct */
	struct atom_span after;
	bool ran;
	state_got got; /* else `scanned` */
	state_scanned scanned;
	void *argument;
	struct state_record *record;
	struct scan scan;
	atom_status status;
	struct atom_error error;
};

static void job_run(struct work *work)
{
	struct job *job = CONTAINER_OF(work, struct job, work);

	job->ran = true;
	if (job->got)
		job->status = read_record(job->bucket, job->key, &job->record,
					  &job->error);
	else
		job->status = read_many(&job->scan, job->bucket, job->key,
					job->after, &job->error);
	read_end();
}

static void job_done(struct work *work, atom_status status)
{
	struct job *job = CONTAINER_OF(work, struct job, work);
	const struct atom_error *error = NULL;

	if (!job->ran) {
		read_end();
		job->status = atom_fail(&job->error, status,
					"the daemon stops; nothing was read");
	}
	if (job->status != ATOM_OK && job->status != ATOM_ENOENT)
		error = &job->error;
	if (job->got)
		job->got(job->argument, job->status, job->record, error);
	else if (error)
		job->scanned(job->argument, job->status, NULL, 0, false, error);
	else
		job->scanned(
			job->argument, job->status,
			(const struct state_record *const *)job->scan.records,
			job->scan.count, job->scan.more, NULL);
	mem_free(job->record);
	scan_fini(&job->scan);
	mem_free(job);
}

static struct job *job_new(const char *bucket, struct atom_span key,
			   struct atom_span after, void *argument)
{
	struct job *job = mem_zalloc(sizeof(*job) + key.length + after.length);
	char *bytes = (char *)(job + 1);

	if (!job)
		return NULL;
	memcpy(job->bucket, bucket, strlen(bucket) + 1);
	if (key.length > 0)
		memcpy(bytes, key.bytes, key.length);
	if (after.length > 0)
		memcpy(bytes + key.length, after.bytes, after.length);
	job->key = (struct atom_span){ bytes, key.length };
	job->after = (struct atom_span){ bytes + key.length, after.length };
	job->argument = argument;
	job->work.run = job_run;
	job->work.done = job_done;
	return job;
}

/* Takes the job, whatever becomes of it. */
static atom_status job_submit(struct job *job, struct atom_error *err)
{
	struct loop *loop = loop_current();
	atom_status status;

	assert(loop);
	status = read_begin(err);
	if (status == ATOM_OK) {
		status = work_submit(loop, &job->work);
		if (status != ATOM_OK) {
			(void)atom_fail(err, status,
					"cannot start a read of the state "
					"store");
			read_end();
		}
	}
	if (status != ATOM_OK)
		mem_free(job);
	return status;
}

atom_status state_get(const char *bucket, struct atom_span key, state_got done,
		      void *argument, struct atom_error *err)
{
	const struct atom_span nothing = { "", 0 };
	atom_status status = transaction_check_key(bucket, key, err);
	struct job *job;

	if (status != ATOM_OK)
		return status;
	job = job_new(bucket, key, nothing, argument);
	if (!job)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a read");
	job->got = done;
	return job_submit(job, err);
}

atom_status state_scan(const char *bucket, struct atom_span prefix,
		       struct atom_span after, size_t limit, state_scanned done,
		       void *argument, struct atom_error *err)
{
	atom_status status = read_check_prefix(bucket, prefix, err);
	struct job *job;

	if (status == ATOM_OK && after.length > ATOM_STORE_KEY_MAX)
		status = atom_fail(err, ATOM_EINVAL,
				   "a scan after a key of %zu bytes: at most "
				   "%d are possible",
				   after.length, ATOM_STORE_KEY_MAX);
	if (status != ATOM_OK)
		return status;
	job = job_new(bucket, prefix, after, argument);
	if (!job)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a scan");
	job->scanned = done;
	job->scan.limit =
		limit && limit < STATE_SCAN_MAX ? limit : STATE_SCAN_MAX;
	return job_submit(job, err);
}
