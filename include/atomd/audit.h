/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_AUDIT_H
#define ATOMD_AUDIT_H

/*
 * atom.audit/1: keeps audit records.  All functions run on the component's
 * own thread, strictly in sequence.  What `sync` has answered with ATOM_OK is
 * durable; a failed sync is never retried on the same file.
 *
 * The host numbers the records, chains them by SHA-256 and signs the head of
 * the log: a Merkle tree of RFC 6962 over all records since the first, in a
 * signed note of C2SP (tlog-checkpoint), so that a sink need not be trusted.
 * A sink that can be read (`read`, `last`) is also where the host takes the
 * log up again after a restart.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct atom_audit_record {
	uint32_t struct_size;
	int32_t severity;     /* ATOM_LOG_* */
	uint64_t sequence;    /* from 1, no gaps */
	int64_t time_ms;      /* Unix time */
	const char *category; /* "agent_lifecycle" ... */
	const char *event_type;
	struct atom_span json; /* the canonical record, one line, no '\n' */
	/* SHA-256(hash before || SHA-256(0x00 || json)). */
	uint8_t hash[32];
};

/* Hashes that stand for everything before: the roots of the largest perfect
 * subtrees of the tree over records 1 to `sequence`, left to right.  With
 * them the tree goes on without the records. */
#define ATOM_AUDIT_RANGE_MAX 64

/* The signed head of the log, after each second that had records and at
 * stop.  All records up to `sequence` have been given to `write` before, none
 * after it has. */
struct atom_audit_checkpoint {
	uint32_t struct_size;
	uint32_t range_count;
	uint64_t sequence; /* covers records 1 to this one */
	int64_t time_ms;
	uint8_t root[32];      /* of the tree */
	uint8_t hash[32];      /* of record `sequence`: the chain's head */
	const uint8_t *range;  /* range_count times 32 bytes */
	struct atom_span note; /* the signed note, text */
	const char *verifier;  /* the note's verifier key, text: public */
};

/* Where a sink stands; the host sets struct_size. */
struct atom_audit_position {
	uint32_t struct_size;
	uint32_t range_count;
	uint64_t sequence;   /* the last record kept, 0 = none */
	uint64_t checkpoint; /* of the last checkpoint kept, 0 = none */
	uint8_t hash[32];    /* of record `sequence` */
	uint8_t range[ATOM_AUDIT_RANGE_MAX][32]; /* of that checkpoint */
	/* That checkpoint's signed note, as it was given: the host goes on
	 * from a range only that it has signed itself.  Lives until the next
	 * call into the sink. */
	struct atom_span note;
};

/* Non-zero ends the reading. */
typedef int32_t (*atom_audit_visit)(void *argument,
				    const struct atom_audit_record *record);

struct atom_audit_ops {
	ATOM_OPS_HEAD;
	/* Take `count` records, `stride` bytes apart.  May buffer. */
	atom_status (*write)(void *self, const void *records, size_t count,
			     size_t stride, struct atom_error *err);
	/* All taken so far is durable.  ATOM_ENOTSUP: it is taken, and this
	 * sink never knows more than that, which is no failure; the required
	 * sink has to know, and is refused at the start. */
	atom_status (*sync)(void *self, struct atom_error *err);
	/* Keep or send the head; durable when it returns ATOM_OK.  NULL: this
	 * sink has no use for heads. */
	atom_status (*checkpoint)(void *self,
				  const struct atom_audit_checkpoint *head,
				  struct atom_error *err);
	/* Where the sink stands; asked once after create.  ATOM_EDATALOSS: it
	 * is damaged, with the place.  NULL: it cannot tell (a stream). */
	atom_status (*last)(void *self, struct atom_audit_position *position_r,
			    struct atom_error *err);
	/* Visits kept records with a sequence above `after`, rising, at most
	 * `limit`; what a visit points to lives during the visit.  NULL: this
	 * sink cannot be read. */
	atom_status (*read)(void *self, uint64_t after, uint64_t limit,
			    atom_audit_visit visit, void *argument,
			    struct atom_error *err);
	/* Forget whole records up to `sequence` as far as the sink's shape
	 * allows, leaving what later records are verified by.  *removed_r: how
	 * many.  NULL: cannot. */
	atom_status (*prune)(void *self, uint64_t sequence, uint64_t *removed_r,
			     struct atom_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
