/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWKS_SOURCE_H
#define SECURITY_JWKS_SOURCE_H

/*
 * Where the keys of one issuer come from: a file, or a URL that is fetched
 * by the daemon's own client with the server's certificate verified.
 *
 * A timer alone decides when: every `refresh`, after a failure sooner (10 s,
 * then twice as long each time, up to `refresh`), and once more at a reload.
 * 10 s, or `refresh` if that is less, is the floor between two attempts.  No
 * token ever causes one, so nobody can make the daemon fetch.
 *
 * What was good stays good while fetching fails, for `max_stale` since the
 * last success; then there are no keys, and the issuer's tokens are refused.
 * A slow, endless or hostile server costs its own deadline (20 s, 256 KiB)
 * and nothing else: no call waits for a source.
 *
 * All [control].
 */

#include <stdbool.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "security/jwk.h"

struct jwks_source;

/* Metrics of all sources; after the registry is up. */
atom_status jwks_source_init(struct atom_error *err);
/* [control] Is the file, if it is one, readable and sound? */
atom_status jwks_source_check(const struct config_jwt *config,
			      struct atom_error *err);
/* The series of an issuer that is named no longer. */
void jwks_source_forget(const char *issuer);
/* A file is read now and must be good; a URL is fetched once control runs.
 * `changed` runs when the keys are others than before, or gone, but not from
 * within this function. */
atom_status jwks_source_new(const struct config_jwt *config,
			    void (*changed)(void),
			    struct jwks_source **source_r,
			    struct atom_error *err);
/* What is under way is cancelled. */
void jwks_source_free(struct jwks_source **source);

/* Does it fetch what this issuer wants?  Then it may go on for it. */
bool jwks_source_fits(const struct jwks_source *source,
		      const struct config_jwt *config);
/* Goes on with new times, and looks again as soon as the floor allows. */
void jwks_source_renew(struct jwks_source *source,
		       const struct config_jwt *config);

/* Borrowed; NULL: none, or too old. */
struct jwks *jwks_source_keys(const struct jwks_source *source);
/* Why the last attempt failed, "" when it did not. */
const char *jwks_source_error(const struct jwks_source *source);

#endif
