/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State: writing behind, and scans, which wait for it.
 */
#include "state_fixture.h"

/* --- cases: writing behind ------------------------------------------------ */

static void what_is_written_behind_is_read_at_once_and_stored_soon(void)
{
	struct got got;

	set(&store.hold, true);
	behind("k", "1");
	behind("k", "2");
	got = get("k");
	CHECK(got.status == ATOM_OK && got.version == STATE_ANY);
	CHECK(strcmp(got.value, "2") == 0);
	wait_held(1);
	/* Also while it is being stored, and a newer one waits beside it. */
	CHECK(strcmp(get("k").value, "2") == 0);
	behind("k", "3");
	CHECK(strcmp(get("k").value, "3") == 0);
	set(&store.hold, false);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(store.commits == 2);
	(void)pthread_mutex_unlock(&lock);
	behind("k", NULL);
	CHECK(get("k").status == ATOM_ENOENT);
}

static void commits_and_writes_behind_keep_their_order(void)
{
	struct commit c;

	behind("a", "1");
	CHECK(commit(&c, "a", "2", STATE_ANY) == ATOM_OK);
	CHECK(stored_is("a", "2"));
	CHECK(strcmp(get("a").value, "2") == 0);

	/* The commit sees what was written behind before it. */
	behind("b", "1");
	CHECK(commit(&c, "b", "2", STATE_NEW) == ATOM_ECONFLICT);
	CHECK(stored_is("b", "1"));

	set(&store.hold, true);
	behind("c", "1");
	start_commit(&c, "c", "2", STATE_ANY);
	behind("c", "3");
	set(&store.hold, false);
	wait_answer(&c);
	behind("d", "1");
	CHECK(commit(&c, "d", NULL, STATE_ANY) == ATOM_OK);
	CHECK(stored_is("d", "(none)"));
}

static int after_order(void)
{
	return stored_is("c", "3") && stored_is("d", "(none)");
}

static void what_was_written_behind_outlasts_a_failing_store(void)
{
	set(&store.fail, true);
	behind("a", "1");
	behind("b", "1");
	wait_health(true);
	behind("a", "2");
	behind("c", "1");
	CHECK(strcmp(get("a").value, "2") == 0);
	CHECK(strcmp(get("b").value, "1") == 0);
	set(&store.fail, false);
	wait_health(false);
}

static int after_failing(void)
{
	return stored_is("a", "2") && stored_is("b", "1") &&
	       stored_is("c", "1");
}

static void writing_behind_has_an_end(void)
{
	size_t length = 1 << 20;
	char *value = calloc(1, length);
	atom_status status = ATOM_OK;
	size_t taken;
	char key[16];

	CHECK(value);
	set(&store.hold, true);
	for (taken = 0; taken < 100; taken++) {
		(void)snprintf(key, sizeof(key), "%zu", taken);
		status = state_write_behind("b", state_text(key),
					    (struct atom_span){ value, length },
					    &err);
		if (status != ATOM_OK)
			break;
	}
	CHECK(status == ATOM_EBUSY);
	CHECK(taken >= 60 && taken < 64);
	/* Half of it is enough to begin at once. */
	wait_held(1);
	set(&store.hold, false);
	free(value);
}

static void one_value_that_the_store_refuses_does_not_hold_up_others(void)
{
	struct commit c;

	behind("poison", "v");
	behind("good", "v");
	CHECK(commit(&c, "poison", "v", STATE_ANY) == ATOM_ELIMIT);
}

static int after_poison(void)
{
	return stored_is("good", "v") && stored_is("poison", "(none)");
}

/* --- cases: scans --------------------------------------------------------- */

static void a_scan_sees_what_was_written_behind_before(void)
{
	struct scanned s;

	behind("x/1", "v");
	behind("x/2", "v");
	behind("x/3", "v");
	behind("y", "v");
	s = scan("x/", "", 2);
	CHECK(s.status == ATOM_OK && s.more);
	CHECK(strcmp(s.keys, "x/1 x/2 ") == 0);
	s = scan("x/", "x/2", 2);
	CHECK(s.status == ATOM_OK && !s.more);
	CHECK(strcmp(s.keys, "x/3 ") == 0);
	behind("x/2", NULL);
	CHECK(strcmp(scan("", "", 0).keys, "x/1 x/3 y ") == 0);
	CHECK(stored_is("x/2", "(none)"));
}

static void a_scan_that_would_miss_something_fails(void)
{
	set(&store.fail, true);
	behind("k", "v");
	CHECK(scan("", "", 0).status == ATOM_EIO);
	CHECK(scan("", "", 0).status == ATOM_EIO);
	set(&store.fail, false);
	wait_health(false);
	CHECK(strcmp(scan("", "", 0).keys, "k ") == 0);
}

/* --- cases: the end ------------------------------------------------------- */

static void the_end_stores_what_was_written_behind(void)
{
	char key[16];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		behind(key, "v");
	}
}

static int after_end(void)
{
	char key[16];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		if (!stored_is(key, "v"))
			return 0;
	}
	return 1;
}

static void what_cannot_be_stored_at_the_end_is_said(void)
{
	set(&store.fail, true);
	behind("k", "v");
}

static const struct one_case cases[] = {
	CASE(what_is_written_behind_is_read_at_once_and_stored_soon),
	CASE_THEN(commits_and_writes_behind_keep_their_order, after_order),
	CASE_THEN(what_was_written_behind_outlasts_a_failing_store,
		  after_failing),
	CASE(writing_behind_has_an_end),
	CASE_THEN(one_value_that_the_store_refuses_does_not_hold_up_others,
		  after_poison),
	CASE(a_scan_sees_what_was_written_behind_before),
	CASE(a_scan_that_would_miss_something_fails),
	CASE_THEN(the_end_stores_what_was_written_behind, after_end),
	{ "what_cannot_be_stored_at_the_end_is_said",
	  what_cannot_be_stored_at_the_end_is_said, NULL, ATOM_EIO },
};

int main(void)
{
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
