/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWT_CACHE_H
#define SECURITY_JWT_CACHE_H

/*
 * Tokens that were found good, so that a caller's next calls cost a hash
 * instead of a signature.  Kept under SHA-256 of the whole token, until the
 * token expires or the issuers change (a generation); the token itself is not
 * kept.  One cache a loop, of a fixed size: 1,024 places, four to choose
 * from for each token, of which the longest unused goes.
 *
 * What was refused is not kept: a stranger could fill any cache with that.
 */

#include <stddef.h>
#include <stdint.h>

#include "security/jwt.h"

struct jwt_cache;

/* NULL without memory. */
struct jwt_cache *jwt_cache_new(void);
void jwt_cache_free(struct jwt_cache **cache);
/* Until the next jwt_cache_put(); NULL when it is not there, too old, or of
 * another generation. */
const struct jwt_identity *jwt_cache_find(struct jwt_cache *cache,
					  const uint8_t hash[32],
					  uint64_t generation, int64_t now_ms);
/* Takes identity->agents.  Gives back what is kept. */
const struct jwt_identity *jwt_cache_put(struct jwt_cache *cache,
					 const uint8_t hash[32],
					 uint64_t generation, int64_t now_ms,
					 struct jwt_identity *identity);

#endif
