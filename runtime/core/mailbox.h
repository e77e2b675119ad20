/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

/*
 * A loop's mailbox: many threads put, one takes, nobody locks.
 *
 * Posters push onto an atomic list; the receiver takes the whole list with
 * one exchange and turns it round, which restores the order of posting.
 * There is no ABA here: nobody but the receiver takes off, and it takes all.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct message;

struct mailbox {
	_Alignas(64) _Atomic(struct message *) posted; /* newest first */
	/* The receiver's, on a line of its own: taken, oldest first. */
	_Alignas(64) struct message *taken;
};

/* [any] True when the box was empty: the caller wakes the receiver. */
bool mailbox_put(struct mailbox *box, struct message *message);
/* [receiver] The oldest message, or NULL. */
struct message *mailbox_take(struct mailbox *box);
/* [receiver] Would mailbox_take() find one? */
bool mailbox_waiting(struct mailbox *box);

#endif
