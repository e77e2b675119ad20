/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_OUTBOX_H
#define AUDIT_SYSLOG_OUTBOX_H

/*
 * Messages on their way, oldest first.  Syslog acknowledges nothing, so a
 * message stays here after it was sent until the transport shows that it has
 * left this machine; when a connection ends before that, it is sent again on
 * the next one:
 *
 *	 first                 unsent                    last
 *	   | sent, unconfirmed   | not sent yet            |
 *
 * A receiver may get a message twice this way (its sequence tells), which is
 * better than not at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
	struct frame *next;
	uint64_t mark; /* the transport's position when it was sent */
	size_t length;
	char bytes[];
};

struct outbox {
	struct frame *first;
	struct frame *unsent; /* NULL: all are sent */
	struct frame *last;
	size_t bytes; /* of all frames */
	size_t count;
	size_t limit; /* bytes */
};

void outbox_init(struct outbox *outbox, size_t limit);
void outbox_fini(struct outbox *outbox);

/* Is there room for a message of `length`?  An empty one takes any. */
bool outbox_has_room(const struct outbox *outbox, size_t length);
/* Copies `bytes` behind `prefix_length` bytes of `prefix`.  false: out of
 * memory. */
bool outbox_append(struct outbox *outbox, const char *prefix,
		   size_t prefix_length, const char *bytes, size_t length);
/* outbox->unsent has been sent. */
void outbox_sent(struct outbox *outbox, uint64_t mark);
/* Forgets those that were sent up to `mark`; returns how many. */
size_t outbox_confirm(struct outbox *outbox, uint64_t mark);
/* All that are still here are sent again. */
void outbox_rewind(struct outbox *outbox);

#endif
