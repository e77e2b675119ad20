/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_RECEIVER_PRIV_H
#define ALERTS_RECEIVER_PRIV_H

/* How messages get there.  receiver.c queues them and tries again. */

#include "plugins/monitor/alerts/receiver.h"

/* [control] */
struct receiver_kind {
	/* Its services and options. */
	atom_status (*init)(struct receiver *receiver, struct atom_error *err);
	/* Sends `sending`.  One of the two below follows, perhaps before it
	 * returns. */
	void (*begin)(struct receiver *receiver);
	/* Ends what is under way, which tells nobody; also after an init()
	 * that failed. */
	void (*fini)(struct receiver *receiver);
};

extern const struct receiver_kind receiver_http;
extern const struct receiver_kind receiver_exec;

void receiver_sent(struct receiver *receiver);
/* `output`: what there is to read about it, or NULL. */
void receiver_failed(struct receiver *receiver, const char *why,
		     const char *output, bool for_good);

#endif
