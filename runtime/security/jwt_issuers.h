/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWT_ISSUERS_H
#define SECURITY_JWT_ISSUERS_H

/*
 * The issuers whose tokens are taken, with their keys as they are now: a
 * snapshot (qsbr.h) that loops check bearers against.  Control publishes
 * another one when the configuration or an issuer's keys change, and what was
 * remembered of tokens counts no longer.
 *
 * A change of the configuration is prepared, which may fail, and then
 * committed, which may not: a reload takes all of a configuration or nothing.
 */

#include "config/config.h"
#include "security/jwt.h"

struct jwt_change;

/* [control] Are the files that the configuration names sound?  Changes
 * nothing. */
atom_status jwt_issuers_check(const struct config *config,
			      struct atom_error *err);
/* [control] In order: init; then prepare and commit or discard. */
atom_status jwt_issuers_init(struct atom_error *err);
atom_status jwt_issuers_prepare(struct config *config,
				struct jwt_change **change_r,
				struct atom_error *err);
void jwt_issuers_commit(struct jwt_change **change);
void jwt_issuers_discard(struct jwt_change **change);
void jwt_issuers_fini(void);

/* [control] Does some issuer's claim give a role that has all of these, for
 * every agent?  `usable`: and its keys are here just now, so that its tokens
 * are taken. */
bool jwt_issuers_give(uint32_t permissions, bool usable);

/* [loop] A number for what the configuration says just now of the issuer whose
 * tag the text begins with, and a colon behind it, which is a principal's name
 * behind "jwt:": another one once its tokens may let others in, or to something
 * else.  Keys do not count.  0: there is no such issuer. */
uint64_t jwt_issuers_rules(const char *text);

/* [loop] Whose token is this bearer?  On JWT_GOOD the principal is filled,
 * its agents until the next call; else *why_r is a phrase for it, and
 * *issuer_r the issuer's name or "". */
enum jwt_verdict jwt_issuers_judge(const char *bearer,
				   struct principal *principal_r,
				   const char **issuer_r, const char **why_r);

#endif
