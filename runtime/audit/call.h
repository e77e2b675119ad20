/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_CALL_H
#define AUDIT_CALL_H

/*
 * The record of a call of an agent: the one that is made thousands of times a
 * second.  Its members are fixed, so that nothing is searched or sorted; where
 * the call ends only texts and numbers are copied, one behind the other, into
 * memory that the thread has at hand, and the sequencer makes the line of
 * them.  The line is the very one that record.h would make of the same
 * details; `stream` is there for a stream alone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "audit/record.h"

/* Texts are the caller's until the entry is made; NULL is "", and leaves the
 * detail out. */
struct audit_call {
	const char *user; /* principal */
	const char *address;
	const char *request_id;
	const char *agent;
	const char *code; /* of the failure */
	const char *revision;
	const char *session;
	int64_t duration_ms; /* negative: left out */
	int64_t input_bytes;
	int64_t input_tokens;
	int64_t output_bytes;
	int64_t output_tokens;
	int32_t status; /* from 500 on the event is AUDIT_CALL_FAILED */
	bool stream;
};

/* NULL without memory. [any] */
struct audit_entry *audit_call_entry(const struct audit_call *call);
/* As audit_entry_write(), of such an entry. [any] */
atom_status audit_call_write(const struct audit_entry *entry, uint64_t sequence,
			     const char *time, struct buffer *out);
/* The entry was read. [any] */
void audit_call_free(struct audit_entry *entry);

#endif
