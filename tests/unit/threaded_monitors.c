/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads tell monitors of an event in the same moment: what each monitor
 * has heard is known all the same.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "monitor/monitors.h"
#include "plugin/host.h"
#include "plugin/registry.h"
#include "tap.h"

/* --- a monitor ----------------------------------------------------------------- */

static _Atomic unsigned int heard;

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	(void)host;
	(void)options;
	(void)err;
	*self_r = NULL;
	return ATOM_OK;
}

static void destroy(void *self)
{
	(void)self;
}

static void on_event(void *self, const struct atom_monitor_event *event)
{
	(void)self;
	(void)event;
	atomic_fetch_add(&heard, 1);
}

static const struct atom_monitor_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.event = on_event,
};
static const struct atom_component declared = {
	.struct_size = sizeof(declared),
	.kind = "monitor",
	.name = "watcher",
	.ops = (const struct atom_ops *)(const void *)&ops,
};
static const struct component component = {
	.declared = &declared,
	.kind_word = "monitor",
	.name = "watcher",
	.ops = (const struct atom_ops *)(const void *)&ops,
};

atom_status __wrap_registry_component(const char *kind, const char *name,
				      const struct component **component_r,
				      struct atom_error *err);

atom_status __wrap_registry_component(const char *kind, const char *name,
				      const struct component **component_r,
				      struct atom_error *err)
{
	(void)kind;
	(void)name;
	(void)err;
	*component_r = &component;
	return ATOM_OK;
}

static struct config *make_config(void)
{
	char path[] = "/tmp/monitors-XXXXXX";
	struct buffer errors = BUFFER_INIT(65536);
	struct config *config = NULL;
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	CHECK(dprintf(fd, "monitors = ( { plugin = \"watcher\"; } );\n") > 0);
	CHECK(close(fd) == 0);
	CHECK(config_load(path, NULL, 0, &config, &errors) == ATOM_OK);
	CHECK(unlink(path) == 0);
	buffer_fini(&errors);
	return config;
}

/* --- a thread that is late ------------------------------------------------------- */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static _Thread_local bool late;
static sem_t held, let_go;

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (late) {
		late = false;
		CHECK(sem_post(&held) == 0 && sem_wait(&let_go) == 0);
	}
	return __real_pthread_mutex_lock(mutex);
}

/* --- work on the pool ------------------------------------------------------------ */

atom_status __real_work_submit(struct loop *loop, struct work *work);
atom_status __wrap_work_submit(struct loop *loop, struct work *work);

static unsigned int under_way;
static void (*real_done)(struct work *work, atom_status status);

static void on_done(struct work *work, atom_status status)
{
	under_way--;
	real_done(work, status);
}

atom_status __wrap_work_submit(struct loop *loop, struct work *work)
{
	under_way++;
	real_done = work->done;
	work->done = on_done;
	return __real_work_submit(loop, work);
}

/* --- the test -------------------------------------------------------------------- */

static const struct atom_span nothing = { "{}", 2 };

static void *tell_late(void *argument)
{
	(void)argument;
	late = true;
	monitors_event("late", "", &nothing);
	return NULL;
}

static void who_heard_two_that_came_at_once_is_not_behind(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct config *config = make_config();
	unsigned int taking;
	pthread_t thread;

	CHECK(sem_init(&held, 0, 0) == 0 && sem_init(&let_go, 0, 0) == 0);
	CHECK(loops_init(1, &err) == ATOM_OK && metric_init(1) == ATOM_OK);
	CHECK(monitors_start(config, &err) == ATOM_OK);
	CHECK(pthread_create(&thread, NULL, tell_late, NULL) == 0);
	CHECK(sem_wait(&held) == 0);
	monitors_event("early", "", &nothing);
	CHECK(sem_post(&let_go) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(monitors_told() == 2);
	while (atomic_load(&heard) < 2 || under_way > 0)
		(void)uv_run(loop_uv(loop_control()), UV_RUN_NOWAIT);
	CHECK(monitors_behind(monitors_told(), &taking) == 0 && taking == 1);
	monitors_stop();
	loops_fini();
	monitors_fini();
	metric_fini();
	config_unref(&config);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(who_heard_two_that_came_at_once_is_not_behind),
	};

	log_set_descriptor(-1);
	return tap_main(tests, (int)ARRAY_SIZE(tests));
}
