/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_STANDING_H
#define SECURITY_STANDING_H

/*
 * Whether who was let in for a stream is still let in, while something is
 * written to its holder without end: an API key may be revoked, or expire; a
 * token has its `exp`; a client certificate its last day, and a reload may
 * bring a revocation list, other authorities or other rows, take permissions
 * from a role, or have no such issuer, bootstrap key, anonymous role or group of
 * administrators any more, or other roles for an issuer's claims.  That an issuer
 * has other keys is not seen.  Looks without a lock; a certificate is verified
 * again only after a reload.
 */

#include <stdbool.h>
#include <stdint.h>

#include "security/principal.h"
#include "security/secret.h"

struct http_request;

/* Who it was when the stream began. */
struct standing {
	char name[PRINCIPAL_NAME_MAX];
	char role[64];
	uint32_t permissions; /* that the role gave */
	int64_t expires_ms;   /* a token's, Unix time; 0: not by itself */
	uint64_t rules;	      /* of a token's issuer then, or 0 */
	uint8_t bootstrap[SECRET_HASH_LENGTH]; /* the key's then, or zeroes */
};

void standing_begin(struct standing *standing,
		    const struct principal *principal);
/* False once it would not be let in any more, or to less.  `request`: the one
 * whose answer the stream is; its connection has the certificate. [loop] */
bool standing_holds(const struct standing *standing,
		    const struct http_request *request);

#endif
