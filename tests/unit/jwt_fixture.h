/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JWT_FIXTURE_H
#define JWT_FIXTURE_H

/*
 * Two issuers with a key each, a clock that stands still, and the verdict on
 * a token of the first one.
 */

#include "jose_fixture.h"
#include "security/jwt.h"

#define NOW_MS	 1800000000000
#define ISSUER	 "https://id.example"
#define HEADER	 "{\"alg\":\"EdDSA\",\"kid\":\"a\"}"
#define STANDARD "\"iss\":\"" ISSUER "\",\"aud\":\"atomd\",\"sub\":\"ann\""
#define GOOD	 "{" STANDARD ",\"exp\":1800000060,\"role\":\"ops\"}"

#define CLAIMS(more) "{" STANDARD "," more "}"
#define EXP	     "\"exp\":1800000060"
#define ROLE	     "\"role\":\"ops\""

/* Of the first issuer; the second one is https://other.example, whose key is
 * the stranger. */
extern struct config_jwt config;
extern struct jwt_issuer issuers[2];
extern EVP_PKEY *key, *stranger;

/* Of the last verdict. */
extern struct jwt_identity who;
extern const char *why;

/* A suite's init and fini. */
void set_up(void);
void tear_down(void);

/* A set of this one key. */
struct jwks *keys_of(EVP_PKEY *pair, const char *members);

enum jwt_verdict judge_text(const char *token);
/* Of a token that the first issuer signs. */
enum jwt_verdict judge(const char *header, const char *claims);
/* The verdict, and a word of the reason. */
void expect(enum jwt_verdict verdict, const char *word, const char *header,
	    const char *claims);

#endif
