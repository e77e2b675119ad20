/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns of a session: who gets it after whom.  There is one loop, which the
 * tests turn themselves, and no store: the linker puts functions of this
 * program before those that ask for it (--wrap).
 */
#include <criterion/criterion.h>

#include <string.h>

#include "agent/session.h"
#include "agent/session_priv.h"
#include "core/loop_priv.h"
#include "core/memory.h"
#include "failing_memory.h"
#include "state/state.h"

#define WAIT_MS 60000

static unsigned int stored, removed; /* in the store */

atom_status __wrap_state_attached(struct atom_error *err);
atom_status __wrap_state_write_behind(const char *bucket, struct atom_span key,
				      struct atom_span value,
				      struct atom_error *err);

atom_status __wrap_state_get(const char *bucket, struct atom_span key,
			     state_got done, void *argument,
			     struct atom_error *err);

atom_status __wrap_state_attached(struct atom_error *err)
{
	(void)err;
	return ATOM_OK;
}

atom_status __wrap_state_write_behind(const char *bucket, struct atom_span key,
				      struct atom_span value,
				      struct atom_error *err)
{
	(void)bucket;
	(void)key;
	(void)err;
	if (value.length > 0)
		stored++;
	else
		removed++;
	return ATOM_OK;
}

/* What it says of any record is damaged behind its state. */
atom_status __wrap_state_get(const char *bucket, struct atom_span key,
			     state_got done, void *argument,
			     struct atom_error *err)
{
	static const char text[] = "1 1 1 1 5\nstate[{";
	const struct state_record record = {
		.key = key, .value = { text, sizeof(text) - 1 }
	};

	(void)bucket;
	(void)err;
	done(argument, ATOM_OK, &record, NULL);
	return ATOM_OK;
}

/* All that there is cannot be read. */
atom_status __wrap_state_scan_now(
	const char *bucket, struct atom_span prefix,
	int32_t (*visit)(void *argument, const struct state_record *record),
	void *argument, struct atom_error *err);

atom_status __wrap_state_scan_now(
	const char *bucket, struct atom_span prefix,
	int32_t (*visit)(void *argument, const struct state_record *record),
	void *argument, struct atom_error *err)
{
	(void)bucket;
	(void)prefix;
	(void)visit;
	(void)argument;
	return atom_fail(err, ATOM_EIO, "the disk cannot be read");
}

struct caller {
	struct session_use use;
	unsigned int answers;
	atom_status status;
};

static void on_opened(struct session_use *use, atom_status status)
{
	struct caller *caller = CONTAINER_OF(use, struct caller, use);

	caller->answers++;
	caller->status = status;
}

static void turn(void)
{
	loop_deliver(loops_get(0), 100);
}

static void ask(struct caller *caller)
{
	static const struct config_memory limits = { .present = true,
						     .max_messages = 50,
						     .max_sessions = 10 };

	*caller = (struct caller){ .answers = 0 };
	session_open(&caller->use, loops_get(0), "agent", "key:alice", "one",
		     &limits, WAIT_MS, on_opened);
	turn();
}

static void say(struct caller *caller, const char *text)
{
	struct buffer said = BUFFER_INIT(100);

	cr_assert_eq(buffer_append_text(&said, text), ATOM_OK);
	session_close(&caller->use, &said, 1, NULL);
	buffer_fini(&said);
}

static void begin(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(loops_init(1, &err), ATOM_OK, "%s", err.message);
}

static void finish(void)
{
	session_fini();
	loops_fini();
}

TestSuite(sessions, .init = begin, .fini = finish);

Test(sessions, the_next_has_its_turn_when_there_is_no_memory_for_one)
{
	struct caller first, second, third;

	ask(&first);
	cr_assert_eq(first.answers, 1);
	cr_assert_eq(first.status, ATOM_OK);
	cr_assert(first.use.fresh);
	ask(&second);
	ask(&third);
	say(&first, "{\"content\":\"1\"}");
	cr_assert_eq(second.answers + third.answers, 0);
	turn();
	cr_assert_eq(second.answers, 1);
	cr_assert_eq(second.status, ATOM_OK);
	cr_assert_eq(second.use.message_count, 1);
	cr_assert_eq(third.answers, 0);

	ask(&first);
	session_close(&second.use, NULL, 0, NULL);
	failing_memory_begin(1);
	turn();
	cr_assert(failing_memory_end());
	cr_assert_eq(third.answers, 1);
	cr_assert_eq(third.status, ATOM_ENOMEM);
	cr_assert_eq(first.answers, 1, "it waits though the session is free");
	cr_assert_eq(first.status, ATOM_OK);
	cr_assert_eq(first.use.messages.length, strlen("{\"content\":\"1\"}"));
	session_close(&first.use, NULL, 0, NULL);
	turn();
	cr_assert_eq(second.answers + third.answers, 2, "each is told once");
}

static void on_deleted(void *argument, atom_status status)
{
	atom_status *status_r = argument;

	*status_r = status;
}

Test(sessions, who_waits_for_one_that_is_deleted_begins_anew)
{
	struct caller first, second, third;
	atom_status deleted = ATOM_EBUSY;

	ask(&first);
	say(&first, "{\"content\":\"old\"}");
	turn();
	ask(&first);
	cr_assert_eq(first.use.message_count, 1);
	ask(&second);
	session_delete(loops_get(0), "agent", "key:alice", "one", on_deleted,
		       &deleted);
	turn();
	cr_assert_eq(deleted, ATOM_OK);
	ask(&third);
	say(&first, "{\"content\":\"older\"}");
	turn();
	cr_assert_eq(removed, 1);
	cr_assert_eq(second.answers, 1);
	cr_assert_eq(second.status, ATOM_OK);
	cr_assert(second.use.fresh);
	cr_assert_eq(second.use.message_count, 0);
	cr_assert_eq(second.use.messages.length, 0);

	say(&second, "{\"content\":\"new\"}");
	turn();
	cr_assert_eq(stored, 2, "what the first two said to it");
	cr_assert_eq(third.answers, 1);
	cr_assert_eq(third.use.message_count, 1);
	cr_assert_eq(third.use.messages.length,
		     strlen("{\"content\":\"new\"}"));
	session_close(&third.use, NULL, 0, NULL);
	turn();
	cr_assert_eq(removed, 1);
	cr_assert_eq(session_count(), 1);
}

Test(sessions, one_that_is_damaged_holds_no_memory)
{
	char *key = session_key("key:alice", "one");
	struct caller caller;
	struct session *s;
	struct session_agent *agent;
	atom_status deleted = ATOM_EBUSY;

	ask(&caller);
	say(&caller, "{\"content\":\"1\"}");
	turn();
	s = session_find(loops_get(0), "agent", key);
	mem_free(key);
	cr_assert_not_null(s);
	agent = s->agent;
	cr_assert_gt(agent->loaded_bytes, 0);
	session_unload(s);
	cr_assert_eq(agent->loaded_bytes, 0);
	ask(&caller);
	cr_assert_eq(caller.status, ATOM_EDATALOSS);
	session_delete(loops_get(0), "agent", "key:alice", "one", on_deleted,
		       &deleted);
	turn();
	cr_assert_eq(deleted, ATOM_OK);
	cr_assert_eq(session_count(), 0);
	cr_assert_eq(agent->loaded_bytes, 0);
}

Test(sessions, one_that_was_not_read_at_start_is_looked_for)
{
	struct caller caller;

	cr_assert_eq(session_init(), ATOM_OK);
	ask(&caller);
	/* It is there, and not begun anew in its place. */
	cr_assert_eq(caller.status, ATOM_EDATALOSS);
	cr_assert_eq(stored, 0);
}
