/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWT_H
#define SECURITY_JWT_H

/*
 * Is this bearer a token (JWT, RFC 7519, in JWS compact form) of an issuer
 * that the configuration names, and who is it then?
 *
 * The rules are RFC 8725's ("JSON Web Token Best Current Practices"):
 *
 *	2.1  the algorithm is the key's; none, HS* and a second algorithm of a
 *	     key are refused
 *	3.2  one list of algorithms, all sound (jwk.h)
 *	3.3  every part is checked before anything is believed
 *	3.8  `iss` is compared exactly, and its keys are those configured for it
 *	3.9  `aud` must name us
 *	3.10 no link of a token's header is followed: `jku`, `x5u`, `jwk` and
 *	     `x5c` are not looked at, and no token makes us fetch anything
 *	3.11 `typ` is JWT, at+jwt (RFC 9068) or absent
 *
 * and beyond it: `crit` and `b64` (RFC 7797) are refused, for we know no
 * extension; base64url and JSON are read strictly, so that there is one
 * reading of a token; `exp` and `sub` must be there; 16 KiB at most.
 *
 * The issuer is looked up before the signature is checked, from what the
 * token says, to choose the keys, and to tell a token that means us from a
 * bearer that does not.  Nothing else is taken from it until the signature is
 * good.  Pure: no state, no clock. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "config/config.h"
#include "security/jwk.h"
#include "security/principal.h"

#define JWT_LENGTH_MAX 16384
#define JWT_AGENTS_MAX 100

/* One issuer, as the checks see it. */
struct jwt_issuer {
	const struct config_jwt *config;
	struct jwks *keys; /* NULL: not fetched yet, or too old */
	char tag[13];	   /* from its name, for names of principals */
};
/* Fills the tag. */
bool jwt_issuer_init(struct jwt_issuer *issuer, const struct config_jwt *config,
		     struct jwks *keys);

enum jwt_verdict {
	JWT_GOOD,
	JWT_FOREIGN, /* no token, or none of these issuers */
	JWT_BAD,     /* names an issuer of ours, and is not its token */
	JWT_REFUSED, /* its issuer's token, but not (or no longer) for us; why
			not may be told to who sent it */
	JWT_NO_ROLE, /* sound in all, and its claim gives no role */
	JWT_FAILED   /* no memory */
};

/* Who the token stands for. */
struct jwt_identity {
	const struct jwt_issuer *issuer; /* of those given */
	/* "jwt:TAG:SUB", or "jwt:TAG:#HASH" where `sub` is long or has
	 * characters that a name should not have. */
	char name[PRINCIPAL_NAME_MAX];
	const char *role;   /* the configuration's text */
	char **agents;	    /* NULL-ended, jwt_agents_free(); NULL = all */
	int64_t expires_ms; /* `exp` and the leeway, Unix time */
};
void jwt_agents_free(char ***agents);

/* `identity_r` is filled on JWT_GOOD; *why_r, a phrase without anything of
 * the token's, on all other verdicts; *issuer_r (may be NULL at FOREIGN) the
 * issuer it names. */
enum jwt_verdict jwt_check(const char *text, size_t length,
			   const struct jwt_issuer *issuers, size_t count,
			   int64_t now_ms, struct jwt_identity *identity_r,
			   const struct jwt_issuer **issuer_r,
			   const char **why_r);

/* --- jwt_claims.c ---------------------------------------------------------- */

/* From the claims of a token whose signature is good. */
enum jwt_verdict jwt_judge_claims(const struct jwt_issuer *issuer,
				  const json_t *claims, int64_t now_ms,
				  struct jwt_identity *identity_r,
				  const char **why_r);

#endif
