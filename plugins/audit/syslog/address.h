/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_ADDRESS_H
#define AUDIT_SYSLOG_ADDRESS_H

/*
 * The receiver's addresses.  getaddrinfo(3) knows no deadline, so a name is
 * looked up on a thread of its own that is left behind when it takes too
 * long; the next question waits for the same answer, so that there is never
 * more than one such thread.
 */

#include <netdb.h>
#include <stdint.h>

#include <atomd/plugin.h>

struct lookup;

struct resolver {
	struct lookup *running; /* left behind, or NULL */
};

/* *list_r is the caller's, for freeaddrinfo(3). */
atom_status resolver_resolve(struct resolver *resolver, const char *host,
			     int64_t port, int socktype, int64_t deadline,
			     struct addrinfo **list_r, struct atom_error *err);
void resolver_fini(struct resolver *resolver);

#endif
