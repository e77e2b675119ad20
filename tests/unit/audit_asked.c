/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_asked.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "plugin/host.h"

/* --- waiting, from threads that are no loop ------------------------------------ */

void asked_answer(struct audit_waiter *waiter, atom_status status)
{
	struct asked *a = CONTAINER_OF(waiter, struct asked, waiter);

	CHECK(loop_current() == waiter->loop);
	(void)pthread_mutex_lock(&a->lock);
	a->answers++;
	a->status = status;
	(void)pthread_cond_signal(&a->answered);
	(void)pthread_mutex_unlock(&a->lock);
}

void asked_init(struct asked *a, unsigned int loop)
{
	memset(a, 0, sizeof(*a));
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->answered, NULL);
	a->waiter.loop = loops_get(loop % loops_serving());
	a->waiter.done = asked_answer;
}

atom_status asked_wait(struct asked *a)
{
	(void)pthread_mutex_lock(&a->lock);
	while (a->answers == 0)
		(void)pthread_cond_wait(&a->answered, &a->lock);
	(void)pthread_mutex_unlock(&a->lock);
	return a->status;
}

struct audit_record asked_event(const char *user)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_KEY_CREATE);

	record.user = user;
	audit_text(&record, "phase", "intent");
	return record;
}

atom_status post_and_wait(const char *user, enum audit_urgency urgency)
{
	struct audit_record record = asked_event(user);
	struct asked a;
	atom_status status;

	asked_init(&a, 0);
	status = audit_post(&record, urgency, &a.waiter);
	if (status == ATOM_OK)
		status = asked_wait(&a);
	return status;
}

struct config *audit_config;

void audit_begin_with(const char *sinks)
{
	struct atom_error err = ATOM_ERROR_INIT;

	audit_config = audit_fixture_config(sinks);
	if (audit_start(audit_config, &err) != ATOM_OK) {
		printf("# %s\n", err.message);
		CHECK(false);
	}
}

void audit_end(void)
{
	audit_stop();
	CHECK(!audit_enabled());
	config_unref(&audit_config);
}

void audit_begin_anew(void)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/audit.key",
		       audit_fixture_folder());
	(void)unlink(path);
	stage_clear(&stages[0]);
	stage_clear(&stages[1]);
}

struct program {
	const struct tap_test *tests;
	size_t count;
};

static void *drive(void *argument)
{
	const struct program *program = argument;

	(void)tap_main(program->tests, (int)program->count);
	loops_stop();
	return NULL;
}

int audit_tests_main(const struct tap_test *tests, size_t count)
{
	struct program program = { tests, count };
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t driver;

	log_set_descriptor(-1);
	CHECK(loops_init(2, &err) == ATOM_OK);
	CHECK(metric_init(2) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	health_started();
	audit_fixture_begin();
	CHECK(loops_start(&err) == ATOM_OK);
	CHECK(pthread_create(&driver, NULL, drive, &program) == 0);
	loops_run_control();
	CHECK(pthread_join(driver, NULL) == 0);
	audit_fixture_end();
	loops_fini();
	metric_fini();
	health_fini();
	log_fini();
	return 0;
}
