/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_LOCKOUT_H
#define SECURITY_LOCKOUT_H

/*
 * Addresses that guess.  Only wrong credentials come here: a valid one is
 * served whatever its address did, and pays nothing for this.
 *
 * So many wrong ones within a window lock an address out for a time that
 * doubles with each lock-out that follows; what that means is the caller's
 * affair (principal.c).  An IPv6 address stands for its /64, the least that a
 * customer is given (RFC 6177); "unix" for all peers of unix sockets.
 *
 * Memory is fixed: 512 sets of 8 addresses, chosen by a hash with a random
 * key.  A newcomer to a full set takes the place of the address of least
 * guilt: one that did nothing lately, then the fewest failures, then the
 * fewest lock-outs, and one that is locked out last of all.  So a flood of
 * addresses pushes out others like itself; to push out one that is locked,
 * eight others of its set have to earn longer lock-outs.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"

struct lockout_verdict {
	int64_t locked_ms; /* for so long from now; 0 = it is not */
	bool begun;	   /* by this very failure */
};

/* [control] Declares the metrics. */
atom_status lockout_init(struct atom_error *err);
/* [control] From now on these numbers; who is locked out stays so. */
void lockout_apply(const struct config_lockout *settings);
/* [any] One wrong credential more from an address as http_client_address()
 * has it.  `now_ms` is monotonic. */
struct lockout_verdict lockout_failed(const char *address, int64_t now_ms);
/* [any] How many addresses are locked out. */
size_t lockout_count(int64_t now_ms);
/* [control] Forgets all. */
void lockout_fini(void);

#endif
