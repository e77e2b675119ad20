/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks of the audit log that fail, hang, cannot know what is durable, and
 * come and go by a reload.
 */
#include "audit_asked.h"
#include "audit_fixture.h"
#include "tap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/health.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/os.h"

static void one_failed_sync_is_tried_again_with_the_same_records(void)
{
	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	atomic_store(&stages[0].fail_syncs, 1);
	CHECK(post_and_wait("key:one", AUDIT_GATED) == ATOM_OK);
	atomic_store(&stages[0].fail_writes, 1);
	CHECK(post_and_wait("key:two", AUDIT_GATED) == ATOM_OK);
	audit_end();
	CHECK(stages[0].count == 3);
	stage_verify(&stages[0]);
}

static void wait_until_well(void)
{
	while (atomic_load(&audit.state) != AUDIT_WELL)
		(void)usleep(1000);
}

static void while_the_sink_fails_control_is_refused_and_the_rest_is_kept(void)
{
	struct audit_record record = asked_event("key:later");
	bool sound = false;

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:before", AUDIT_GATED) == ATOM_OK);
	atomic_store(&stages[0].fail_syncs, 1000000);
	CHECK(post_and_wait("key:first", AUDIT_GATED) == ATOM_EUNAVAILABLE);
	/* At the door now. */
	CHECK(audit_post(&record, AUDIT_GATED, NULL) == ATOM_EUNAVAILABLE);
	/* What makes things safer is recorded later. */
	CHECK(post_and_wait("key:safer", AUDIT_SOON) == ATOM_EUNAVAILABLE);
	CHECK(strcmp(health_system_status(), "operational") != 0);
	atomic_store(&stages[0].fail_syncs, 0);
	wait_until_well();
	CHECK(post_and_wait("key:after", AUDIT_GATED) == ATOM_OK);
	audit_end();
	stage_verify(&stages[0]);
	for (size_t i = 0; i < stages[0].count; i++)
		sound |= strstr(stages[0].lines[i].json, "key:safer") != NULL;
	CHECK(sound);
	CHECK(strstr(stages[0].lines[stages[0].count - 1].json,
		     "daemon.stop") != NULL);
}

static void a_sink_that_hangs_slows_nobody_and_catches_up(void)
{
	int64_t slowest = 0;

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }, { plugin = \"second\"; }");
	CHECK(post_and_wait("key:x", AUDIT_GATED) == ATOM_OK);
	stage_wait(&stages[1], 1);
	stage_hang(&stages[1], true);
	/* More batches than the window holds. */
	for (int i = 0; i < 1500; i++) {
		int64_t began = os.monotonic_ns();

		CHECK(post_and_wait("key:y", AUDIT_GATED) == ATOM_OK);
		if (os.monotonic_ns() - began > slowest)
			slowest = os.monotonic_ns() - began;
	}
	printf("# slowest %lld us\n", (long long)slowest / 1000);
	CHECK(stages[0].count >= 1501);
	CHECK(atomic_load(&audit.others->cursor) < 1500);
	stage_hang(&stages[1], false);
	stage_wait(&stages[1], 1501);
	audit_end();
	stage_verify(&stages[0]);
	stage_verify(&stages[1]);
	CHECK(stages[1].count == stages[0].count);
}

static void a_sink_that_fails_is_tried_again_and_lacks_nothing(void)
{
	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }, { plugin = \"second\"; }");
	atomic_store(&stages[1].fail_writes, 1);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
	stage_wait(&stages[1], 2);
	audit_end();
	stage_verify(&stages[1]);
	CHECK(stages[1].count == stages[0].count);
}

static json_t *row_of(json_t *log, const char *name)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(log, "sinks"), i,
			   row) if (strcmp(json_text(row, "name", ""), name) ==
				    0) return row;
	return NULL;
}

/* All that it is given is taken once, and nobody calls it failing. */
static void a_sink_that_cannot_know_what_is_durable_does_not_fail(void)
{
	json_t *log;

	audit_begin_anew();
	atomic_store(&stages[1].lossy, true);
	audit_begin_with("{ plugin = \"first\"; }, { plugin = \"second\"; }");
	for (int i = 0; i < 20; i++)
		CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	stage_wait(&stages[1], 20);
	log = audit_describe();
	CHECK(json_is_true(json_object_get(row_of(log, "first"), "durable")));
	CHECK(json_is_false(json_object_get(row_of(log, "second"), "durable")));
	json_decref(log);
	CHECK(strcmp(health_system_status(), "operational") == 0);
	audit_end();
	atomic_store(&stages[1].lossy, false);
	CHECK(stages[1].count == stages[0].count);
	for (size_t i = 0; i < stages[0].count; i++)
		CHECK(strstr(stages[0].lines[i].json, "sink_failed") == NULL);
	stage_verify(&stages[1]);
}

static void a_required_sink_that_cannot_know_is_refused_at_start(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	audit_begin_anew();
	atomic_store(&stages[0].lossy, true);
	audit_config = audit_fixture_config("{ plugin = \"first\"; }");
	CHECK(audit_start(audit_config, &err) != ATOM_OK);
	CHECK(strstr(err.message, "has to know what is durable") != NULL);
	CHECK(strstr(err.message, "who knows") != NULL);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_EUNAVAILABLE);
	audit_end();
	atomic_store(&stages[0].lossy, false);
	CHECK(stages[0].count == 0);
}

static void a_reload_adds_and_removes_sinks(void)
{
	const char *needs_restart = NULL;
	struct config *next;

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	next = audit_fixture_config(
		"{ plugin = \"first\"; }, { plugin = \"second\"; }");
	audit_apply(next, &needs_restart);
	CHECK(needs_restart == NULL);
	/* What was before it, too. */
	stage_wait(&stages[1], 1);
	config_unref(&audit_config);
	audit_config = next;
	next = audit_fixture_config("{ plugin = \"first\"; }");
	audit_apply(next, &needs_restart);
	CHECK(needs_restart == NULL && audit.others == NULL);
	config_unref(&audit_config);
	audit_config = next;
	next = audit_fixture_config("{ plugin = \"second\"; }");
	audit_apply(next, &needs_restart);
	CHECK(needs_restart != NULL &&
	      strcmp(needs_restart, "audit_sinks") == 0);
	config_unref(&next);
	CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
	audit_end();
	stage_verify(&stages[0]);
}

static const struct tap_test tests[] = {
	TAP_TEST(one_failed_sync_is_tried_again_with_the_same_records),
	TAP_TEST(while_the_sink_fails_control_is_refused_and_the_rest_is_kept),
	TAP_TEST(a_sink_that_hangs_slows_nobody_and_catches_up),
	TAP_TEST(a_sink_that_fails_is_tried_again_and_lacks_nothing),
	TAP_TEST(a_sink_that_cannot_know_what_is_durable_does_not_fail),
	TAP_TEST(a_required_sink_that_cannot_know_is_refused_at_start),
	TAP_TEST(a_reload_adds_and_removes_sinks),
};

int main(void)
{
	return audit_tests_main(tests, ARRAY_SIZE(tests));
}
