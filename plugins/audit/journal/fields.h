/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_JOURNAL_FIELDS_H
#define AUDIT_JOURNAL_FIELDS_H

/*
 * One entry of the journal in the native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): fields one after the other,
 * each NAME=VALUE and a new line, or, when the value holds new lines, NAME, a
 * new line, its length in 8 bytes, little-endian, the value, a new line.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/audit.h>

struct fields {
	char *bytes;
	size_t length;
	size_t capacity;
	bool failed; /* out of memory: what is there is of no use */
};

/* An entry for a record: MESSAGE for people, PRIORITY, SYSLOG_IDENTIFIER,
 * SYSLOG_FACILITY (audit), and ATOMD_RECORD, _SEQUENCE, _HASH, _CATEGORY,
 * _EVENT_TYPE, _TIME; and one ATOMD_NAME for each further text or whole
 * number that stands at the top of the record (ATOMD_USER ...). */
void fields_of_record(struct fields *fields, const char *identifier,
		      const struct atom_audit_record *record);
/* An entry for a checkpoint: ATOMD_EVENT_TYPE is `checkpoint`,
 * ATOMD_CHECKPOINT the note as it is, ATOMD_VERIFIER its key. */
void fields_of_checkpoint(struct fields *fields, const char *identifier,
			  const struct atom_audit_checkpoint *head);
void fields_fini(struct fields *fields);

#endif
