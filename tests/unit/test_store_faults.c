/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sqlite store when something is wrong: killed, damaged, without room,
 * syncs that fail; and what it does beside that.
 */
#include "store_fixture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

TestSuite(store_faults, .init = store_begin, .fini = store_end);

/* --- killed -------------------------------------------------------------- */

/* Commits until killed, and says so after each. */
static void commit_for_ever(int fd)
{
	char key[16], value[600];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0;; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		if (put(key, value, 0, NULL) != ATOM_OK ||
		    write(fd, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

Test(store_faults, what_was_acknowledged_outlives_a_kill)
{
	int last = -1;
	int fds[2];
	pid_t child;

	close_store();
	cr_assert_eq(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		if (open_store() != ATOM_OK)
			_exit(1);
		commit_for_ever(fds[1]);
	}
	(void)close(fds[1]);
	while (last < 500)
		cr_assert_eq(read(fds[0], &last, sizeof(last)), sizeof(last));
	(void)kill(child, SIGKILL);
	while (read(fds[0], &last, sizeof(last)) == sizeof(last))
		;
	(void)waitpid(child, NULL, 0);
	(void)close(fds[0]);

	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	for (int i = 0; i <= last; i++) {
		struct seen seen;
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(get(key, &seen), ATOM_OK, "%s of %d", key, last);
		cr_assert_eq(seen.value_length, 599);
	}
}

/* --- damage -------------------------------------------------------------- */

static void overwrite(off_t at, size_t length)
{
	char path[128], junk[4096];
	int fd;

	path_in(path, "state.db");
	memset(junk, 0x5a, sizeof(junk));
	fd = open(path, O_WRONLY);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, junk, length, at), (ssize_t)length);
	(void)close(fd);
}

Test(store_faults, a_damaged_database_is_refused)
{
	fill();
	close_store();
	overwrite(8 * 4096, 4096);
	cr_assert_eq(open_store(), ATOM_EDATALOSS);
	cr_assert(strstr(err.message, "damaged"), "%s", err.message);
}

Test(store_faults, what_is_no_database_is_refused)
{
	fill();
	close_store();
	overwrite(0, 100);
	cr_assert_eq(open_store(), ATOM_EDATALOSS);
	cr_assert(strstr(err.message, "state.db"), "%s", err.message);
}

Test(store_faults, a_log_without_its_database_is_refused)
{
	char path[128];
	int fd;

	close_store();
	path_in(path, "state.db");
	cr_assert_eq(truncate(path, 0), 0);
	path_in(path, "state.db-wal");
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	cr_assert_eq(write(fd, "log", 3), 3);
	(void)close(fd);
	cr_assert_eq(open_store(), ATOM_EDATALOSS);
}

Test(store_faults, damage_found_while_reading_ends_writing)
{
	bool found = false;
	struct seen seen;
	char key[16];

	fill();
	close_store();
	for (int page = 8; page < 12; page++)
		overwrite(page * 4096, 4096);
	options.check_time = 0;
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(key, sizeof(key), "k%03d", i);
		if (get(key, &seen) == ATOM_EDATALOSS)
			found = true;
	}
	cr_assert(found);
	cr_assert_str_eq(last_event, "store_damaged");
	cr_assert_eq(put("new", "v", 0, NULL), ATOM_EDATALOSS);
	cr_assert_eq(ops->check(store, &err), ATOM_EDATALOSS);
	cr_assert_eq(get("k199", &seen), ATOM_OK);
}

/* --- full and failing disks ---------------------------------------------- */

/* Until it fails; how many were acknowledged. */
static int put_until_full(int first, atom_status *status_r)
{
	char key[16], value[20000];
	int i;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (i = first; i < first + 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		*status_r = put(key, value, 0, NULL);
		if (*status_r != ATOM_OK)
			break;
	}
	return i;
}

static void expect_all(int count)
{
	struct seen seen;
	char key[16];

	for (int i = 0; i < count; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(get(key, &seen), ATOM_OK, "%s: %s", key,
			     err.message);
	}
}

Test(store_faults, a_full_disk_is_an_error_and_no_loss)
{
	struct rlimit limit;
	atom_status status;
	rlim_t whole;
	int count;

	/* A file that may not grow stands for a disk without room. */
	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	whole = limit.rlim_cur;
	limit.rlim_cur = 1 << 20;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	count = put_until_full(0, &status);
	cr_assert_eq(status, ATOM_EIO);
	cr_assert_gt(count, 10);
	cr_assert_lt(count, 1000);
	cr_assert(strstr(err.message, "state.db"), "%s", err.message);
	expect_all(count);

	limit.rlim_cur = whole;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(ops->check(store, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(put("more", "v", 0, NULL), ATOM_OK);
	reopen();
	expect_all(count);
}

Test(store_faults, max_size_is_an_error_and_check_knows)
{
	atom_status status;
	int count;

	close_store();
	options.max_size = 1 << 20;
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	cr_assert_eq(ops->check(store, &err), ATOM_OK, "%s", err.message);
	count = put_until_full(0, &status);
	cr_assert_eq(status, ATOM_EIO);
	cr_assert(strstr(err.message, "max_size"), "%s", err.message);
	cr_assert_eq(ops->check(store, &err), ATOM_EIO);
	expect_all(count);
	for (int i = 0; i < 10; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "k%d", i);
		cr_assert_eq(put(key, NULL, ATOM_STORE_ANY_VERSION, NULL),
			     ATOM_OK, "%s", err.message);
	}
	cr_assert_eq(ops->check(store, &err), ATOM_OK, "%s", err.message);
}

Test(store_faults, a_failed_sync_is_not_taken_for_success)
{
	uint64_t before, after;
	struct seen seen;

	cr_assert_eq(put("kept", "v", 0, &before), ATOM_OK);
	syncs_to_fail = 1;
	cr_assert_eq(put("lost", "v", 0, NULL), ATOM_EIO);
	cr_assert(strstr(err.message, "commit"), "%s", err.message);
	cr_assert_eq(get("kept", &seen), ATOM_OK);
	cr_assert_eq(ops->check(store, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(put("next", "v", 0, &after), ATOM_OK);
	cr_assert_gt(after, before);
	reopen();
	cr_assert_eq(get("kept", &seen), ATOM_OK);
	cr_assert_eq(get("next", &seen), ATOM_OK);
}

Test(store_faults, while_syncs_fail_nothing_is_acknowledged)
{
	struct seen seen;

	cr_assert_eq(put("kept", "v", 0, NULL), ATOM_OK);
	syncs_to_fail = 1000;
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(put("lost", "v", 0, NULL), ATOM_EIO);
		cr_assert_eq(ops->check(store, &err), ATOM_EIO);
		cr_assert_eq(get("kept", &seen), ATOM_OK, "%s", err.message);
	}
	syncs_to_fail = 0;
	cr_assert_eq(ops->check(store, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(put("new", "v", 0, NULL), ATOM_OK);
}

/* --- backup, checkpoint, beside each other ------------------------------- */

Test(store_faults, a_backup_is_a_store)
{
	char path[128];
	struct seen seen;

	fill();
	path_in(path, "../copy");
	cr_assert_eq(mkdir(path, 0700), 0);
	path_in(path, "../copy/state.db");
	cr_assert_eq(ops->backup(store, path, &err), ATOM_OK, "%s",
		     err.message);
	cr_assert_eq(put("later", "v", 0, NULL), ATOM_OK);
	close_store();
	path_in((char *)options.directory, "../copy");
	cr_assert_eq(open_store(), ATOM_OK, "%s", err.message);
	cr_assert_eq(get("k199", &seen), ATOM_OK);
	cr_assert_eq(get("later", &seen), ATOM_ENOENT);
}

Test(store_faults, a_backup_that_cannot_be_made_leaves_no_file)
{
	struct stat st;
	char path[128];

	path_in(path, "absent/copy.db");
	cr_assert_eq(ops->backup(store, path, &err), ATOM_EIO);
	path_in(path, "state.db");
	cr_assert_eq(ops->backup(store, path, &err), ATOM_EINVAL);
	path_in(path, "copy.db");
	fill();
	syncs_to_fail = 1;
	cr_assert_eq(ops->backup(store, path, &err), ATOM_EIO);
	cr_assert_eq(stat(path, &st), -1);
	path_in(path, "copy.db.partial");
	cr_assert_eq(stat(path, &st), -1);
}

/* Somebody has the database locked for as long. */
static bool locked;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int sqlite3_backup_step(
	sqlite3_backup *backup, int pages)
{
	int (*step)(sqlite3_backup * backup, int pages);

	*(void **)&step = dlsym(RTLD_NEXT, "sqlite3_backup_step");
	return locked ? SQLITE_BUSY : step(backup, pages);
}

static int records_in(const char *path)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int count;

	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	cr_assert_eq(sqlite3_prepare_v2(db, "SELECT count(*) FROM record", -1,
					&st, NULL),
		     SQLITE_OK, "%s", sqlite3_errmsg(db));
	cr_assert_eq(sqlite3_step(st), SQLITE_ROW);
	count = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return count;
}

Test(store_faults, a_backup_that_a_lock_kept_empty_is_none)
{
	char path[128];
	int count;

	fill();
	path_in(path, "copy.db");
	cr_assert_eq(ops->backup(store, path, &err), ATOM_OK);
	count = records_in(path);
	cr_assert_gt(count, 0);
	locked = true;
	cr_assert_eq(ops->backup(store, path, &err), ATOM_EBUSY);
	cr_assert_eq(records_in(path), count, "the one of before is whole");
}

Test(store_faults, the_write_ahead_log_does_not_grow_without_end)
{
	struct stat st;
	char path[128];

	for (int i = 0; i < 20; i++) {
		char value[100000];

		memset(value, 'a' + i, sizeof(value) - 1);
		value[sizeof(value) - 1] = '\0';
		for (int j = 0; j < 5; j++)
			cr_assert_eq(
				put("k", value, ATOM_STORE_ANY_VERSION, NULL),
				ATOM_OK);
	}
	path_in(path, "state.db-wal");
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_lt(st.st_size, 3 * options.checkpoint_size);
}

static bool readers_stop;

static void *read_for_ever(void *argument)
{
	const struct atom_span everything = { "", 0 };
	struct atom_error why = ATOM_ERROR_INIT;
	size_t *failures = argument;

	while (!__atomic_load_n(&readers_stop, __ATOMIC_RELAXED)) {
		struct seen seen = { 0 };

		if (ops->scan(store, "b", &everything, &everything, 0, see,
			      &seen, &why) != ATOM_OK ||
		    seen.count < 200)
			++*failures;
	}
	return NULL;
}

Test(store_faults, readers_go_on_beside_a_writer_that_fails)
{
	size_t failures[6] = { 0 };
	pthread_t threads[6];

	fill();
	for (int i = 0; i < 6; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, read_for_ever,
					    &failures[i]),
			     0);
	for (int i = 0; i < 100; i++) {
		if (i % 20 == 19)
			syncs_to_fail = 1;
		cr_assert_eq(
			put("k000", "changed", ATOM_STORE_ANY_VERSION, NULL),
			i % 20 == 19 ? ATOM_EIO : ATOM_OK);
	}
	__atomic_store_n(&readers_stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 6; i++) {
		(void)pthread_join(threads[i], NULL);
		cr_assert_eq(failures[i], 0);
	}
}
