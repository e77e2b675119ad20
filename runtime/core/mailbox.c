/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mailbox.h"

#include "core/loop.h"

bool mailbox_put(struct mailbox *box, struct message *message)
{
	struct message *newest =
		atomic_load_explicit(&box->posted, memory_order_relaxed);

	/* release: whoever takes it sees what the poster wrote into it. */
	do {
		message->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(
		&box->posted, &newest, message, memory_order_release,
		memory_order_relaxed));

	/* A list that was not empty has been announced by whoever put the
	 * first message, and the receiver has not taken it since. */
	return newest == NULL;
}

struct message *mailbox_take(struct mailbox *box)
{
	if (!box->taken) {
		struct message *newest = atomic_exchange_explicit(
			&box->posted, NULL, memory_order_acq_rel);

		while (newest) {
			struct message *older = newest->next;

			newest->next = box->taken;
			box->taken = newest;
			newest = older;
		}
	}

	struct message *message = box->taken;

	if (message)
		box->taken = message->next;
	return message;
}

bool mailbox_waiting(struct mailbox *box)
{
	return box->taken ||
	       atomic_load_explicit(&box->posted, memory_order_acquire);
}
