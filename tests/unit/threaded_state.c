/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State: commits, reads, and what a failing store makes of them.
 */
#include "state_fixture.h"

#include <unistd.h>

#include "core/health.h"
#include "core/json.h"

/* --- cases: commits ------------------------------------------------------- */

static void a_commit_is_durable_and_answered_on_its_loop(void)
{
	struct commit c;
	struct got got;

	CHECK(commit(&c, "k", "v", STATE_NEW) == ATOM_OK);
	CHECK(c.version > 0);
	CHECK(stored_is("k", "v"));
	got = get("k");
	CHECK(got.status == ATOM_OK && got.version == c.version);
	CHECK(strcmp(got.value, "v") == 0);
	CHECK(get("other").status == ATOM_ENOENT);
	CHECK(commit(&c, "k", NULL, got.version) == ATOM_OK);
	CHECK(get("k").status == ATOM_ENOENT);
}

static void a_lost_compare_and_set_says_so(void)
{
	struct commit c;

	CHECK(commit(&c, "k", "1", STATE_NEW) == ATOM_OK);
	CHECK(commit(&c, "k", "2", STATE_NEW) == ATOM_ECONFLICT);
	CHECK(c.message[0]);
	CHECK(stored_is("k", "1"));
	CHECK(commit(&c, "k", "2", STATE_ANY) == ATOM_OK);
	CHECK(stored_is("k", "2"));
}

struct many {
	struct commit *commits;
	char (*keys)[24];
	size_t count;
	size_t taken;
};

static void begin_many(void *argument)
{
	struct many *many = argument;

	for (size_t i = 0; i < many->count; i++) {
		struct commit *c = &many->commits[i];

		(void)snprintf(many->keys[i], 24, "%zu", i);
		c->key = many->keys[i];
		c->value = "v";
		c->expected = STATE_ANY;
		c->loop = loop_current();
		begin_commit(c);
		if (c->begun != ATOM_OK)
			break;
		many->taken++;
	}
}

static struct many many_new(size_t count)
{
	struct many many = {
		.commits = calloc(count, sizeof(struct commit)),
		.keys = calloc(count, 24),
		.count = count,
	};

	CHECK(many.commits && many.keys);
	return many;
}

static void many_end(struct many *many)
{
	for (size_t i = 0; i < many->taken; i++) {
		wait_answer(&many->commits[i]);
		CHECK(many->commits[i].status == ATOM_OK);
	}
	free(many->commits);
	free(many->keys);
}

static void what_waits_together_is_one_commit_of_the_store(void)
{
	struct many many = many_new(200);
	struct commit first;
	size_t before;

	set(&store.hold, true);
	start_commit(&first, "first", "v", STATE_ANY);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(store.held == 1);
	before = store.commits;
	(void)pthread_mutex_unlock(&lock);
	on(loops_get(1), begin_many, &many);
	CHECK(many.taken == 200);
	set(&store.hold, false);
	wait_answer(&first);
	many_end(&many);
	CHECK(store.commits == before + 1);
	CHECK(store.largest == 200);
}

static void the_queue_has_an_end(void)
{
	struct many many = many_new(STATE_QUEUE_MAX + 1);

	set(&store.hold, true);
	on(loops_get(0), begin_many, &many);
	CHECK(many.taken == STATE_QUEUE_MAX);
	CHECK(many.commits[many.taken].begun == ATOM_EBUSY);
	set(&store.hold, false);
	many_end(&many);
}

static void a_failing_store_is_an_error_then_a_refusal_then_well_again(void)
{
	struct state_health health;
	struct commit c;

	CHECK(commit(&c, "before", "v", STATE_ANY) == ATOM_OK);
	set(&store.fail, true);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_EIO);
	CHECK(c.begun == ATOM_OK);
	CHECK(strcmp(c.message, "no room left") == 0);
	state_health(&health);
	CHECK(health.attached && health.degraded);
	CHECK(health.status == ATOM_EIO && health.since_ms > 0);
	CHECK(strcmp(health.message, "no room left") == 0);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_EIO);
	CHECK(c.begun == ATOM_EIO && c.answers == 0);
	CHECK(c.retry_after_ms > 0);
	CHECK(get("before").status == ATOM_OK);

	set(&store.fail, false);
	wait_health(false);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_OK);
	CHECK(stored_is("k", "v"));
}

static bool health_says(const char *error)
{
	json_t *list = health_components(), *row;
	bool says = false;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (strcmp(json_text(row, "name", ""), "state") == 0)
			says = strcmp(json_text(row, "last_error", ""),
				      error) == 0;
	}
	json_decref(list);
	return says;
}

static void a_store_that_fails_at_something_else_says_that(void)
{
	struct commit c;

	set(&store.fail, true);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_EIO);
	while (!health_says("no room left"))
		(void)usleep(1000);
	set(&store.damaged, true);
	while (!health_says("a page is damaged"))
		(void)usleep(1000);
	set(&store.damaged, false);
	set(&store.fail, false);
	wait_health(false);
}

/* Who is refused was not short of memory: to try again helps. */
static void refused_after_want_of_memory_is_unavailable(void)
{
	struct commit c;

	set(&store.no_memory, true);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_ENOMEM);
	CHECK(c.begun == ATOM_OK);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_EUNAVAILABLE);
	set(&store.no_memory, false);
	wait_health(false);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_OK);
}

static void those_that_wait_fail_with_the_store(void)
{
	struct many many = many_new(STATE_QUEUE_MAX);

	set(&store.hold, true);
	on(loops_get(0), begin_many, &many);
	set(&store.fail, true);
	set(&store.hold, false);
	for (size_t i = 0; i < many.count; i++) {
		wait_answer(&many.commits[i]);
		CHECK(many.commits[i].status == ATOM_EIO);
	}
	CHECK(store.commits == 1);
	free(many.commits);
	free(many.keys);
	set(&store.fail, false);
}

static void damage_found_by_a_read_degrades(void)
{
	struct state_health health;
	struct commit c;

	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_OK);
	set(&store.damaged, true);
	CHECK(get("k").status == ATOM_EDATALOSS);
	wait_health(true);
	state_health(&health);
	CHECK(health.status == ATOM_EDATALOSS);
	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_EDATALOSS);
	set(&store.damaged, false);
}

static void what_comes_while_damage_is_looked_for_fails_with_it(void)
{
	struct commit c;
	size_t before;

	CHECK(commit(&c, "k", "v", STATE_ANY) == ATOM_OK);
	before = store.checks;
	set(&store.hold_checks, true);
	set(&store.damaged, true);
	CHECK(get("k").status == ATOM_EDATALOSS);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(store.checks > before);
	(void)pthread_mutex_unlock(&lock);
	start_commit(&c, "k", "w", STATE_ANY);
	CHECK(c.begun == ATOM_OK);
	set(&store.hold_checks, false);
	wait_answer(&c);
	CHECK(c.status == ATOM_EDATALOSS);
	set(&store.damaged, false);
}

static void reads_go_on_beside_writes_that_fail(void)
{
	struct commit c;
	char value[16];

	CHECK(commit(&c, "k", "0", STATE_ANY) == ATOM_OK);
	for (int i = 1; i <= 100; i++) {
		(void)snprintf(value, sizeof(value), "%d", i);
		set(&store.fail, i == 50);
		start_commit(&c, "k", value, STATE_ANY);
		CHECK(get("k").status == ATOM_OK);
		CHECK(strcmp(scan("", "", 0).keys, "k ") == 0);
		if (c.begun == ATOM_OK)
			wait_answer(&c);
		CHECK(c.begun == ATOM_OK || i > 50);
		if (i == 50) {
			CHECK(c.status == ATOM_EIO);
			set(&store.fail, false);
			wait_health(false);
		}
	}
	CHECK(stored_is("k", "100"));
}

/* --- cases: on the spot --------------------------------------------------- */

static int32_t count_records(void *argument, const struct state_record *record)
{
	size_t *count = argument;

	CHECK(record->value.length == 1 && record->version > 0);
	++*count;
	return 0;
}

static void now_is_done_on_the_spot(void)
{
	struct state_transaction *t = state_transaction_new();
	struct state_record *record;
	size_t count = 0;

	CHECK(t);
	CHECK(state_transaction_put(t, "b", state_text("k"), state_text("1"),
				    STATE_NEW, &err) == ATOM_OK);
	CHECK(state_transaction_put(t, "b", state_text("l"), state_text("1"),
				    STATE_NEW, &err) == ATOM_OK);
	CHECK(state_commit_now(t, &err) == ATOM_OK);
	CHECK(state_transaction_version(t, 1) >
	      state_transaction_version(t, 0));
	CHECK(state_get_now("b", state_text("k"), &record, &err) == ATOM_OK);
	CHECK(strcmp(record->value.bytes, "1") == 0);
	CHECK(record->version == state_transaction_version(t, 0));
	mem_free(record);
	CHECK(state_get_now("b", state_text("m"), &record, &err) ==
	      ATOM_ENOENT);
	CHECK(!record);
	CHECK(state_commit_now(t, &err) == ATOM_ECONFLICT);
	CHECK(state_transaction_conflict(t) == 0);
	CHECK(state_scan_now("b", state_text(""), count_records, &count,
			     &err) == ATOM_OK);
	CHECK(count == 2);
	state_transaction_free(&t);
}

static void what_is_malformed_is_refused_at_once(void)
{
	struct state_transaction *t = state_transaction_new();
	const struct atom_span big = { "", ATOM_STORE_VALUE_MAX + 1 };
	const struct atom_span key = state_text("k");
	struct state_record *record;

	CHECK(t);
	CHECK(state_transaction_put(t, "No", key, key, 0, &err) == ATOM_EINVAL);
	CHECK(state_transaction_put(t, "", key, key, 0, &err) == ATOM_EINVAL);
	CHECK(state_transaction_put(t, "b", state_text(""), key, 0, &err) ==
	      ATOM_EINVAL);
	CHECK(state_transaction_put(t, "b", key, big, 0, &err) == ATOM_ELIMIT);
	for (int i = 0; i < STATE_WRITES_MAX; i++)
		CHECK(state_transaction_put(t, "b", key, key, 0, &err) ==
		      ATOM_OK);
	CHECK(state_transaction_put(t, "b", key, key, 0, &err) == ATOM_ELIMIT);
	state_transaction_free(&t);
	CHECK(state_write_behind("b", key, big, &err) == ATOM_ELIMIT);
	CHECK(state_get_now("B", key, &record, &err) == ATOM_EINVAL);
}

/* --- cases: the end ------------------------------------------------------- */

static struct commit at_end;

static void a_commit_under_way_is_answered_before_its_loop_ends(void)
{
	set(&store.hold, true);
	start_commit(&at_end, "k", "v", STATE_ANY);
	loops_stop();
	/* Whether the loop is waiting by now or not, it has to be answered. */
	set(&store.hold, false);
}

static int after_commit(void)
{
	return at_end.answers == 1 && at_end.status == ATOM_OK &&
	       at_end.on_own_loop && stored_is("k", "v");
}

static const struct one_case cases[] = {
	CASE(a_commit_is_durable_and_answered_on_its_loop),
	CASE(a_lost_compare_and_set_says_so),
	CASE(what_waits_together_is_one_commit_of_the_store),
	CASE(the_queue_has_an_end),
	CASE(a_failing_store_is_an_error_then_a_refusal_then_well_again),
	CASE(refused_after_want_of_memory_is_unavailable),
	CASE(a_store_that_fails_at_something_else_says_that),
	CASE(those_that_wait_fail_with_the_store),
	CASE(damage_found_by_a_read_degrades),
	CASE(what_comes_while_damage_is_looked_for_fails_with_it),
	CASE(reads_go_on_beside_writes_that_fail),
	CASE(now_is_done_on_the_spot),
	CASE(what_is_malformed_is_refused_at_once),
	CASE_THEN(a_commit_under_way_is_answered_before_its_loop_ends,
		  after_commit),
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
