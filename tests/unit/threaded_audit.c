/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log with its threads: many who post, a restart, a log that was
 * changed meanwhile, search and prune.  The linker puts functions of this
 * program before pthread_create() and mailbox_take() (--wrap).
 */
#include "audit_asked.h"
#include "audit_fixture.h"
#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/os.h"

#define THREADS 8
#define EACH	300

/* The next thread cannot be made; somebody posts in that moment. */
static _Atomic bool no_thread;
static atom_status meanwhile;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *argument), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *argument), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*start)(void *argument), void *argument)
{
	const struct audit_record record = asked_event("key:meanwhile");
	static struct asked a;

	if (!atomic_exchange(&no_thread, false))
		return __real_pthread_create(thread, attributes, start,
					     argument);
	asked_init(&a, 0);
	meanwhile = audit_post(&record, AUDIT_GATED, &a.waiter);
	return EAGAIN;
}

static void *post_many(void *argument)
{
	unsigned int number = *(unsigned int *)argument;
	char user[32];

	for (int i = 0; i < EACH; i++) {
		const struct audit_call call = { .user = user, .status = 200 };
		struct audit_record record;
		struct asked a;

		(void)snprintf(user, sizeof(user), "call:%u-%d", number, i);
		CHECK(audit_post_call(&call, AUDIT_BATCHED, NULL) == ATOM_OK);
		(void)snprintf(user, sizeof(user), "key:%u-%d", number, i);
		record = asked_event(user);
		asked_init(&a, number);
		CHECK(audit_post(&record, AUDIT_GATED, &a.waiter) == ATOM_OK);
		CHECK(asked_wait(&a) == ATOM_OK);
		(void)pthread_mutex_lock(&a.lock);
		CHECK(a.answers == 1);
		(void)pthread_mutex_unlock(&a.lock);
	}
	return NULL;
}

static void each_record_is_durable_before_it_is_answered_once(void)
{
	pthread_t threads[THREADS];
	unsigned int numbers[THREADS];
	char user[32];

	audit_begin_with("{ plugin = \"first\"; }");
	for (unsigned int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		CHECK(pthread_create(&threads[i], NULL, post_many,
				     &numbers[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	audit_end();
	/* Each once, a call before each, and the end of the daemon. */
	CHECK(stages[0].count == 2 * THREADS * EACH + 1);
	CHECK(stages[0].synced == stages[0].count);
	CHECK(stages[0].syncs < THREADS * EACH);
	stage_verify(&stages[0]);
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < EACH; i += 37) {
			int found = 0, calls = 0;
			char call[32];

			(void)snprintf(user, sizeof(user), "\"key:%d-%d\"", t,
				       i);
			(void)snprintf(call, sizeof(call), "\"call:%d-%d\"", t,
				       i);
			for (size_t n = 0; n < stages[0].count; n++) {
				const char *json = stages[0].lines[n].json;

				calls += strstr(json, call) != NULL;
				found += strstr(json, user) != NULL;
				CHECK(found <= calls);
			}
			CHECK(found == 1 && calls == 1);
		}
}

static void a_restart_goes_on_with_the_same_log(void)
{
	size_t before = stages[0].count;

	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:again", AUDIT_GATED) == ATOM_OK);
	audit_end();
	CHECK(stages[0].count == before + 2);
	stage_verify(&stages[0]);
}

static void refused_at_start(const char *what)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_record record = asked_event("key:x");

	audit_config = audit_fixture_config("{ plugin = \"first\"; }");
	CHECK(audit_start(audit_config, &err) != ATOM_OK);
	if (strstr(err.message, what) == NULL) {
		printf("# expected '%s' in: %s\n", what, err.message);
		CHECK(false);
	}
	CHECK(audit_post(&record, AUDIT_GATED, NULL) == ATOM_EUNAVAILABLE);
	audit_end();
}

static void a_changed_record_of_the_tail_is_noticed_at_start(void)
{
	struct stage *s = &stages[0];
	struct stage_line *line;
	size_t before;

	/* Without a head for the last records, as after a kill. */
	struct atom_audit_position old = s->position;
	char note[sizeof(s->note)];

	memcpy(note, s->note, sizeof(note));
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:tail", AUDIT_GATED) == ATOM_OK);
	audit_end();
	s->position = old;
	memcpy(s->note, note, sizeof(note));
	before = s->count;
	line = &s->lines[before - 2];
	line->json[10] ^= 1;
	refused_at_start("does not fit the records before it");
	CHECK(s->count == before);
	line->json[10] ^= 1;
}

static void a_changed_range_or_note_is_noticed_at_start(void)
{
	struct stage *s = &stages[0];

	s->position.range[0][5] ^= 1;
	refused_at_start("the sink's range is not the one of its signed head");
	s->position.range[0][5] ^= 1;
	s->note[70] ^= 1;
	refused_at_start("");
	s->note[70] ^= 1;
}

static void lost_records_are_noticed_at_start(void)
{
	struct stage *s = &stages[0];
	size_t count = s->count;

	s->count -= 2;
	refused_at_start("records are lost");
	s->count = count;
	audit_begin_with("{ plugin = \"first\"; }");
	audit_end();
	stage_verify(s);
	stage_clear(s);
	refused_at_start("records are lost");
}

static void a_lost_key_is_noticed_at_start(void)
{
	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:x", AUDIT_GATED) == ATOM_OK);
	audit_end();
	stage_verify(&stages[0]);
	{
		char path[300];

		(void)snprintf(path, sizeof(path), "%s/audit.key",
			       audit_fixture_folder());
		CHECK(unlink(path) == 0);
	}
	refused_at_start("audit.key");
}

static void a_full_ring_counts_calls_and_tells_of_the_gap(void)
{
	char text[AUDIT_TEXT_MAX + 1];
	const struct audit_call call = {
		.user = text, .agent = text, .session = text, .status = 200
	};
	uint64_t lost = 0, told = 0;
	atom_status status;

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	stage_hang(&stages[0], true);
	memset(text, 'x', AUDIT_TEXT_MAX);
	text[AUDIT_TEXT_MAX] = '\0';
	do {
		status = audit_post_call(&call, AUDIT_BATCHED, NULL);
	} while (status == ATOM_OK);
	CHECK(status == ATOM_EUNAVAILABLE);
	for (lost = 1; lost < 5; lost++)
		CHECK(audit_post_call(&call, AUDIT_BATCHED, NULL) != ATOM_OK);
	/* There is room kept for control. */
	{
		struct audit_record record = asked_event("key:control");

		CHECK(audit_post(&record, AUDIT_SOON, NULL) == ATOM_OK);
	}
	stage_hang(&stages[0], false);
	audit_end();
	stage_verify(&stages[0]);
	for (size_t i = 0; i < stages[0].count; i++)
		if (strstr(stages[0].lines[i].json, "\"audit.gap\"") != NULL) {
			const char *at =
				strstr(stages[0].lines[i].json, "{\"count\":");

			CHECK(at != NULL);
			told += strtoull(at + 9, NULL, 10);
		}
	CHECK(told == lost);
	CHECK(strstr(stages[0].lines[stages[0].count - 2].json,
		     "key:control") != NULL);
}

static void calls_are_durable_within_a_second(void)
{
	const struct audit_call call = { .status = 200 };
	int64_t began = os.monotonic_ns();

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(audit_post_call(&call, AUDIT_BATCHED, NULL) == ATOM_OK);
	stage_wait(&stages[0], 1);
	/* Much later would be wrong; a slow machine is not. */
	CHECK(os.monotonic_ns() - began < (int64_t)30 * 1000000000);
	audit_end();
	stage_verify(&stages[0]);
}

/* --- looking back --------------------------------------------------------------------- */

struct looked {
	struct asked asked;
	struct audit_search search;
};

static void on_found(struct audit_waiter *waiter, atom_status status)
{
	struct looked *l = CONTAINER_OF(waiter, struct looked, search.waiter);

	asked_answer(&l->asked.waiter, status);
}

static void prepare(struct looked *l)
{
	asked_init(&l->asked, 0);
	l->search.waiter.loop = l->asked.waiter.loop;
	l->search.waiter.done = on_found;
}

static void look(struct looked *l)
{
	prepare(l);
	CHECK(audit_search(&l->search) == ATOM_OK);
	CHECK(asked_wait(&l->asked) == ATOM_OK);
}

/* As calls come all the time, each sync would else be followed by one for the
 * few that came during it. */
static void what_comes_during_a_sync_waits_for_its_own_time(void)
{
	struct audit_record record = asked_event("key:call");
	struct asked first;
	int64_t began_ns;

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	asked_init(&first, 0);
	stage_hang(&stages[0], true);
	CHECK(audit_post(&record, AUDIT_GATED, &first.waiter) == ATOM_OK);
	stage_wait_writes(&stages[0], 1);
	began_ns = os.monotonic_ns();
	for (int i = 0; i < 5; i++)
		CHECK(audit_post(&record, AUDIT_BATCHED, NULL) == ATOM_OK);
	stage_hang(&stages[0], false);
	CHECK(asked_wait(&first) == ATOM_OK);
	stage_wait(&stages[0], 6);
	CHECK(os.monotonic_ns() - began_ns >= 800000000);
	CHECK(stages[0].writes == 2);
	audit_end();
	stage_verify(&stages[0]);
}

static void a_search_finds_the_last_ones_that_fit_in_order(void)
{
	struct looked l = { .search = { .query = { .limit = 3 } } };
	const char *at;
	char user[32];

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	for (int i = 0; i < 2500; i++) {
		struct audit_record record;

		(void)snprintf(user, sizeof(user), "key:%d", i % 1000);
		record = asked_event(user);
		CHECK(audit_post(&record, AUDIT_BATCHED, NULL) == ATOM_OK);
	}
	CHECK(post_and_wait("key:last", AUDIT_GATED) == ATOM_OK);
	(void)snprintf(l.search.query.user, AUDIT_WORD_MAX, "key:7");
	look(&l);
	CHECK(l.search.count == 3 && l.search.last == 2501);
	at = strstr(l.search.lines.bytes, "\"sequence\":8,");
	CHECK(at != NULL);
	at = strstr(at, "\"sequence\":1008,");
	CHECK(at != NULL);
	CHECK(strstr(at, "\"sequence\":2008,") != NULL);
	audit_search_fini(&l.search);

	memset(&l, 0, sizeof(l));
	l.search.query.limit = 2;
	l.search.query.after = 2499;
	(void)snprintf(l.search.query.type, AUDIT_WORD_MAX, "key.");
	look(&l);
	CHECK(l.search.count == 2);
	CHECK(strstr(l.search.lines.bytes, "key:last") != NULL);
	audit_search_fini(&l.search);

	memset(&l, 0, sizeof(l));
	(void)snprintf(l.search.query.category, AUDIT_WORD_MAX, "error_events");
	look(&l);
	CHECK(l.search.count == 0);
	audit_search_fini(&l.search);
	audit_end();
}

struct pruned {
	struct asked asked;
	struct audit_prune prune;
};

static void on_pruned(struct audit_waiter *waiter, atom_status status)
{
	struct pruned *p = CONTAINER_OF(waiter, struct pruned, prune.waiter);

	asked_answer(&p->asked.waiter, status);
}

/* Runs once, when the sequencer has taken the last entry; or NULL. */
static void (*_Atomic emptied)(void);

struct message *__real_mailbox_take(struct mailbox *box);
struct message *__wrap_mailbox_take(struct mailbox *box);

struct message *__wrap_mailbox_take(struct mailbox *box)
{
	struct message *message = __real_mailbox_take(box);
	void (*then)(void) = NULL;

	if (box == &audit.entries && message == NULL)
		then = atomic_exchange(&emptied, NULL);
	if (then != NULL)
		then();
	return message;
}

static struct looked between;

static void post_and_look(void)
{
	const struct audit_record record = asked_event("key:between");

	CHECK(audit_post(&record, AUDIT_SOON, NULL) == ATOM_OK);
	CHECK(audit_search(&between.search) == ATOM_OK);
}

static void a_search_finds_what_was_posted_just_before_it(void)
{
	const struct audit_record record = asked_event("key:before");

	audit_begin_anew();
	audit_begin_with("{ plugin = \"first\"; }");
	prepare(&between);
	between.search.query.limit = 1;
	(void)snprintf(between.search.query.user, AUDIT_WORD_MAX,
		       "key:between");
	atomic_store(&emptied, post_and_look);
	CHECK(audit_post(&record, AUDIT_SOON, NULL) == ATOM_OK);
	CHECK(asked_wait(&between.asked) == ATOM_OK);
	CHECK(between.search.count == 1);
	audit_search_fini(&between.search);
	audit_end();
}

static void a_prune_forgets_what_is_before_a_time(void)
{
	struct pruned p;
	int64_t middle;

	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:x", AUDIT_GATED) == ATOM_OK);
	memset(&p, 0, sizeof(p));
	asked_init(&p.asked, 0);
	middle = stages[0].lines[1700].time_ms;
	for (int i = 0; i < 1700; i++)
		stages[0].lines[i].time_ms = middle - 1;
	p.prune.before_ms = middle;
	p.prune.waiter.loop = p.asked.waiter.loop;
	p.prune.waiter.done = on_pruned;
	CHECK(audit_prune(&p.prune) == ATOM_OK);
	CHECK(asked_wait(&p.asked) == ATOM_OK);
	CHECK(p.prune.sequence == 1700 && p.prune.removed == 1700);
	CHECK(stages[0].lines[0].sequence == 1701);
	audit_end();
	/* The rest is taken up again by the signed range. */
	audit_begin_with("{ plugin = \"first\"; }");
	CHECK(post_and_wait("key:y", AUDIT_GATED) == ATOM_OK);
	audit_end();
}

/* Who posts while the sequencer's thread cannot be made would wait for ever,
 * and look at a sink that is freed: to them there is no log yet. */
static void a_log_without_a_thread_takes_nothing(void)
{
	no_thread = true;
	refused_at_start("a thread for audit");
	CHECK(!no_thread);
	CHECK(meanwhile == ATOM_ENOENT);
}

static const struct tap_test tests[] = {
	TAP_TEST(each_record_is_durable_before_it_is_answered_once),
	TAP_TEST(a_restart_goes_on_with_the_same_log),
	TAP_TEST(a_changed_record_of_the_tail_is_noticed_at_start),
	TAP_TEST(a_changed_range_or_note_is_noticed_at_start),
	TAP_TEST(lost_records_are_noticed_at_start),
	TAP_TEST(a_lost_key_is_noticed_at_start),
	TAP_TEST(a_full_ring_counts_calls_and_tells_of_the_gap),
	TAP_TEST(calls_are_durable_within_a_second),
	TAP_TEST(what_comes_during_a_sync_waits_for_its_own_time),
	TAP_TEST(a_search_finds_the_last_ones_that_fit_in_order),
	TAP_TEST(a_prune_forgets_what_is_before_a_time),
	TAP_TEST(a_search_finds_what_was_posted_just_before_it),
	TAP_TEST(a_log_without_a_thread_takes_nothing),
};

int main(void)
{
	return audit_tests_main(tests, ARRAY_SIZE(tests));
}
