/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sqlite store while nothing is wrong: records, logs, its folder, its
 * schema, backups.
 */
#include "store_fixture.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(store_sqlite, .init = store_begin, .fini = store_end);

/* --- records ------------------------------------------------------------- */

static const char *scan(struct atom_span prefix, const char *after,
			size_t limit)
{
	const struct atom_span from = span(after);
	static struct seen seen;

	memset(&seen, 0, sizeof(seen));
	cr_assert_eq(
		ops->scan(store, "b", &prefix, &from, limit, see, &seen, &err),
		ATOM_OK, "%s", err.message);
	return seen.keys;
}

Test(store_sqlite, a_record_is_there_after_reopening)
{
	struct seen seen;
	uint64_t version;

	cr_assert_eq(put("k", "v", 0, &version), ATOM_OK);
	reopen();
	cr_assert_eq(get("k", &seen), ATOM_OK);
	cr_assert_str_eq(seen.value, "v");
	cr_assert_eq(seen.version, version);
	cr_assert_eq(get("other", &seen), ATOM_ENOENT);
}

Test(store_sqlite, compare_and_set_wants_the_version_it_names)
{
	uint64_t first, second;
	struct seen seen;

	cr_assert_eq(put("k", "1", 7, NULL), ATOM_ECONFLICT);
	cr_assert_eq(put("k", "1", 0, &first), ATOM_OK);
	cr_assert_eq(put("k", "2", 0, NULL), ATOM_ECONFLICT);
	cr_assert_eq(put("k", "2", first, &second), ATOM_OK);
	cr_assert_gt(second, first);
	cr_assert_eq(put("k", "3", first, NULL), ATOM_ECONFLICT);
	cr_assert_eq(put("k", NULL, first, NULL), ATOM_ECONFLICT);
	cr_assert_eq(get("k", &seen), ATOM_OK);
	cr_assert_str_eq(seen.value, "2");
	cr_assert_eq(put("k", "any", ATOM_STORE_ANY_VERSION, NULL), ATOM_OK);
}

Test(store_sqlite, a_version_never_comes_again)
{
	uint64_t first, again;

	cr_assert_eq(put("k", "1", 0, &first), ATOM_OK);
	cr_assert_eq(put("k", NULL, first, NULL), ATOM_OK);
	reopen();
	cr_assert_eq(put("k", "1", 0, &again), ATOM_OK);
	cr_assert_gt(again, first);
}

Test(store_sqlite, a_conflict_leaves_nothing_of_its_transaction)
{
	struct atom_store_write writes[] = {
		write_of("a", "1", 0),
		write_of("b", "1", 99),
		write_of("c", "1", 0),
	};
	struct atom_store_transaction t = transaction_of(writes, 3);
	struct atom_store_transaction *all[] = { &t };
	struct seen seen;

	cr_assert_eq(ops->commit(store, all, 1, &err), ATOM_OK);
	cr_assert_eq(t.status_r, ATOM_ECONFLICT);
	cr_assert_eq(t.conflict_r, 1);
	cr_assert_eq(get("a", &seen), ATOM_ENOENT);
	cr_assert_eq(get("c", &seen), ATOM_ENOENT);
}

Test(store_sqlite, a_group_has_mixed_results_and_one_sync)
{
	struct atom_store_write writes[40];
	struct atom_store_transaction ts[40];
	struct atom_store_transaction *all[40];
	char keys[40][8];
	struct seen seen;
	int before;

	cr_assert_eq(put("taken", "1", 0, NULL), ATOM_OK);
	for (size_t i = 0; i < 40; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%02zu", i);
		writes[i] = write_of(i % 4 == 1 ? "taken" : keys[i], "new", 0);
		if (i % 4 == 2)
			writes[i].bucket = "No Such";
		ts[i] = transaction_of(&writes[i], 1);
		all[i] = &ts[i];
	}
	before = syncs;
	cr_assert_eq(ops->commit(store, all, 40, &err), ATOM_OK);
	cr_assert_eq(syncs, before + 1);
	for (size_t i = 0; i < 40; i++) {
		atom_status expected = i % 4 == 1   ? ATOM_ECONFLICT
				       : i % 4 == 2 ? ATOM_EINVAL
						    : ATOM_OK;

		cr_assert_eq(ts[i].status_r, expected);
		cr_assert_eq(get(keys[i], &seen),
			     expected == ATOM_OK ? ATOM_OK : ATOM_ENOENT);
	}
	cr_assert_eq(get("taken", &seen), ATOM_OK);
	cr_assert_str_eq(seen.value, "1");
}

Test(store_sqlite, later_transactions_of_a_group_see_earlier_ones)
{
	struct atom_store_write first = write_of("k", "1", 0);
	struct atom_store_write second = write_of("k", "2", 0);
	struct atom_store_transaction a = transaction_of(&first, 1);
	struct atom_store_transaction b = transaction_of(&second, 1);
	struct atom_store_transaction *all[] = { &a, &b };

	cr_assert_eq(ops->commit(store, all, 2, &err), ATOM_OK);
	cr_assert_eq(a.status_r, ATOM_OK);
	cr_assert_eq(b.status_r, ATOM_ECONFLICT);
}

Test(store_sqlite, names_and_sizes_are_judged)
{
	char long_key[ATOM_STORE_KEY_MAX + 2];
	char bucket[ATOM_STORE_BUCKET_MAX + 2];
	struct atom_store_write write;
	static char big[1];

	memset(long_key, 'k', sizeof(long_key));
	long_key[sizeof(long_key) - 1] = '\0';
	cr_assert_eq(put(long_key, "v", 0, NULL), ATOM_EINVAL);
	cr_assert_eq(put(long_key + 1, "v", 0, NULL), ATOM_OK);
	cr_assert_eq(put("", "v", 0, NULL), ATOM_EINVAL);
	memset(bucket, 'b', sizeof(bucket));
	bucket[sizeof(bucket) - 1] = '\0';
	write = write_of("k", "v", 0);
	write.bucket = bucket;
	cr_assert_eq(commit_write(&write), ATOM_EINVAL);
	write.bucket = bucket + 1;
	cr_assert_eq(commit_write(&write), ATOM_OK);
	write = write_of("k", "v", 0);
	write.value = (struct atom_span){ big, ATOM_STORE_VALUE_MAX + 1 };
	cr_assert_eq(commit_write(&write), ATOM_ELIMIT);
}

Test(store_sqlite, an_empty_value_and_bytes_of_all_kinds_are_kept)
{
	struct atom_store_write write = write_of("k", "", 0);
	struct seen seen;

	cr_assert_eq(commit_write(&write), ATOM_OK);
	cr_assert_eq(get("k", &seen), ATOM_OK);
	cr_assert_eq(seen.value_length, 0);
	write = write_of("z", "", 0);
	write.key = (struct atom_span){ "z\0\377", 3 };
	write.value = (struct atom_span){ "\0\0\377", 3 };
	cr_assert_eq(commit_write(&write), ATOM_OK);
	memset(&seen, 0, sizeof(seen));
	cr_assert_eq(ops->get(store, "b", &write.key, see, &seen, &err),
		     ATOM_OK);
	cr_assert_eq(seen.value_length, 3);
}

Test(store_sqlite, a_scan_goes_by_prefix_in_byte_order)
{
	static const char *const keys[] = { "a",  "ab", "ab\377", "ab\377z",
					    "ac", "b",	"\377",	  "\377\377" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		cr_assert_eq(put(keys[i], "v", 0, NULL), ATOM_OK);
	cr_assert_str_eq(scan(span(""), "", 0),
			 "a ab ab\377 ab\377z ac b \377 \377\377");
	cr_assert_str_eq(scan(span("ab"), "", 0), "ab ab\377 ab\377z");
	cr_assert_str_eq(scan(span("ab\377"), "", 0), "ab\377 ab\377z");
	cr_assert_str_eq(scan(span("\377"), "", 0), "\377 \377\377");
	cr_assert_str_eq(scan(span("\377"), "\377", 0), "\377\377");
	cr_assert_str_eq(scan(span(""), "ab", 2), "ab\377 ab\377z");
	cr_assert_str_eq(scan(span("ab"), "a", 1), "ab");
	cr_assert_str_eq(scan(span("b"), "c", 0), "");
	cr_assert_str_eq(scan(span("x"), "", 0), "");
}

static int32_t add_name(void *argument, const char *bucket)
{
	char *names = argument;
	size_t length = strlen(names);

	(void)snprintf(names + length, 64 - length, "%s ", bucket);
	return strcmp(bucket, "stop") == 0;
}

static const char *buckets(void)
{
	static char names[64];

	names[0] = '\0';
	cr_assert_eq(ops->buckets(store, add_name, names, &err), ATOM_OK, "%s",
		     err.message);
	return names;
}

Test(store_sqlite, buckets_are_those_that_hold_records_in_order)
{
	static const char *const names[] = { "b", "stop", "a.b", "-", "z" };

	cr_assert_str_eq(buckets(), "");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (int key = 0; key < 3; key++) {
			const char text[2] = { (char)('a' + key), '\0' };
			struct atom_store_write write = {
				.struct_size = sizeof(write),
				.bucket = names[i],
				.key = span(text),
				.value = span("v"),
				.expected_version = ATOM_STORE_ANY_VERSION,
			};

			cr_assert_eq(commit_write(&write), ATOM_OK);
		}
	cr_assert_str_eq(buckets(), "- a.b b stop ");
}

/* --- logs ---------------------------------------------------------------- */

struct log_seen {
	uint64_t first;
	uint64_t last;
	size_t count;
	char text[64];
};

static int32_t see_log(void *argument, const struct atom_store_log_entry *entry)
{
	struct log_seen *seen = argument;

	if (seen->count++ == 0)
		seen->first = entry->sequence;
	seen->last = entry->sequence;
	(void)snprintf(seen->text, sizeof(seen->text), "%.*s@%d",
		       (int)entry->bytes.length, entry->bytes.bytes,
		       (int)entry->time_ms);
	return 0;
}

static struct log_seen read_log(uint64_t from, size_t limit)
{
	struct log_seen seen = { 0, 0, 0, "" };

	cr_assert_eq(ops->read_log(store, "audit", from, limit, see_log, &seen,
				   &err),
		     ATOM_OK);
	return seen;
}

Test(store_sqlite, a_log_is_appended_read_and_trimmed)
{
	const struct atom_span entries[] = { span("one"), span("two"),
					     span("three") };
	struct log_seen seen;
	uint64_t sequence;

	cr_assert_eq(
		ops->append(store, "audit", entries, 3, 42, &sequence, &err),
		ATOM_OK);
	cr_assert_eq(sequence, 3);
	cr_assert_eq(
		ops->append(store, "other", entries, 1, 42, &sequence, &err),
		ATOM_OK);
	cr_assert_eq(sequence, 1);
	seen = read_log(0, 0);
	cr_assert_eq(seen.count, 3);
	cr_assert_str_eq(seen.text, "three@42");
	seen = read_log(2, 1);
	cr_assert_eq(seen.first, 2);
	cr_assert_eq(seen.count, 1);
	cr_assert_eq(read_log(UINT64_MAX, 0).count, 0);

	cr_assert_eq(ops->trim_log(store, "audit", 2, &err), ATOM_OK);
	cr_assert_eq(read_log(0, 0).first, 3);
	cr_assert_eq(ops->trim_log(store, "audit", UINT64_MAX, &err), ATOM_OK);
	cr_assert_eq(read_log(0, 0).count, 0);
	reopen();
	cr_assert_eq(
		ops->append(store, "audit", entries, 1, 42, &sequence, &err),
		ATOM_OK);
	cr_assert_eq(sequence, 4, "a trimmed log begins anew");
	cr_assert_eq(
		ops->append(store, "A log", entries, 1, 42, &sequence, &err),
		ATOM_EINVAL);
}

/* --- the folder ---------------------------------------------------------- */

Test(store_sqlite, nobody_else_can_read_its_files)
{
	static const char *const names[] = { "state.db", "state.db-wal",
					     "state.db-shm", "state.lock" };
	struct stat st;
	char path[128];

	cr_assert_eq(put("k", "v", 0, NULL), ATOM_OK);
	for (size_t i = 0; i < 4; i++) {
		path_in(path, names[i]);
		cr_assert_eq(stat(path, &st), 0, "%s", path);
		cr_assert_eq(st.st_mode & 0777, 0600, "%s", path);
	}
	path_in(path, "");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
}

Test(store_sqlite, a_second_one_on_the_folder_is_refused)
{
	void *second = NULL;

	cr_assert_eq(ops->create(&store_host, &options, &second, &err),
		     ATOM_EBUSY);
	cr_assert(strstr(err.message, "another atomd"), "%s", err.message);
	cr_assert_null(second);
	reopen();
}

Test(store_sqlite, a_folder_that_others_may_write_to_is_refused)
{
	char path[128];

	close_store();
	path_in(path, "");
	cr_assert_eq(chmod(path, 0777), 0);
	cr_assert_eq(open_store(), ATOM_EPERM);
	cr_assert(strstr(err.message, "0777"), "%s", err.message);
}

Test(store_sqlite, a_relative_folder_starts_at_the_hosts)
{
	struct seen seen;
	char *whole = (char *)options.directory;

	cr_assert_eq(put("k", "v", 0, NULL), ATOM_OK);
	close_store();
	options.directory = strdup(whole + strlen(store_host.directory) + 1);
	free(whole);
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	cr_assert_eq(get("k", &seen), ATOM_OK);
}

Test(store_sqlite, no_directory_is_a_sentence)
{
	close_store();
	free((char *)options.directory);
	options.directory = strdup("");
	cr_assert_eq(open_store(), ATOM_EINVAL);
	cr_assert(strstr(err.message, "directory"));
}

/* --- schemas ------------------------------------------------------------- */

static void script(const char *sql)
{
	char path[128];
	sqlite3 *db;

	path_in(path, "state.db");
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
		     sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

Test(store_sqlite, an_older_schema_is_brought_up)
{
	const struct atom_span entry = span("e");
	struct seen seen;
	uint64_t n;

	cr_assert_eq(put("k", "v", 0, NULL), ATOM_OK);
	close_store();
	/* Schema 1 had no logs. */
	script("DROP TABLE log; DROP TABLE log_head; PRAGMA user_version = 1");
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	cr_assert_str_eq(last_event, "store_migrated");
	cr_assert_eq(get("k", &seen), ATOM_OK);
	cr_assert_str_eq(seen.value, "v");
	cr_assert_eq(ops->append(store, "audit", &entry, 1, 0, &n, &err),
		     ATOM_OK);
}

Test(store_sqlite, a_newer_schema_is_refused_and_left_alone)
{
	struct seen seen;

	cr_assert_eq(put("k", "v", 0, NULL), ATOM_OK);
	close_store();
	script("PRAGMA user_version = 99");
	cr_assert_eq(open_store(), ATOM_ENOTSUP);
	cr_assert(strstr(err.message, "newer"), "%s", err.message);
	script("PRAGMA user_version = 2");
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	cr_assert_eq(get("k", &seen), ATOM_OK);
}

Test(store_sqlite, another_programs_database_is_refused)
{
	close_store();
	script("PRAGMA application_id = 7");
	cr_assert_eq(open_store(), ATOM_ENOTSUP);
	cr_assert(strstr(err.message, "another program"), "%s", err.message);
}

/* --- the table of options ------------------------------------------------ */

Test(store_sqlite, its_options_are_those_this_test_uses)
{
	const struct atom_component *component = load();

	cr_assert_eq(component->options_size, sizeof(struct store_options));
	cr_assert_eq(component->option_count, 7);
	cr_assert_str_eq(component->kind, ATOM_KIND_STORE);
	cr_assert_str_eq(component->name, "sqlite");
}
