/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MIRROR_H
#define GATEWAY_MIRROR_H

/*
 * A caller's call, repeated by the revision that a rollout tries out: its
 * answer is held against the caller's, counted, and thrown away.
 *
 *	expect -> hear* -> answered, remember -> begin ··> call -> compare
 *	[with the caller's own call]             [once that has let go]
 *
 * Nothing that a caller sees depends on it.  It begins in a later turn of the
 * loop than the one that answered the caller, in the exchange that the caller
 * has left: what was asked is neither copied nor parsed again, and the new
 * revision's own system prompt and limits are put to it.  It takes nothing of
 * the caller's limits, is in none of the caller's metrics and no record of the
 * audit log, changes no session (it is told one's messages and state as the
 * caller's call found them; what it sets is dropped), and backends are told
 * ATOM_CALL_DRY_RUN.  What it may take is bounded in agent/mirroring.h, and
 * its slot it gives up as soon as a caller waits for one (agent/call.h).
 *
 * Compared are: who failed, seconds from the slot to the last byte, tokens,
 * the likeness of the texts and the shape of their JSON (rollout/likeness.h).
 * Of an answer longer than SAID_MAX (said.h) no more is kept: it is like no
 * shorter one, and two such are not compared by text.
 *
 * A call whose caller left is not repeated, for nobody knows what it would
 * have come to.  All of it [loop] of the exchange.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;
struct mirror;
struct revision_outcome;

/* Before the caller's call: makes room, if it was chosen to be mirrored. */
void mirror_expect(struct exchange *x);
/* Its answer, as it comes; of streams alone. */
void mirror_hear(struct exchange *x, int32_t kind, const char *bytes,
		 size_t length);
/* What it came to. */
void mirror_answered(struct exchange *x, const struct revision_outcome *o);
/* Before its session is closed: what that has remembered is kept. */
void mirror_remember(struct exchange *x);
/* Instead of exchange_free(): false, it is not mirrored. */
bool mirror_begin(struct exchange *x);
void mirror_free(struct mirror **at);

#endif
