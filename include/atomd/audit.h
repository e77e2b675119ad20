/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_AUDIT_H
#define ATOMD_AUDIT_H

/*
 * atom.audit/1: keeps audit records.  All functions run on the component's
 * own thread, strictly in sequence.  What `sync` has answered with ATOM_OK is
 * durable; a failed sync is never retried on the same file.
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
	uint8_t hash[32];      /* SHA-256 over the one before and this one */
};

struct atom_audit_checkpoint {
	uint32_t struct_size;
	uint32_t signature_size;
	uint64_t sequence; /* covers records 1 to this one */
	int64_t time_ms;
	uint8_t root[32]; /* RFC 6962 tree head */
	const uint8_t *signature;
	const char *key_id;
};

struct atom_audit_ops {
	ATOM_OPS_HEAD;
	/* Take `count` records, `stride` bytes apart.  May buffer. */
	atom_status (*write)(void *self, const void *records, size_t count,
			     size_t stride, struct atom_error *err);
	/* All taken so far is durable. */
	atom_status (*sync)(void *self, struct atom_error *err);
	/* May be NULL. */
	atom_status (*checkpoint)(void *self,
				  const struct atom_audit_checkpoint *head,
				  struct atom_error *err);
	/* The last sequence kept, 0 = none; asked once after create. */
	atom_status (*last)(void *self, uint64_t *sequence_r,
			    uint8_t hash_r[32], struct atom_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
