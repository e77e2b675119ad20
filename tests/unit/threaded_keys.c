/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that change while loops look them up, over a store that fails.
 */
#include "core/log.h"
#include "core/os.h"
#include "security/keys_priv.h"
#include "state_fixture.h"

#define ROTATIONS 200
#define LOOK_UPS  50 /* of one turn of a reader */

/* --- the wall clock, so many days on --------------------------------------------- */

static _Atomic int days;
static int64_t (*real_realtime_ms)(void);

static int64_t shifted_realtime_ms(void)
{
	return real_realtime_ms() +
	       (int64_t)atomic_load(&days) * 24 * 60 * 60 * 1000;
}

/* --- control, asked and waited for --------------------------------------------- */

static struct {
	const char *id; /* NULL: make one */
	int64_t grace_ms;
	bool revoke;
	unsigned int owed;  /* answers */
	atom_status status; /* of the last one */
	char made_id[SECRET_ID_LENGTH + 1];
	char text[KEY_TEXT_MAX];
} order;

static void on_row(void *argument, atom_status status, json_t *row,
		   const struct atom_error *error)
{
	(void)argument;
	(void)error;
	(void)pthread_mutex_lock(&lock);
	order.status = status;
	if (status == ATOM_OK) {
		(void)snprintf(order.made_id, sizeof(order.made_id), "%s",
			       json_string_value(json_object_get(row, "id")));
		(void)snprintf(order.text, sizeof(order.text), "%s",
			       json_string_value(json_object_get(row, "key")));
	}
	order.owed--;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

static void on_revoked(void *argument, atom_status status,
		       const struct atom_error *error)
{
	on_row(argument, status == ATOM_OK ? ATOM_ECANCELED : status, NULL,
	       error);
}

static void begin_order(void *argument)
{
	const struct key_request request = {
		.role = "caller",
		.created_by = "test",
		.allowed = UINT32_MAX,
	};
	const struct key_rotation rotation = {
		.grace_ms = order.grace_ms,
		.allowed = UINT32_MAX,
	};

	(void)argument;
	if (order.revoke)
		keys_revoke(order.id, on_revoked, NULL);
	else if (order.id != NULL)
		keys_rotate(order.id, &rotation, on_row, NULL);
	else
		keys_create(&request, on_row, NULL);
}

static void start_order(const char *id, int64_t grace_ms, bool revoke)
{
	order.id = id;
	order.grace_ms = grace_ms;
	order.revoke = revoke;
	(void)pthread_mutex_lock(&lock);
	order.owed++;
	(void)pthread_mutex_unlock(&lock);
	on(loop_control(), begin_order, NULL);
}

/* Until nothing is owed. */
static atom_status wait_order(void)
{
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(order.owed == 0);
	(void)pthread_mutex_unlock(&lock);
	return order.status;
}

static atom_status rotate(const char *id, int64_t grace_ms)
{
	start_order(id, grace_ms, false);
	return wait_order();
}

static void load(void *argument)
{
	(void)argument;
	CHECK(keys_load(&err) == ATOM_OK);
}

static void unload(void *argument)
{
	(void)argument;
	keys_fini();
	secret_fini();
}

static void reload(void *argument)
{
	unload(argument);
	load(argument);
}

/* A key, and its text in `text`. */
static void begin(char id[SECRET_ID_LENGTH + 1], char text[KEY_TEXT_MAX])
{
	on(loop_control(), load, NULL);
	start_order(NULL, 0, false);
	CHECK(wait_order() == ATOM_OK);
	memcpy(id, order.made_id, sizeof(order.made_id));
	memcpy(text, order.text, sizeof(order.text));
}

/* --- what a loop sees ------------------------------------------------------------ */

struct look {
	const char *text;
	bool good;
};

static void do_look(void *argument)
{
	struct look *look = argument;
	uint8_t hash[SECRET_HASH_LENGTH];
	char id[SECRET_ID_LENGTH + 1];
	struct key *key;

	CHECK(secret_parse(look->text, id));
	CHECK(secret_hash(look->text, strlen(look->text), hash) == ATOM_OK);
	key = key_find(id);
	look->good = key_matches(key, hash, os.realtime_ms()) &&
		     key_in_force(key, os.realtime_ms());
}

/* On every loop the same. */
static bool opens(const char *text)
{
	struct look look = { text, false }, other = { text, false };

	on(loops_get(0), do_look, &look);
	on(loops_get(1), do_look, &other);
	CHECK(look.good == other.good);
	return look.good;
}

/* One reader a loop, that comes again until it is told to stop. */
struct reader {
	struct message message;
	const char *id;
	unsigned int turns;
};

static _Atomic bool stop;
static _Atomic unsigned int readers;

static void read_on(struct loop *loop, struct message *message)
{
	struct reader *r = CONTAINER_OF(message, struct reader, message);
	uint8_t hash[SECRET_HASH_LENGTH] = { 0 };

	for (int i = 0; i < LOOK_UPS; i++) {
		struct key *key = key_find(r->id);

		CHECK(key != NULL && strcmp(key->id, r->id) == 0);
		CHECK(!key_matches(key, hash, os.realtime_ms()));
		CHECK(key_in_force(key, os.realtime_ms()));
	}
	r->turns++;
	if (!atomic_load(&stop)) {
		loop_post(loop, message);
		return;
	}
	(void)pthread_mutex_lock(&lock);
	readers--;
	ring();
	(void)pthread_mutex_unlock(&lock);
}

/* --- cases ----------------------------------------------------------------------- */

static void loops_read_on_while_keys_are_rotated_and_made(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX], before[KEY_TEXT_MAX];
	struct reader r[2] = {
		{ .message.deliver = read_on, .id = id },
		{ .message.deliver = read_on, .id = id },
	};

	begin(id, text);
	readers = 2;
	loop_post(loops_get(0), &r[0].message);
	loop_post(loops_get(1), &r[1].message);
	for (int i = 0; i < ROTATIONS; i++) {
		memcpy(before, text, sizeof(before));
		CHECK(rotate(id, 0) == ATOM_OK);
		memcpy(text, order.text, sizeof(text));
		CHECK(opens(text) && !opens(before));
		/* Another one: sooner or later of the same shard. */
		start_order(NULL, 0, false);
		CHECK(wait_order() == ATOM_OK);
		CHECK(opens(order.text));
	}
	atomic_store(&stop, true);
	(void)pthread_mutex_lock(&lock);
	WAIT_UNTIL(readers == 0);
	(void)pthread_mutex_unlock(&lock);
	CHECK(r[0].turns > 0 && r[1].turns > 0);
	on(loop_control(), unload, NULL);
}

static void a_rotation_that_the_store_refuses_changes_nothing(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];

	begin(id, text);
	set(&store.fail, true);
	CHECK(rotate(id, 0) != ATOM_OK);
	CHECK(opens(text));
	set(&store.fail, false);
	wait_health(false);
	on(loop_control(), reload, NULL);
	CHECK(opens(text));
	CHECK(rotate(id, 60000) == ATOM_OK);
	CHECK(opens(text) && opens(order.text));
	on(loop_control(), unload, NULL);
}

static void use_and_flush(void *argument)
{
	struct key *key = key_find(argument);

	CHECK(key->changing);
	atomic_store(&key->last_used_ms, os.realtime_ms());
	keys_flush();
}

/* Else the record with the old secret, written behind the new one, would be
 * what a restart finds. */
static void the_time_of_use_does_not_bring_an_old_secret_back(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];

	begin(id, text);
	set(&store.hold, true);
	start_order(id, 0, false);
	wait_held(1);
	on(loop_control(), use_and_flush, id);
	/* The one under way is the only one. */
	CHECK(opens(text));
	set(&store.hold, false);
	CHECK(wait_order() == ATOM_OK);
	CHECK(opens(order.text) && !opens(text));
	on(loop_control(), reload, NULL);
	CHECK(opens(order.text) && !opens(text));
	on(loop_control(), unload, NULL);
}

static void what_is_revoked_during_its_rotation_stays_revoked(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];

	begin(id, text);
	set(&store.hold, true);
	start_order(id, 60000, false);
	wait_held(1);
	start_order(id, 0, true);
	CHECK(!opens(text));
	set(&store.hold, false);
	/* In order: the rotation has failed, the revocation has not. */
	CHECK(wait_order() == ATOM_ECANCELED);
	on(loop_control(), reload, NULL);
	CHECK(!opens(text));
	on(loop_control(), unload, NULL);
}

static void a_revocation_acts_at_once_and_is_stored_when_the_store_can(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];

	begin(id, text);
	set(&store.fail, true);
	start_order(id, 0, true);
	CHECK(!opens(text));
	CHECK(wait_order() != ATOM_OK && order.status != ATOM_ECANCELED);
	set(&store.fail, false);
	wait_health(false);
	on(loop_control(), reload, NULL);
	CHECK(!opens(text));
	on(loop_control(), unload, NULL);
}

static void both_secrets_are_read_back(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];

	begin(id, text);
	CHECK(rotate(id, 3600000) == ATOM_OK);
	on(loop_control(), reload, NULL);
	CHECK(opens(text) && opens(order.text));
	CHECK(rotate(id, 3600000) == ATOM_ECONFLICT);
	on(loop_control(), unload, NULL);
}

static size_t listed;

static void do_list(void *argument)
{
	const char *next;
	json_t *rows = keys_list("", 100, &next);

	(void)argument;
	CHECK(next == NULL);
	listed = json_array_size(rows);
	json_decref(rows);
}

/* Or the most keys that are allowed would one day all be dead ones. */
static void what_was_revoked_long_ago_is_forgotten_and_nothing_else(void)
{
	char id[SECRET_ID_LENGTH + 1], text[KEY_TEXT_MAX];
	char dead[KEY_TEXT_MAX];

	begin(id, text);
	start_order(NULL, 0, false);
	CHECK(wait_order() == ATOM_OK);
	memcpy(dead, order.text, sizeof(dead));
	start_order(order.made_id, 0, true);
	CHECK(wait_order() == ATOM_ECANCELED);
	atomic_store(&days, 89);
	on(loop_control(), reload, NULL);
	on(loop_control(), do_list, NULL);
	CHECK(listed == 2);
	atomic_store(&days, 91);
	for (int i = 0; i < 2; i++) {
		on(loop_control(), reload, NULL);
		on(loop_control(), do_list, NULL);
		CHECK(listed == 1);
		CHECK(opens(text) && !opens(dead));
	}
	on(loop_control(), unload, NULL);
}

/* --- records with a damaged number ------------------------------------------------- */

/* In the order in which they are listed, the store's is that of the names. */
static const struct {
	const char *id;
	const char *number;
	int64_t created_ms;
} numbered[] = {
	/* The greatest there is, the next ones share it. */
	{ "hhhhhhhhhhhh", "\"number\":9007199254740992,", 100 },
	{ "bbbbbbbbbbbb", "\"number\":8,", 400 },
	{ "cccccccccccc", "\"number\":7,", 600 },
	{ "aaaaaaaaaaaa", "\"number\":7,", 500 },
	/* None of these is a number. */
	{ "iiiiiiiiiiii", "", 900 },
	{ "dddddddddddd", "\"number\":\"9\",", 800 },
	{ "gggggggggggg", "\"number\":-1,", 700 },
	{ "ffffffffffff", "\"number\":9007199254740993,", 600 },
	{ "eeeeeeeeeeee", "\"number\":0,", 500 },
	{ "jjjjjjjjjjjj", "\"number\":8.0,", 400 },
};

#define NUMBERED (sizeof(numbered) / sizeof(numbered[0]))

static void store_numbered(void *argument)
{
	struct state_transaction *t = state_transaction_new();
	char text[512];

	(void)argument;
	CHECK(t != NULL);
	for (size_t i = 0; i < NUMBERED; i++) {
		(void)snprintf(text, sizeof(text),
			       "{%s\"created_ms\":%lld,\"role\":\"caller\","
			       "\"hash\":\"%064d\"}",
			       numbered[i].number,
			       (long long)numbered[i].created_ms, 0);
		CHECK(state_transaction_put(
			      t, KEYS_BUCKET, state_text(numbered[i].id),
			      state_text(text), STATE_NEW, &err) == ATOM_OK);
	}
	CHECK(state_commit_now(t, &err) == ATOM_OK);
	state_transaction_free(&t);
}

/* Those of `numbered`, in that order, behind so many others. */
static void expect_numbered(void *argument)
{
	const size_t *others = argument;
	const struct key *key = keys_first();

	for (size_t i = 0; i < *others; i++, key = key->next)
		CHECK(key->number == KEY_NUMBER_MAX);
	for (size_t i = 0; i < NUMBERED; i++, key = key->next)
		CHECK(key != NULL && strcmp(key->id, numbered[i].id) == 0);
	CHECK(key == NULL);
}

/* How many a line of the log names that came since; 0: there is none. */
static uint64_t told_until;
static size_t told;

static bool look_for_uncounted(void *argument, const struct log_kept *line)
{
	const char *at = strstr(line->json, " records of API keys have no");

	(void)argument;
	if (at == NULL)
		return true;
	CHECK(told == 0 && line->level == ATOM_LOG_WARN);
	CHECK(strstr(line->json, "\"event\":\"keys_uncounted\"") != NULL);
	while (at[-1] >= '0' && at[-1] <= '9')
		at--;
	told = strtoul(at, NULL, 10);
	return true;
}

static size_t uncounted_at_reload(void)
{
	told = 0;
	on(loop_control(), reload, NULL);
	told_until = log_visit(told_until, look_for_uncounted, NULL);
	return told;
}

static void do_flush(void *argument)
{
	(void)argument;
	keys_flush();
}

static void a_key_whose_number_is_damaged_is_good_and_listed_by_its_time(void)
{
	size_t others = 0;

	on(loop_control(), load, NULL);
	on(loop_control(), store_numbered, NULL);
	CHECK(uncounted_at_reload() == 6);
	on(loop_control(), expect_numbered, &others);
	/* What is made now is the newest, after a restart as well. */
	start_order(NULL, 0, false);
	CHECK(wait_order() == ATOM_OK);
	others = 1;
	on(loop_control(), expect_numbered, &others);
	on(loop_control(), do_flush, NULL);
	/* Once it is stored that they have none only two pairs are left. */
	while (uncounted_at_reload() != 2)
		(void)usleep(10000);
	on(loop_control(), expect_numbered, &others);
	CHECK(opens(order.text));
	on(loop_control(), unload, NULL);
}

static const struct one_case cases[] = {
	CASE(loops_read_on_while_keys_are_rotated_and_made),
	CASE(a_rotation_that_the_store_refuses_changes_nothing),
	CASE(the_time_of_use_does_not_bring_an_old_secret_back),
	CASE(what_is_revoked_during_its_rotation_stays_revoked),
	CASE(a_revocation_acts_at_once_and_is_stored_when_the_store_can),
	CASE(both_secrets_are_read_back),
	CASE(what_was_revoked_long_ago_is_forgotten_and_nothing_else),
	CASE(a_key_whose_number_is_damaged_is_good_and_listed_by_its_time),
};

int main(void)
{
	real_realtime_ms = os.realtime_ms;
	os.realtime_ms = shifted_realtime_ms;
	return run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}
