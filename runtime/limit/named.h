/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIMIT_NAMED_H
#define LIMIT_NAMED_H

/*
 * Limiters of principals that have no record to keep theirs in: the callers
 * without a key, the bootstrap key, people with a token of another issuer.
 * Found by the principal's name, made at its first call, forgotten once they
 * are as good as new: nobody notices, and a stranger with many names fills
 * nothing for longer than a minute.
 *
 * A hash table of lists.  Loops look up and add at the head of a list by
 * compare-and-swap; only control takes out, and frees after a quiet point
 * (qsbr.h).  So a look-up takes no lock, and a name never has two limiters
 * that count: whoever adds has seen the whole list.
 */

#include <atomd/plugin.h>

#include "limit/limiter.h"

#define NAMED_MAX 100000 /* limiters; the names beyond share one */

struct named_limiter;

/* [control] The numbers for all of them, in force at once; starts the table
 * when it is not there yet. */
atom_status named_limiters_apply(const struct config_limits *limits,
				 struct atom_error *err);
/* [control] After the loops. */
void named_limiters_fini(void);

/* [any] Is there any limit for them at all? */
bool named_limiters_in_force(void);
/* [loop] The one of this name, to be given back by named_limiter_release().
 * Never NULL: without memory or room it is one that all such names share. */
struct named_limiter *named_limiter_of(const char *name);
struct limiter *named_limiter(struct named_limiter *named);
/* [loop] Nothing of it is held any more.  NULL is fine. */
void named_limiter_release(struct named_limiter *named);

/* [control] Takes out what is idle; by itself each 10 s.  How many are left. */
size_t named_limiters_sweep(void);

#endif
