/* SPDX-License-Identifier: Apache-2.0 */
/* Silences and their store: what it would not have is not taken for kept. */
#include "state_fixture.h"

#include <jansson.h>

#include "core/log.h"
#include "core/os.h"
#include "monitor/silences.h"

struct told {
	bool over;
	atom_status status;
	char id[ID_MAX];
	char state[16];
};

static void on_done(void *argument, atom_status status, json_t *result,
		    const char *message)
{
	struct told *told = argument;

	(void)message;
	(void)pthread_mutex_lock(&lock);
	told->over = true;
	told->status = status;
	if (result != NULL) {
		(void)snprintf(
			told->id, sizeof(told->id), "%s",
			json_string_value(json_object_get(result, "id")));
		(void)snprintf(
			told->state, sizeof(told->state), "%s",
			json_string_value(json_object_get(result, "state")));
	}
	ring();
	(void)pthread_mutex_unlock(&lock);
	json_decref(result);
}

static void create(void *told)
{
	json_t *matchers =
		json_pack("[{s:s,s:s}]", "name", "agent", "value", "a");

	silences_create(
		&(struct silence_request){
			.matchers = matchers,
			.comment = "we know",
			.created_by = "test",
			.ends_ms = os.realtime_ms() + 3600 * 1000,
		},
		on_done, told);
	json_decref(matchers);
}

static void end(void *told)
{
	silences_end(((struct told *)told)->id, on_done, told);
}

static atom_status ask(void (*run)(void *argument), struct told *told)
{
	told->over = false;
	on(loop_control(), run, told);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(told->over);
	(void)pthread_mutex_unlock(&lock);
	return told->status;
}

static bool is_silent(void)
{
	json_t *labels = json_pack("{s:s}", "agent", "a");
	char id[ID_MAX];
	bool silent = silences_find(labels, id);

	json_decref(labels);
	return silent;
}

static void restart(void *argument)
{
	(void)argument;
	silences_fini();
	silences_recall();
}

/* --- cases ------------------------------------------------------------------- */

static void an_end_that_was_not_stored_is_stored_when_asked_again(void)
{
	struct told told = { .over = false };

	CHECK(ask(create, &told) == ATOM_OK);
	CHECK(is_silent());
	set(&store.fail, true);
	CHECK(ask(end, &told) != ATOM_OK);
	CHECK(!is_silent());
	CHECK(ask(end, &told) != ATOM_OK);
	set(&store.fail, false);
	wait_health(false);
	CHECK(ask(end, &told) == ATOM_OK);
	CHECK(strcmp(told.state, "expired") == 0);
	restart(NULL);
	CHECK(!is_silent());
	silences_fini();
}

static const struct one_case cases[] = {
	CASE(an_end_that_was_not_stored_is_stored_when_asked_again),
};

int main(void)
{
	log_set_descriptor(-1);
	return run_cases(cases, ARRAY_SIZE(cases));
}
