/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_STORE_H
#define ATOMD_STORE_H

/*
 * atom.store/1: durable records.  Buckets of versioned records with
 * transactions, compare-and-set and scans, and append-only logs.
 *
 * All functions run on threads that may block.  `commit` and `append` never
 * run two at once for one component; `get`, `scan` and `read_log` may run
 * beside them and beside each other.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_STORE_BUCKET_MAX  64		  /* bytes of a bucket's name */
#define ATOM_STORE_KEY_MAX     512		  /* bytes of a key */
#define ATOM_STORE_VALUE_MAX   (16 * 1024 * 1024) /* bytes of a value */
#define ATOM_STORE_ANY_VERSION UINT64_MAX

/* One change of a transaction. */
struct atom_store_write {
	uint32_t struct_size;
	int32_t remove;	    /* 1: delete the record */
	const char *bucket; /* [a-z0-9_.-]{1,64} */
	struct atom_span key;
	struct atom_span value;
	/* 0: must not exist; ATOM_STORE_ANY_VERSION: whatever; else the
	 * version it must have. */
	uint64_t expected_version;
	uint64_t version_r; /* out: its new version; 0 when removed */
};

/* Several changes that become durable together or not at all. */
struct atom_store_transaction {
	uint32_t struct_size;
	uint32_t write_stride;
	void *writes; /* struct atom_store_write, by write_stride */
	size_t write_count;
	/* Out: ATOM_OK; ATOM_ECONFLICT when an expected version differed
	 * (nothing of this transaction is kept); else why. */
	atom_status status_r;
	uint32_t conflict_r; /* index of the first conflicting write */
};

struct atom_store_record {
	uint32_t struct_size;
	uint32_t reserved;
	struct atom_span key;
	struct atom_span value;
	uint64_t version;
};

/* Called for each record in key order; the record lives during the call;
 * non-zero ends the scan. */
typedef int32_t (*atom_store_visit)(void *argument,
				    const struct atom_store_record *record);

struct atom_store_log_entry {
	uint32_t struct_size;
	uint32_t reserved;
	uint64_t sequence; /* from 1 */
	int64_t time_ms;
	struct atom_span bytes;
};

typedef int32_t (*atom_store_log_visit)(
	void *argument, const struct atom_store_log_entry *entry);

struct atom_store_ops {
	ATOM_OPS_HEAD;
	/* Group commit: all transactions of the array, each atomic on its
	 * own, made durable by one sync.  ATOM_OK: every one has its
	 * status_r; else none is known to be kept and the store is unwell
	 * until `check` says otherwise. */
	atom_status (*commit)(void *self,
			      struct atom_store_transaction **transactions,
			      size_t count, struct atom_error *err);
	/* One record; ATOM_ENOENT when there is none.  `visit` is called at
	 * most once. */
	atom_status (*get)(void *self, const char *bucket,
			   const struct atom_span *key, atom_store_visit visit,
			   void *argument, struct atom_error *err);
	/* Keys from `prefix` on that begin with it, after `after` (may be
	 * empty), at most `limit` (0 = all). */
	atom_status (*scan)(void *self, const char *bucket,
			    const struct atom_span *prefix,
			    const struct atom_span *after, size_t limit,
			    atom_store_visit visit, void *argument,
			    struct atom_error *err);
	/* Append entries to a log durably; *sequence_r is the last one's. */
	atom_status (*append)(void *self, const char *log,
			      const struct atom_span *entries, size_t count,
			      int64_t time_ms, uint64_t *sequence_r,
			      struct atom_error *err);
	atom_status (*read_log)(void *self, const char *log,
				uint64_t from_sequence, size_t limit,
				atom_store_log_visit visit, void *argument,
				struct atom_error *err);
	/* Forget log entries up to and including `sequence`. */
	atom_status (*trim_log)(void *self, const char *log, uint64_t sequence,
				struct atom_error *err);
	/* Is what is stored sound and is there room to write?  Asked at start
	 * and after a failed commit. */
	atom_status (*check)(void *self, struct atom_error *err);
	/* A consistent copy into the file `path`. */
	atom_status (*backup)(void *self, const char *path,
			      struct atom_error *err);
	/* The names of the buckets that hold records, in byte order; a
	 * non-zero `visit` ends it.  May run beside `commit`, as `scan`. */
	atom_status (*buckets)(void *self,
			       int32_t (*visit)(void *argument,
						const char *bucket),
			       void *argument, struct atom_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
