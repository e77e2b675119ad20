/* SPDX-License-Identifier: Apache-2.0 */

/* Work that may block, on libuv's pool. */

#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "core/loop_priv.h"

static void on_pool(uv_work_t *uv)
{
	struct work *work = uv->data;

	work->run(work);
}

static void on_done(uv_work_t *uv, int status)
{
	struct work *work = uv->data;

	*work->previous = work->next;
	if (work->next)
		work->next->previous = work->previous;
	work->done(work, status == UV_ECANCELED ? ATOM_ECANCELED : ATOM_OK);
}

atom_status work_submit(struct loop *loop, struct work *work)
{
	sigset_t all, before;

	assert(loop_is_mine(loop) && work->run && work->done);
	work->uv.data = work;
	work->loop = loop;
	/* The first work makes the pool's threads, and they take over this
	 * thread's signal mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);

	int failed = uv_queue_work(&loop->uv, &work->uv, on_pool, on_done);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return ATOM_EINTERNAL;
	work->next = loop->works;
	if (work->next)
		work->next->previous = &work->next;
	work->previous = &loop->works;
	loop->works = work;
	return ATOM_OK;
}

void works_cancel(struct loop *loop)
{
	for (struct work *work = loop->works; work; work = work->next)
		(void)uv_cancel((uv_req_t *)&work->uv);
}
