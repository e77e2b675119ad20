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
	/* Whoever waits is told first, and the status a moment later. */
	while (strcmp(health_system_status(), "operational") == 0)
		(void)usleep(1000);
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

/* --- how soon it is tried again: by a clock of the follower's own ------------- */

#define SECOND_NS ((int64_t)1000000000)

static int64_t (*real_ns)(void);
/* 0: the real clock.  It lies behind that one, so that a wait for some time of
 * it is over at once, and goes on by a hundredth of a second each time that the
 * sink's thread looks. */
static _Atomic int64_t virtual_ns;
static _Thread_local bool follows;
static int64_t tried_ns, longest_ns; /* of the sink's thread, until it ends */

static int64_t clock_ns(void)
{
	if (atomic_load(&virtual_ns) == 0)
		return real_ns();
	if (follows)
		atomic_fetch_add(&virtual_ns, SECOND_NS / 100);
	return atomic_load(&virtual_ns);
}

static void note_try(void)
{
	const int64_t now = atomic_load(&virtual_ns);

	follows = true;
	if (tried_ns != 0 && now - tried_ns > longest_ns)
		longest_ns = now - tried_ns;
	tried_ns = now;
}

/* The second sink fails so often; the longest time between two of its tries. */
static int64_t longest_pause(int creates, int writes, int retry_after_ms)
{
	struct stage *s = &stages[1];

	tried_ns = longest_ns = 0;
	audit_begin_anew();
	atomic_store(&s->fail_creates, creates);
	atomic_store(&s->fail_writes, writes);
	atomic_store(&s->retry_after_ms, retry_after_ms);
	s->tried = note_try;
	atomic_store(&virtual_ns, SECOND_NS);
	audit_begin_with("{ plugin = \"first\"; }, { plugin = \"second\"; }");
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	stage_wait(s, 1);
	audit_end();
	atomic_store(&virtual_ns, 0);
	s->tried = NULL;
	atomic_store(&s->retry_after_ms, 0);
	CHECK(atomic_load(&s->fail_creates) == 0);
	CHECK(atomic_load(&s->fail_writes) == 0);
	CHECK(s->count == stages[0].count);
	stage_verify(s);
	printf("# at most %lld ms\n", (long long)longest_ns / 1000000);
	return longest_ns;
}

static void a_sink_that_was_mended_is_tried_again_within_seconds(void)
{
	int64_t pause_ns = longest_pause(0, 12, 0);

	CHECK(pause_ns >= 5 * SECOND_NS && pause_ns < 6 * SECOND_NS);
	pause_ns = longest_pause(12, 0, 0);
	CHECK(pause_ns >= 5 * SECOND_NS && pause_ns < 6 * SECOND_NS);
}

static void a_sink_is_tried_again_when_it_says(void)
{
	int64_t pause_ns = longest_pause(0, 12, 700);

	CHECK(pause_ns >= SECOND_NS * 7 / 10 && pause_ns < SECOND_NS);
	pause_ns = longest_pause(0, 3, 60000);
	CHECK(pause_ns >= 60 * SECOND_NS && pause_ns < 61 * SECOND_NS);
	/* Not as often as it likes. */
	pause_ns = longest_pause(0, 12, 1);
	CHECK(pause_ns >= SECOND_NS / 5 && pause_ns < SECOND_NS);
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

/* --- reloads ------------------------------------------------------------------ */

/* As a reload does; true: all of it is in force. */
static bool reload(const char *sinks, const char *refused)
{
	struct config *next = audit_fixture_config(sinks);
	struct atom_error err = ATOM_ERROR_INIT;
	const char *needs_restart = NULL;

	if (audit_hand_over(next, &err) != ATOM_OK) {
		if (refused == NULL || strstr(err.message, refused) == NULL)
			printf("# refused: %s\n", err.message);
		CHECK(refused != NULL && strstr(err.message, refused) != NULL);
		config_unref(&next);
		return false;
	}
	audit_apply(next, &needs_restart);
	CHECK(needs_restart == NULL);
	config_unref(&audit_config);
	audit_config = next;
	return true;
}

static bool has(const struct stage *stage, const char *user)
{
	for (size_t i = 0; i < stage->count; i++)
		if (strstr(stage->lines[i].json, user) != NULL)
			return true;
	return false;
}

#define ONE_ "{ plugin = \"first\"; required = true; }"
#define TWO_ "{ plugin = \"second\"; required = true; }"
#define ONE  "{ plugin = \"first\"; }"
#define TWO  "{ plugin = \"second\"; }"

static void a_reload_adds_and_removes_sinks(void)
{
	const char *needs_restart = NULL;
	struct config *next;

	audit_begin_anew();
	audit_begin_with(ONE);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	CHECK(reload(ONE ", " TWO, NULL));
	/* What was before it, too. */
	stage_wait(&stages[1], 1);
	CHECK(reload(ONE, NULL));
	CHECK(audit.others == NULL);
	/* None at all has to wait for the next start. */
	next = audit_fixture_config("");
	audit_apply(next, &needs_restart);
	CHECK(needs_restart != NULL &&
	      strcmp(needs_restart, "audit_sinks") == 0);
	config_unref(&next);
	CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
	audit_end();
	stage_verify(&stages[0]);
}

static bool is_well(void)
{
	return strcmp(health_system_status(), "operational") == 0;
}

static _Atomic bool held;

static void wait_while_held(void)
{
	while (atomic_load(&held))
		(void)usleep(1000);
}

static void a_required_sink_that_opens_late_is_well_from_then_on(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	audit_begin_anew();
	audit_config = audit_fixture_config(ONE_ ", " TWO);
	atomic_store(&held, true);
	stages[0].tried = wait_while_held;
	/* The 30 s are over as soon as this thread has looked often enough. */
	atomic_store(&virtual_ns, SECOND_NS);
	follows = true;
	CHECK(audit_start(audit_config, &err) == ATOM_ETIMEOUT);
	follows = false;
	atomic_store(&virtual_ns, 0);
	audit_tick();
	CHECK(audit_taken_up(&err) == ATOM_ETIMEOUT);
	CHECK(!is_well() && audit.others == NULL);
	atomic_store(&held, false);
	while (!is_well()) {
		audit_tick();
		(void)usleep(1000);
	}
	CHECK(audit_taken_up(&err) == ATOM_OK);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	stage_wait(&stages[1], 1);
	stages[0].tried = NULL;
	audit_end();
}

static bool health_says(const char *component, const char *error)
{
	json_t *list = health_components(), *row;
	bool says = false;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (strcmp(json_text(row, "name", ""), component) == 0)
			says = strcmp(json_text(row, "last_error", ""),
				      error) == 0;
	}
	json_decref(list);
	return says;
}

static void a_sink_that_fails_at_something_else_says_that(void)
{
	audit_begin_anew();
	audit_begin_with(ONE ", " TWO);
	atomic_store(&stages[1].fail_syncs, 1000000);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	while (!health_says("audit.second", "sync failed"))
		(void)usleep(1000);
	atomic_store(&stages[1].fail_writes, 1000000);
	while (!health_says("audit.second", "no space left on device"))
		(void)usleep(1000);
	atomic_store(&stages[1].fail_syncs, 0);
	atomic_store(&stages[1].fail_writes, 0);
	while (!is_well())
		(void)usleep(1000);
	audit_end();
}

static void a_sink_that_failed_and_was_taken_out_fails_no_more(void)
{
	audit_begin_anew();
	audit_begin_with(ONE ", " TWO);
	CHECK(is_well());
	atomic_store(&stages[1].fail_writes, 1000000);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	while (is_well())
		(void)usleep(1000);
	CHECK(reload(ONE, NULL));
	/* Its thread may take its time to end. */
	while (!is_well()) {
		audit_tick();
		(void)usleep(1000);
	}
	atomic_store(&stages[1].fail_writes, 0);
	audit_end();
}

/* The required one closes: the other one lacks records still, and asks for
 * them. */
static void let_it_ask(void)
{
	bool asks = false;

	stage_hang(&stages[1], false);
	while (!asks) {
		(void)usleep(1000);
		(void)pthread_mutex_lock(&audit.lock);
		asks = audit.others->fetching;
		(void)pthread_mutex_unlock(&audit.lock);
	}
}

static void a_sink_that_is_behind_at_the_end_is_not_waited_for(void)
{
	audit_begin_anew();
	audit_begin_with(ONE);
	/* More than one piece of what it fetches. */
	for (int i = 0; i < 700; i++)
		CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	stage_hang(&stages[1], true);
	CHECK(reload(ONE ", " TWO, NULL));
	stage_wait_writes(&stages[1], 1);
	atomic_store(&stages[0].closing, let_it_ask);
	audit_end();
	CHECK(!audit_enabled());
	/* The next start goes on from there. */
	CHECK(stages[1].count == 512);
	audit_begin_with(ONE ", " TWO);
	stage_wait(&stages[1], 701);
	audit_end();
	stage_verify(&stages[1]);
	CHECK(stages[1].count == stages[0].count);
}

static void another_required_sink_has_all_and_the_log_goes_on_in_it(void)
{
	size_t before;

	audit_begin_anew();
	audit_begin_with(ONE);
	for (int i = 0; i < 700; i++)
		CHECK(post_and_wait("key:old", AUDIT_GATED) == ATOM_OK);
	CHECK(reload(TWO, NULL));
	before = stages[0].count;
	for (int i = 0; i < 20; i++)
		CHECK(post_and_wait("key:new", AUDIT_GATED) == ATOM_OK);
	CHECK(stages[0].count == before && !has(&stages[0], "key:new"));
	/* And back, with what the first one lacks. */
	CHECK(reload(ONE, NULL));
	CHECK(post_and_wait("key:back", AUDIT_GATED) == ATOM_OK);
	CHECK(has(&stages[0], "key:new"));
	CHECK(reload(TWO, NULL));
	audit_end();
	stage_verify(&stages[1]);
	CHECK(has(&stages[1], "key:old") && has(&stages[1], "key:back"));
	/* A start takes it up there. */
	audit_begin_with(TWO);
	CHECK(post_and_wait("key:again", AUDIT_GATED) == ATOM_OK);
	audit_end();
	stage_verify(&stages[1]);
}

static void a_follower_becomes_the_required_one_and_the_other_way_round(void)
{
	audit_begin_anew();
	audit_begin_with(ONE_ ", " TWO);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	stage_wait(&stages[1], 1);
	for (int i = 0; i < 3; i++) {
		CHECK(reload(ONE ", " TWO_, NULL));
		CHECK(strcmp(audit.required->name, "second") == 0);
		CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
		CHECK(reload(ONE_ ", " TWO, NULL));
		CHECK(strcmp(audit.required->name, "first") == 0);
		CHECK(post_and_wait("key:c", AUDIT_GATED) == ATOM_OK);
	}
	audit_end();
	stage_verify(&stages[0]);
	stage_verify(&stages[1]);
	CHECK(stages[0].count == stages[1].count);
}

static void a_required_sink_that_fails_at_a_reload_changes_nothing(void)
{
	struct stage *s = &stages[1];

	audit_begin_anew();
	audit_begin_with(ONE);
	CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	atomic_store(&s->fail_creates, 1);
	CHECK(!reload(TWO, "no such disk"));
	atomic_store(&s->fail_writes, 1);
	CHECK(!reload(TWO, "no space left"));
	atomic_store(&s->lossy, true);
	CHECK(!reload(TWO, "has to know what is durable"));
	atomic_store(&s->lossy, false);
	atomic_store(&s->fail_syncs, 2);
	CHECK(!reload(TWO, "sync failed"));
	atomic_store(&s->fail_syncs, 0);
	CHECK(strcmp(audit.required->name, "first") == 0);
	CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
	/* One that follows goes on following. */
	CHECK(reload(ONE ", " TWO, NULL));
	stage_wait(s, 2);
	atomic_store(&s->lossy, true);
	CHECK(!reload(TWO_, "has to know"));
	atomic_store(&s->lossy, false);
	CHECK(post_and_wait("key:c", AUDIT_GATED) == ATOM_OK);
	stage_wait(s, 3);
	audit_end();
	stage_verify(&stages[0]);
	CHECK(stages[0].count == s->count);
	stage_verify(s);
}

static void a_sink_of_another_log_does_not_become_the_required_one(void)
{
	struct stage *s = &stages[1];

	audit_begin_anew();
	audit_begin_with(ONE);
	for (int i = 0; i < 5; i++)
		CHECK(post_and_wait("key:a", AUDIT_GATED) == ATOM_OK);
	CHECK(reload(ONE ", " TWO, NULL));
	stage_wait(s, 5);
	CHECK(reload(ONE, NULL));
	stage_wait_closed(s);
	s->lines[s->count - 1].hash[7] ^= 1;
	CHECK(!reload(TWO, "of another log"));
	s->lines[s->count - 1].hash[7] ^= 1;
	CHECK(post_and_wait("key:b", AUDIT_GATED) == ATOM_OK);
	CHECK(reload(TWO, NULL));
	audit_end();
	stage_verify(s);
}

static _Atomic bool enough;
static _Atomic unsigned int allowed; /* to each of them, so far */

/* Not so many that a sink lacks more than a handover gives it. */
static void *post_on(void *argument)
{
	unsigned int *posted = argument;

	while (!atomic_load(&enough)) {
		if (*posted >= atomic_load(&allowed)) {
			(void)usleep(100);
			continue;
		}
		CHECK(post_and_wait("key:busy", AUDIT_GATED) == ATOM_OK);
		++*posted;
	}
	return NULL;
}

#define POSTERS 4

static void nobody_who_waits_notices_a_handover(void)
{
	pthread_t threads[POSTERS];
	unsigned int posted[POSTERS] = { 0 }, sum = 0, found = 0;

	audit_begin_anew();
	audit_begin_with(ONE);
	atomic_store(&enough, false);
	atomic_store(&allowed, 500);
	for (int i = 0; i < POSTERS; i++)
		CHECK(pthread_create(&threads[i], NULL, post_on, &posted[i]) ==
		      0);
	for (unsigned int i = 0; i < 20; i++) {
		atomic_store(&allowed, (i + 1) * 500);
		CHECK(reload(i % 2 == 0 ? TWO : ONE, NULL));
	}
	atomic_store(&enough, true);
	for (int i = 0; i < POSTERS; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0);
		sum += posted[i];
	}
	audit_end();
	stage_verify(&stages[0]);
	for (size_t i = 0; i < stages[0].count; i++)
		found += strstr(stages[0].lines[i].json, "key:busy") != NULL;
	CHECK(found == sum);
}

static const struct tap_test tests[] = {
	TAP_TEST(one_failed_sync_is_tried_again_with_the_same_records),
	TAP_TEST(while_the_sink_fails_control_is_refused_and_the_rest_is_kept),
	TAP_TEST(a_sink_that_hangs_slows_nobody_and_catches_up),
	TAP_TEST(a_sink_that_fails_is_tried_again_and_lacks_nothing),
	TAP_TEST(a_sink_that_was_mended_is_tried_again_within_seconds),
	TAP_TEST(a_sink_is_tried_again_when_it_says),
	TAP_TEST(a_sink_that_cannot_know_what_is_durable_does_not_fail),
	TAP_TEST(a_required_sink_that_cannot_know_is_refused_at_start),
	TAP_TEST(a_reload_adds_and_removes_sinks),
	TAP_TEST(a_required_sink_that_opens_late_is_well_from_then_on),
	TAP_TEST(a_sink_that_fails_at_something_else_says_that),
	TAP_TEST(a_sink_that_failed_and_was_taken_out_fails_no_more),
	TAP_TEST(a_sink_that_is_behind_at_the_end_is_not_waited_for),
	TAP_TEST(another_required_sink_has_all_and_the_log_goes_on_in_it),
	TAP_TEST(a_follower_becomes_the_required_one_and_the_other_way_round),
	TAP_TEST(a_required_sink_that_fails_at_a_reload_changes_nothing),
	TAP_TEST(a_sink_of_another_log_does_not_become_the_required_one),
	TAP_TEST(nobody_who_waits_notices_a_handover),
};

int main(void)
{
	real_ns = os.monotonic_ns;
	os.monotonic_ns = clock_ns;
	return audit_tests_main(tests, ARRAY_SIZE(tests));
}
