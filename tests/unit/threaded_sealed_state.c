/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State with a keyring: what the store gets, what comes back, what is
 * refused, and moving all of it to another data key while it is used.
 */
#include "state_fixture.h"

#include <stdatomic.h>

#include "core/os.h"
#include "keyring/keyring.h"

static struct keyring *keyring;
static uint8_t kek[KEYRING_KEY_BYTES];

static void open_keyring(void)
{
	char path[128];

	CHECK(os.random(kek, sizeof(kek)) == 0);
	(void)snprintf(path, sizeof(path), "%s/keyring", store.folder);
	CHECK(keyring_create(path, kek, false, &keyring, &err) == ATOM_OK);
	state_use_keyring(keyring);
}

/* --- behind state's back -------------------------------------------------- */

struct raw {
	char bytes[256];
	size_t length;
};

static int32_t copy_raw(void *argument, const struct atom_store_record *record)
{
	struct raw *raw = argument;

	CHECK(record->value.length <= sizeof(raw->bytes));
	memcpy(raw->bytes, record->value.bytes, record->value.length);
	raw->length = record->value.length;
	return 1;
}

static struct raw read_raw(const char *key)
{
	const struct atom_span k = state_text(key);
	struct raw raw = { .length = 0 };

	CHECK(store.real->get(store.self, "b", &k, copy_raw, &raw, &err) ==
	      ATOM_OK);
	return raw;
}

static void write_raw(const char *key, const struct raw *raw)
{
	struct atom_store_write write = {
		.struct_size = sizeof(write),
		.bucket = "b",
		.key = state_text(key),
		.value = { raw->bytes, raw->length },
		.expected_version = ATOM_STORE_ANY_VERSION,
	};
	struct atom_store_transaction t = {
		.struct_size = sizeof(t),
		.write_stride = sizeof(write),
		.writes = &write,
		.write_count = 1,
	};
	struct atom_store_transaction *one = &t;

	CHECK(store.real->commit(store.self, &one, 1, &err) == ATOM_OK);
	CHECK(t.status_r == ATOM_OK);
}

static void write_plain(const char *key, const char *text)
{
	struct raw raw = { .length = strlen(text) };

	memcpy(raw.bytes, text, raw.length);
	write_raw(key, &raw);
}

static uint32_t version_of(const char *key)
{
	struct raw raw = read_raw(key);
	const struct atom_span bytes = { raw.bytes, raw.length };

	return keyring_version_of(&bytes);
}

/* --- rewraps -------------------------------------------------------------- */

static void begin_rewrap(void *unused)
{
	(void)unused;
	CHECK(state_rewrap(&err) == ATOM_OK);
}

/* It says so itself; its pages are jobs with pauses between them. */
static void rewrap(void)
{
	struct state_rewrap status;
	uint32_t version;

	CHECK(keyring_begin_rewrap(keyring, &version, &err) == ATOM_OK);
	on(loop_control(), begin_rewrap, NULL);
	for (int i = 0; i < WAIT_S * 100; i++) {
		const struct timespec moment = { .tv_nsec = 10000000 };

		state_rewrap_status(&status);
		if (status.phase == STATE_REWRAP_IDLE)
			return;
		(void)nanosleep(&moment, NULL);
	}
	CHECK(!"the rewrap has not ended");
}

static size_t versions(void)
{
	static struct keyring_status status;

	keyring_status(keyring, &status);
	return status.count;
}

/* --- cases ---------------------------------------------------------------- */

static void the_store_gets_sealed_values_and_callers_plain_ones(void)
{
	struct commit c;
	struct raw raw;

	CHECK(commit(&c, "k", "secret", STATE_NEW) == ATOM_OK);
	CHECK(c.version > 0);
	raw = read_raw("k");
	CHECK(raw.length == strlen("secret") + KEYRING_OVERHEAD);
	CHECK(!memmem(raw.bytes, raw.length, "secret", 6));
	CHECK(strcmp(get("k").value, "secret") == 0);
	CHECK(get("k").version == c.version);
	CHECK(commit(&c, "k", "other", c.version) == ATOM_OK);
	CHECK(commit(&c, "k", "third", STATE_NEW) == ATOM_ECONFLICT);
	CHECK(strcmp(get("k").value, "other") == 0);

	/* Read while it waits and while it is written; then sealed. */
	set(&store.hold, true);
	behind("w", "waiting");
	CHECK(strcmp(get("w").value, "waiting") == 0);
	wait_held(1);
	CHECK(strcmp(get("w").value, "waiting") == 0);
	set(&store.hold, false);
	CHECK(strcmp(scan("", "", 0).keys, "k w ") == 0);
	CHECK(version_of("w") == 1);
	CHECK(commit(&c, "empty", "", STATE_NEW) == ATOM_OK);
	CHECK(get("empty").status == ATOM_OK);
	CHECK(strcmp(get("empty").value, "") == 0);
}

static void what_was_changed_or_moved_is_refused_and_named(void)
{
	struct state_record *record = NULL;
	struct commit c;
	struct raw raw;

	CHECK(commit(&c, "a", "of a", STATE_NEW) == ATOM_OK);
	CHECK(commit(&c, "b", "of b", STATE_NEW) == ATOM_OK);
	CHECK(commit(&c, "good", "good", STATE_NEW) == ATOM_OK);
	raw = read_raw("a");
	write_raw("b", &raw);
	raw.bytes[raw.length - 1] ^= 1;
	write_raw("a", &raw);
	CHECK(get("a").status == ATOM_EDATALOSS);
	CHECK(get("b").status == ATOM_EDATALOSS);
	CHECK(state_get_now("b", state_text("b"), &record, &err) ==
	      ATOM_EDATALOSS);
	CHECK(strstr(err.message, "record b of bucket b"));
	CHECK(strcmp(get("good").value, "good") == 0);
	/* A scan tells of them, and goes on. */
	CHECK(strcmp(scan("", "", 0).keys, "a b good ") == 0);
	/* They can be written anew. */
	CHECK(commit(&c, "a", "anew", STATE_ANY) == ATOM_OK);
	CHECK(strcmp(get("a").value, "anew") == 0);
}

static void plain_values_are_read_until_all_are_sealed_and_never_after(void)
{
	struct commit c;

	write_plain("old", "plain");
	CHECK(strcmp(get("old").value, "plain") == 0);
	CHECK(!keyring_state_sealed(keyring));
	CHECK(commit(&c, "new", "sealed", STATE_NEW) == ATOM_OK);
	rewrap();
	CHECK(keyring_state_sealed(keyring));
	CHECK(version_of("old") == 1);
	CHECK(strcmp(get("old").value, "plain") == 0);
	write_plain("old", "smuggled in");
	write_plain("new", "smuggled in");
	CHECK(get("old").status == ATOM_EDATALOSS);
	CHECK(get("new").status == ATOM_EDATALOSS);
	/* What cannot be opened is not touched, and does not block the end. */
	rewrap();
	CHECK(get("old").status == ATOM_EDATALOSS);
}

static void a_version_that_a_damaged_record_names_is_kept(void)
{
	uint32_t version;
	struct commit c;
	struct raw raw;

	CHECK(commit(&c, "a", "of a", STATE_NEW) == ATOM_OK);
	raw = read_raw("a");
	raw.bytes[raw.length - 1] ^= 1;
	write_raw("a", &raw);
	CHECK(keyring_rotate(keyring, &version, &err) == ATOM_OK);
	rewrap();
	CHECK(versions() == 2);
	raw.bytes[raw.length - 1] ^= 1;
	write_raw("a", &raw);
	CHECK(strcmp(get("a").value, "of a") == 0);
	rewrap();
	CHECK(versions() == 1);
	CHECK(strcmp(get("a").value, "of a") == 0);
}

static atomic_bool enough;
static atomic_int written;

/* Counts up in one record, each step on the condition of the one before. */
static void *count_up(void *argument)
{
	const char *key = argument;
	char value[16];
	struct commit c;
	int n = 0;

	while (!atomic_load(&enough) || n < 20) {
		(void)snprintf(value, sizeof(value), "%d", n);
		/* A rewrap gives records new versions at any time. */
		CHECK(commit(&c, key, value, STATE_ANY) == ATOM_OK);
		CHECK(strcmp(get(key).value, value) == 0);
		n++;
	}
	atomic_fetch_add(&written, n);
	return NULL;
}

static void all_is_moved_while_it_is_used(void)
{
	static const char *const keys[] = { "c0", "c1", "c2" };
	pthread_t threads[3];
	struct commit c;
	char key[16];

	for (int i = 0; i < 400; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		behind(key, key);
	}
	CHECK(commit(&c, "first", "1", STATE_NEW) == ATOM_OK);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, count_up,
				     (void *)(uintptr_t)keys[i]) == 0);
	for (int turn = 0; turn < 3; turn++) {
		uint32_t version;

		CHECK(keyring_rotate(keyring, &version, &err) == ATOM_OK);
		rewrap();
		CHECK(versions() == 1);
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 3; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK(atomic_load(&written) >= 60);
	/* Which waits for what was written behind. */
	CHECK(scan("none", "", 0).status == ATOM_OK);
	for (int i = 0; i < 400; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		CHECK(strcmp(get(key).value, key) == 0);
		CHECK(version_of(key) == 4);
	}
}

static void a_rewrap_waits_for_a_store_that_fails(void)
{
	uint32_t version;
	struct commit c;

	CHECK(commit(&c, "k", "v", STATE_NEW) == ATOM_OK);
	CHECK(keyring_rotate(keyring, &version, &err) == ATOM_OK);
	set(&store.fail, true);
	CHECK(commit(&c, "x", "v", STATE_NEW) != ATOM_OK);
	CHECK(keyring_begin_rewrap(keyring, &version, &err) == ATOM_OK);
	on(loop_control(), begin_rewrap, NULL);
	for (;;) {
		struct state_rewrap status;
		const struct timespec moment = { .tv_nsec = 10000000 };

		state_rewrap_status(&status);
		CHECK(status.phase != STATE_REWRAP_IDLE);
		if (status.message[0] != '\0')
			break;
		(void)nanosleep(&moment, NULL);
	}
	CHECK(versions() == 2);
	set(&store.fail, false);
	wait_health(false);
	rewrap();
	CHECK(versions() == 1);
	CHECK(version_of("k") == 2);
	CHECK(strcmp(get("k").value, "v") == 0);
}

static const struct one_case cases[] = {
	CASE(the_store_gets_sealed_values_and_callers_plain_ones),
	CASE(what_was_changed_or_moved_is_refused_and_named),
	CASE(plain_values_are_read_until_all_are_sealed_and_never_after),
	CASE(a_version_that_a_damaged_record_names_is_kept),
	CASE(all_is_moved_while_it_is_used),
	CASE(a_rewrap_waits_for_a_store_that_fails),
};

int main(void)
{
	when_attached = open_keyring;
	return run_cases(cases, ARRAY_SIZE(cases));
}
