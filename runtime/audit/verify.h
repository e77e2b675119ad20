/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_VERIFY_H
#define AUDIT_VERIFY_H

/*
 * Is the audit log in a folder what was written?  Needs no daemon and may run
 * beside one that writes; nothing is changed.
 *
 * Every record is hashed into the chain and into the tree again; each signed
 * head has to be signed by the key and to have the root that the records
 * make; and each byte of each file of the log is looked at
 * (docs/audit-format.md says what covers what).  What is behind the last
 * signed head is chained but not signed: a kill leaves such a tail.
 *
 * The first thing that is wrong ends the walk: what comes behind it proves
 * nothing any more.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "audit/folder.h"
#include "audit/note.h"
#include "audit/outside.h"
#include "core/buffer.h"

enum verify_verdict {
	VERIFY_SOUND,
	VERIFY_TAMPERED,   /* something is not what was written */
	VERIFY_INCOMPLETE, /* something is missing, or could not be seen */
};

/* Opens what the daemon's keyring has sealed for the file sink. */
struct verify_unsealer {
	void *argument;
	/* As `open` of atom.seal/1. */
	atom_status (*open)(void *argument, const struct atom_span *identity,
			    const struct atom_span *sealed, char *out,
			    size_t *length_r, struct atom_error *err);
};

struct verify_request {
	const char *path;
	/* NULL: the key in the folder is believed. */
	const struct note_verifier *key;
	struct outside_notes *outside;		/* NULL: none */
	const struct verify_unsealer *unsealer; /* NULL: no keyring */
};

#define VERIFY_REASON_MAX 600

struct verify_result {
	enum verify_verdict verdict;
	uint64_t records;	    /* that are here and fit */
	uint64_t first, last;	    /* their numbers; 0 when there are none */
	uint64_t signed_records;    /* a signed head covers 1 to this one */
	uint64_t pruned;	    /* records that a tombstone stands for */
	uint64_t unread;	    /* sealed records without a key */
	uint64_t first_bad;	    /* the first record that does not fit; 0 */
	uint64_t torn_bytes;	    /* a tail that a crash has torn */
	uint64_t remains_bytes;	    /* unsynced, of segments that failed */
	size_t notes;		    /* kept outside and agreed with */
	size_t notes_unchecked;	    /* of records that are pruned or unread */
	char file[FOLDER_NAME_MAX]; /* where it is wrong; "" */
	uint64_t offset;
	char reason[VERIFY_REASON_MAX];	   /* "" when there is nothing to say */
	struct buffer unknown, unfinished; /* names, one a line */
};

/* Not ATOM_OK: it could not be looked at (no such folder, no log in it, a
 * disk error), and there is no verdict. */
atom_status verify_log(const struct verify_request *request,
		       struct verify_result *result_r, struct atom_error *err);
void verify_result_fini(struct verify_result *result);
const char *verify_verdict_name(enum verify_verdict verdict);

#endif
