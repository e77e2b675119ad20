/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FILE_SINK_FIXTURE_H
#define TESTS_UNIT_FILE_SINK_FIXTURE_H

/*
 * A file sink with a host around it that numbers, chains and signs as the
 * daemon does, in a folder of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/audit.h>

#include "audit/note.h"
#include "audit/tree.h"

/* The plugin's own struct: held together by the option table, which the
 * fixture compares. */
struct file_options {
	const char *path;
	int64_t segment_size, segment_age, retention, keep_size, low_space;
	int32_t encrypt, sync;
};

/* The host's side: what it has numbered, and its tree. */
struct audit_log {
	struct note_signer signer;
	uint8_t hash[32];
	struct tree_range range;
	uint64_t sequence;
};

extern const struct atom_audit_ops *audit_ops;
extern struct file_options audit_options;
extern struct audit_log audit_log;
extern void *audit_sink;
extern struct atom_error audit_err;
extern char audit_folder[64]; /* of the test; the log is in `log` there */
extern char audit_path[80];   /* the log's */
extern bool audit_has_seal;   /* does the host offer atom.seal/1? */
extern int64_t audit_now_ms;  /* what the host's clock says */
extern char audit_event[64];  /* the last line logged */
extern double audit_stage;    /* the last number of that metric */

#define AUDIT_SEED 7 /* each byte of the private key */

/* Loads the plugin as it is installed, or another build of it; its handle. */
void audit_load(void);
void *audit_load_file(const char *path);
/* A folder and a log that has nothing yet; no sink. */
void audit_begin(void);
void audit_end(void);
/* The sink. */
atom_status audit_open(void);
void audit_close(void);
/* Takes the host's side up again from what the sink says, as a daemon does
 * after a start: records behind the checkpoint are read. */
atom_status audit_resume(void);

/* A record of about 150 bytes; json lives until the next. */
struct atom_audit_record audit_record(uint64_t sequence);
/* Numbers `count` records and hands them over in one call; nothing is synced.
 * On failure the log stands where it stood. */
atom_status audit_write(size_t count);
atom_status audit_sync(void);
atom_status audit_checkpoint(void);
/* `count` records in batches of at most 16, each synced; asserts. */
void audit_fill(size_t count);
/* The signed note of what the log has now. */
size_t audit_note(char out[NOTE_TEXT_MAX]);

/* What the host seals with, for a verifier. */
atom_status audit_unseal(void *argument, const struct atom_span *identity,
			 const struct atom_span *sealed, char *out,
			 size_t *length_r, struct atom_error *err);

/* A file of the log as text; the caller free()s. */
char *audit_file(const char *name, size_t *length_r);
void audit_put_file(const char *name, const char *bytes, size_t length);
void audit_copy_log(const char *to);
void audit_remove(const char *path);

#endif
