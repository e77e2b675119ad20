/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_PRINCIPAL_H
#define SECURITY_PRINCIPAL_H

/*
 * Who calls, and what they may do.  Closed by default: without a principal
 * only the public routes answer.
 *
 * A principal comes from an API key (Authorization: Bearer atm_...) or the
 * token of an issuer of ours (jwt.h), from `security.bootstrap_admin_key`,
 * from a unix peer on a listener with `admin = true`, from a client
 * certificate (certificate.h), or is the anonymous one when
 * `security.anonymous_role` names a role.  Keys and roles live in a snapshot
 * like the routing one (qsbr.h): a look-up is one hash whatever their number,
 * and takes no lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "security/secret.h"

struct http_request;
struct limiter;

/* Permissions of CONTRACT 4, one bit each. */
enum permission {
	PERMISSION_NONE = 0, /* public routes */
	PERMISSION_CREATE_AGENT = 1 << 0,
	PERMISSION_DELETE_AGENT = 1 << 1,
	PERMISSION_MODIFY_CONFIG = 1 << 2,
	PERMISSION_VIEW_ALL = 1 << 3,
	PERMISSION_VIEW_METRICS = 1 << 4,
	PERMISSION_RESTART_AGENT = 1 << 5,
	PERMISSION_VIEW_LOGS = 1 << 6,
	PERMISSION_VIEW_PUBLIC_LOGS = 1 << 7,
	PERMISSION_INVOKE_AGENT = 1 << 8
};
const char *permission_name(enum permission permission);
/* 0 when there is no such word. */
enum permission permission_of(const char *word);

#define PRINCIPAL_NAME_MAX 80

/* A copy, so that it outlives the snapshot it came from. */
struct principal {
	/* "key:ID", "jwt:ISSUER:SUBJECT", "cert:...", "unix:UID",
	 * "anonymous": what sessions belong to. */
	char name[PRINCIPAL_NAME_MAX];
	char role[64];
	uint32_t permissions; /* bits */
	bool limited;	      /* to the agents named on the key */
	/* Those agents, NULL-ended; within the iteration only. */
	const char *const *agents;
	/* A key's, which outlives every call; NULL: the one of this name
	 * (limit/named.h), if any. */
	struct limiter *limiter;
	bool unlimited; /* who administers the machine */
	/* A token's end with the leeway, Unix time; 0: a key or a certificate
	 * has one that may change (standing.h), the others none. */
	int64_t expires_ms;
};

/* [loop] Who sent this request.  ATOM_OK; ATOM_ENOENT: nobody (no credential
 * and no anonymous role): 401; ATOM_EPERM: a credential that is wrong,
 * expired or revoked (`err` has the sentence, the same for all; with
 * retry_after_ms its address is locked out): 401;
 * ATOM_EINVAL: a foreign Origin or Host without credential: 403;
 * ATOM_EUNAVAILABLE: a key that cannot be checked, for the store could not be
 * read at the start, or a unix peer that cannot be looked at: 503. */
atom_status principal_of(const struct http_request *request,
			 struct principal *principal_r, struct atom_error *err);
/* [loop] Whom the client certificate of its connection stands for just now.
 * False: nobody. */
bool principal_of_certificate(const struct http_request *request,
			      struct principal *principal_r);
/* [loop] The hash of the bootstrap key just now; zeroes where there is none. */
void principal_bootstrap(uint8_t hash_r[SECRET_HASH_LENGTH]);
/* [loop] Does a request without a credential have that role just now? */
bool principal_anonymous_is(const char *role);
/* Is it for this agent, as far as its list of agents goes?  Within the same
 * loop iteration as principal_of(), as what follows. */
bool principal_is_for(const struct principal *principal, const char *agent,
		      size_t length);
bool principal_may_invoke(const struct principal *principal, const char *agent);
static inline bool principal_has(const struct principal *principal,
				 uint32_t permissions)
{
	return (principal->permissions & permissions) == permissions;
}

/* [control] Roles, anonymous role and bootstrap key of a configuration; the
 * keys of the store.  Publishes a new snapshot.  In order: init, load, apply. */
atom_status security_init(struct atom_error *err);
/* Are the files that it names sound?  Changes nothing; needs no init. */
atom_status security_check(const struct config *config, struct atom_error *err);
atom_status security_apply(struct config *config, struct atom_error *err);
/* Reads the keys from the store; before the loops serve. */
atom_status security_load(struct atom_error *err);
/* [any] ATOM_EUNAVAILABLE: some or all keys of the store could not be read at
 * the start, and whoever has one is sent away with a 503; `err` says why. */
atom_status security_knows_keys(struct atom_error *err);
/* [control] Could somebody administer the daemon if this key (or NULL) were
 * not: a peer, the bootstrap key, another key; a client certificate, where a
 * row gives one the role and a listener asks for it; a token, where an issuer's
 * claim gives it and the issuer's keys are here?  Each for all agents.  Whether
 * somebody has such a certificate or token only its issuer knows. */
struct key;
bool security_has_admin(const struct key *without);
/* [control] Once a second. */
void security_tick(void);
/* [control] Before the store is closed: what it should still get. */
void security_flush(void);
void security_fini(void);

#endif
