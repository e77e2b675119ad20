/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_KEYS_H
#define SECURITY_KEYS_H

/*
 * API keys: `atm_<id>_<secret>`, base62, the secret being 256 random bits and
 * a CRC-32 of all before it, so that a typo is told at once and secret
 * scanners find it.  Only HMAC-SHA256 of the key under the server's pepper is
 * kept (both in the store); the key is shown once.  A key that was rotated
 * has two secrets for a time of grace.
 *
 * All [control]; answers come on control when the store has them.
 * ATOM_EUNAVAILABLE everywhere: the keys could not be read at the start.
 */

#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "security/key_limits.h"

#define KEY_TEXT_MAX  96
#define KEY_COUNT_MAX 100000

struct key_request {
	const char *role;
	const char *const *agents;   /* NULL-ended; NULL = every agent */
	int64_t expires_ms;	     /* Unix time, 0 = never */
	const char *name;	     /* for people, may be "" */
	const char *created_by;	     /* principal */
	uint32_t allowed;	     /* permissions of who asks: none may hand
				      out more than they have */
	struct config_limits limits; /* KEY_LIMITS_NONE: the configuration's */
};

/* `done`: key text and row {"id","key","role","expires",...} on success. */
void keys_create(const struct key_request *request,
		 void (*done)(void *argument, atom_status status, json_t *row,
			      const struct atom_error *err),
		 void *argument);
struct key_rotation {
	int64_t grace_ms; /* the old secret's; 0 = it ends at once */
	uint32_t allowed; /* permissions of who asks, as above */
};
#define KEY_GRACE_MS	 ((int64_t)24 * 60 * 60 * 1000) /* by default */
#define KEY_GRACE_MAX_MS ((int64_t)90 * 24 * 60 * 60 * 1000)

/* A new secret for the key `id`: `done` as above, once the store has it.
 * ATOM_ENOENT; ATOM_EPERM: its role may do more than who asks;
 * ATOM_ECONFLICT: it is revoked or expired, or has two secrets already and
 * the grace is not 0. */
void keys_rotate(const char *id, const struct key_rotation *request,
		 void (*done)(void *argument, atom_status status, json_t *row,
			      const struct atom_error *err),
		 void *argument);
/* In force everywhere before the store has it; `done` when it has.
 * ATOM_ECONFLICT, and it stays good: nobody could administer the daemon
 * without it. */
void keys_revoke(const char *id,
		 void (*done)(void *argument, atom_status status,
			      const struct atom_error *err),
		 void *argument);
/* Limits of keys that have none of their own, from a configuration. */
void keys_limit(const struct config_limits *defaults);
/* Rows without secrets, newest first, at most `limit` of those behind the key
 * `after` ("" = from the beginning); NULL: there is no such key.  *next_r:
 * what to give as `after` for the rest, NULL when there is none. */
json_t *keys_list(const char *after, size_t limit, const char **next_r);
/* A key for the quickstart's paid agent: made at start when the
 * configuration asks for one and none exists; the text goes to `out`. */
atom_status keys_create_now(const struct key_request *request,
			    char out[KEY_TEXT_MAX], struct atom_error *err);

#endif
