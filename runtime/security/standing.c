/* SPDX-License-Identifier: Apache-2.0 */
#include "security/standing.h"

#include <string.h>

#include "core/os.h"
#include "security/jwt_issuers.h"
#include "security/keys_priv.h"
#include "security/peer.h"
#include "security/role.h"

#define KEY	    "key:"
#define CERTIFICATE "cert:"
#define TOKEN	    "jwt:"
#define PEER	    "unix:"

void standing_begin(struct standing *standing,
		    const struct principal *principal)
{
	memcpy(standing->name, principal->name, sizeof(standing->name));
	memcpy(standing->role, principal->role, sizeof(standing->role));
	standing->permissions = principal->permissions;
	standing->expires_ms = principal->expires_ms;
	principal_bootstrap(standing->bootstrap);
	standing->rules = 0;
	if (strncmp(standing->name, TOKEN, strlen(TOKEN)) == 0)
		standing->rules =
			jwt_issuers_rules(standing->name + strlen(TOKEN));
}

static bool key_holds(const char *id, int64_t now_ms)
{
	const struct key *key = key_find(id);

	return key != NULL && key_in_force(key, now_ms);
}

static bool certificate_holds(const struct standing *standing,
			      const struct http_request *request)
{
	struct principal now;

	return principal_of_certificate(request, &now) &&
	       strcmp(now.name, standing->name) == 0 &&
	       principal_has(&now, standing->permissions);
}

/* The token is kept nowhere: what its claims would give by other rules nobody
 * knows. */
static bool token_holds(const struct standing *standing)
{
	const uint64_t rules =
		jwt_issuers_rules(standing->name + strlen(TOKEN));

	return rules != 0 && rules == standing->rules;
}

static bool bootstrap_holds(const struct standing *standing)
{
	uint8_t now[SECRET_HASH_LENGTH];

	principal_bootstrap(now);
	return memcmp(now, standing->bootstrap, sizeof(now)) == 0;
}

bool standing_holds(const struct standing *standing,
		    const struct http_request *request)
{
	const char *name = standing->name;
	const int64_t now_ms = os.realtime_ms();

	if (standing->expires_ms != 0 && now_ms >= standing->expires_ms)
		return false;
	if ((standing->permissions & ~role_permissions(standing->role)) != 0)
		return false;
	if (strncmp(name, KEY, strlen(KEY)) == 0)
		return key_holds(name + strlen(KEY), now_ms);
	if (strncmp(name, CERTIFICATE, strlen(CERTIFICATE)) == 0)
		return certificate_holds(standing, request);
	if (strncmp(name, TOKEN, strlen(TOKEN)) == 0)
		return token_holds(standing);
	if (strncmp(name, PEER, strlen(PEER)) == 0)
		return peer_stays_admin(request);
	if (strcmp(name, "bootstrap") == 0)
		return bootstrap_holds(standing);
	if (strcmp(name, "anonymous") == 0)
		return principal_anonymous_is(standing->role);
	return true;
}
