/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

/*
 * What the tests of the sqlite store share: the built plugin, loaded and
 * driven through its table of functions on real files in a folder of its own,
 * and one-liners for what they do most.  The syncs of the program can be made
 * to fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <criterion/criterion.h>

#include <atomd/store.h>

/* As in the plugin; a test of its table would notice a difference. */
struct store_options {
	const char *directory;
	int64_t busy_timeout;
	int64_t checkpoint_size;
	int64_t cache_size;
	int64_t max_size;
	int64_t readers;
	int64_t check_time;
};

extern int syncs;	  /* fsync(2) and fdatasync(2) so far */
extern int syncs_to_fail; /* of the next ones, with EIO */

extern const struct atom_host store_host;
extern char last_event[64]; /* that the plugin logged */
extern const struct atom_store_ops *ops;
extern struct store_options options;
extern void *store;
extern struct atom_error err;

/* Init and fini of a suite: an open store in a new folder. */
void store_begin(void);
void store_end(void);
const struct atom_component *load(void);
atom_status open_store(void);
void close_store(void);
void reopen(void);
/* A path in the store's folder, of at most 128 bytes. */
void path_in(char *path, const char *name);

struct atom_span span(const char *text);
/* `value` NULL removes. */
struct atom_store_write write_of(const char *key, const char *value,
				 uint64_t expected);
struct atom_store_transaction transaction_of(struct atom_store_write *writes,
					     size_t count);
atom_status commit_write(struct atom_store_write *write);
/* A commit of one write to bucket "b"; *version_r may be NULL. */
atom_status put(const char *key, const char *value, uint64_t expected,
		uint64_t *version_r);
/* 200 records of 999 bytes, k000 to k199. */
void fill(void);

/* What visits saw: all keys, the last value. */
struct seen {
	size_t count;
	char keys[256];
	char value[64];
	uint64_t version;
	size_t value_length;
};

int32_t see(void *argument, const struct atom_store_record *record);
atom_status get(const char *key, struct seen *seen);

#endif
