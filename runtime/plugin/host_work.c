/* SPDX-License-Identifier: Apache-2.0 */

/* atom.work/1: a plugin's work on the pool.  It holds the component. */

#include "core/loop.h"
#include "core/memory.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"

struct plugin_work {
	struct work work;
	struct configured *configured;
	void (*run)(void *argument);
	void (*done)(void *argument, atom_status status);
	void *argument;
};

static void on_run(struct work *work)
{
	struct plugin_work *job = CONTAINER_OF(work, struct plugin_work, work);

	job->run(job->argument);
}

static void on_done(struct work *work, atom_status status)
{
	struct plugin_work *job = CONTAINER_OF(work, struct plugin_work, work);
	struct configured *c = job->configured;
	int64_t began = host_call_begin();

	job->done(job->argument, status);
	host_call_end(began, c->component, "work_done");
	mem_free(job);
	host_release(&c->host);
}

static atom_status submit(const struct atom_host *host,
			  void (*run)(void *argument),
			  void (*done)(void *argument, atom_status status),
			  void *argument, struct atom_error *err)
{
	struct configured *c = host_private(host);
	struct loop *loop = loop_current();
	struct plugin_work *job;
	atom_status status;

	if (!host_thread_fine(loop != NULL, c, ATOM_WORK))
		return atom_fail(err, ATOM_ESTATE,
				 "work is submitted on an event loop or the "
				 "control thread");
	job = mem_zalloc(sizeof(*job));
	if (job == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	job->work.run = on_run;
	job->work.done = on_done;
	job->configured = c;
	job->run = run;
	job->done = done;
	job->argument = argument;
	host_hold(host);
	status = work_submit(loop, &job->work);
	if (status != ATOM_OK) {
		mem_free(job);
		host_release(host);
		return atom_fail(err, status, "the pool took no work");
	}
	return ATOM_OK;
}

const struct atom_work host_work_service = {
	.struct_size = sizeof(struct atom_work),
	.submit = submit,
};
