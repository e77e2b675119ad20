/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

/*
 * From what happened to a record: one line of canonical JSON, the members
 * sorted by the bytes of their names, no white space, integers and strings
 * alone, control bytes escaped, UTF-8.
 *
 *	{"address":"10.0.0.7","category":"security_events","details":{...},
 *	 "event_type":"key.create","ocsf":{...},"request_id":"req_...",
 *	 "sequence":12,"severity":"info","time":"2026-01-02T03:04:05.678Z",
 *	 "user":"key:..."}
 *
 * What happens fills a struct audit_record on its stack; it becomes an entry
 * (one allocation) that waits for the sequencer, which gives it its number
 * and its time.  A record holds at most AUDIT_DETAILS_MAX details and
 * AUDIT_TEXT_MAX bytes of each text: longer ones are cut and end in "...".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/event.h"
#include "core/buffer.h"
#include "core/loop.h"
#include "core/text.h"

#define AUDIT_DETAILS_MAX 16
#define AUDIT_TEXT_MAX	  256
/* A record's line at its longest: every byte of every text escaped. */
#define AUDIT_LINE_MAX ((size_t)64 * 1024)

struct audit_detail {
	const char *name;
	const char *text; /* NULL: the number */
	int64_t number;
};

/* Texts are the caller's until the entry is made; NULL is "". */
struct audit_record {
	enum audit_event event;
	const char *user;    /* principal */
	const char *address; /* of who asked */
	const char *request_id;
	size_t detail_count;
	struct audit_detail details[AUDIT_DETAILS_MAX];
};

#define AUDIT_RECORD(event_)       \
	{                          \
		.event = (event_), \
	}

/* One detail more; what does not fit is left out.  A NULL text is left out,
 * too. */
void audit_text(struct audit_record *record, const char *name,
		const char *text);
void audit_number(struct audit_record *record, const char *name,
		  int64_t number);

struct audit_waiter;
struct audit_block;

/* A record on its way. */
struct audit_entry {
	struct message message; /* in the sequencer's mailbox */
	struct audit_waiter *waiter;
	const struct audit_event_row *row;
	struct audit_block *block; /* of a call's (call.h); NULL: no call's */
	uint32_t head_length;	   /* up to "sequence"; of a call's: all */
	uint32_t tail_length;	   /* from "user" on */
	char bytes[];		   /* head, tail */
};

/* NULL without memory.  Details that the event may not have are left out and
 * counted: audit_details_refused(). [any] */
struct audit_entry *audit_entry_new(const struct audit_record *record);
uint64_t audit_details_refused(void);
/* The whole line, appended; `time` as text_of_time() writes it.  Not ATOM_OK:
 * `out` is as it was. [any] */
atom_status audit_entry_write(const struct audit_entry *entry,
			      uint64_t sequence, const char *time,
			      struct buffer *out);
/* What it takes while it waits. */
static inline size_t audit_entry_size(const struct audit_entry *entry)
{
	return sizeof(*entry) + entry->head_length + entry->tail_length;
}

void audit_entry_free(struct audit_entry *entry);
/* The inside of a JSON string: a text of `length` bytes, at most one more than
 * a record holds of it, escaped, and cut where it has that one. */
void audit_append_text(struct buffer *out, const char *text, size_t length);

#endif
