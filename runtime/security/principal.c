/* SPDX-License-Identifier: Apache-2.0 */
#include "security/principal.h"

#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "http/server.h"
#include "limit/named.h"
#include "security/keys_priv.h"
#include "security/peer.h"
#include "security/role.h"

/* Refused credentials are logged at most this often; the rest is counted. */
#define REFUSED_LOG_MS 100

/* What a configuration says of principals; a snapshot (qsbr.h). */
struct policy {
	struct config *config;	 /* holds anonymous_agents */
	char anonymous_role[64]; /* "" = none */
	bool has_bootstrap;
	uint8_t bootstrap[SECRET_HASH_LENGTH];
};

static struct policy *_Atomic current;
static _Atomic int64_t refused_logged_ms;
static metric_id auth_ok;
static metric_id auth_refused;
static metric_id auth_anonymous;

static void count_refused(const struct http_request *request, const char *what)
{
	int64_t now = os.realtime_ms();
	int64_t last = atomic_load(&refused_logged_ms);

	metric_inc(auth_refused);
	if (now - last < REFUSED_LOG_MS ||
	    !atomic_compare_exchange_strong(&refused_logged_ms, &last, now))
		return;
	log_line(ATOM_LOG_WARN, "credential_refused", what,
		 LOG_TEXT("address", http_client_address(request)),
		 LOG_TEXT("request_id", http_request_id(request)));
}

static void set(struct principal *p, const char *kind, const char *id,
		const char *role)
{
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->name, sizeof(p->name), "%s%s", kind, id);
	(void)snprintf(p->role, sizeof(p->role), "%s", role);
	p->permissions = role_permissions(role);
}

/* --- keys ------------------------------------------------------------------------- */

static atom_status refuse_key(const struct http_request *request,
			      struct atom_error *err, const char *what)
{
	count_refused(request, what);
	/* One sentence for all: it tells a guesser nothing. */
	return atom_fail(err, ATOM_EPERM,
			 "the API key is not valid: unknown, mistyped, "
			 "expired or revoked");
}

static atom_status by_key(const struct http_request *request, const char *text,
			  struct principal *p, struct atom_error *err)
{
	static const uint8_t nobody[SECRET_HASH_LENGTH];
	char id[SECRET_ID_LENGTH + 1];
	uint8_t hash[SECRET_HASH_LENGTH];
	struct key *key;
	int64_t now = os.realtime_ms();
	bool same;

	if (!secret_parse(text, id))
		return refuse_key(request, err, "mistyped API key");
	if (secret_hash(text, SECRET_TEXT_LENGTH, hash) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory to check a key");
	key = key_find(id);
	/* The same work whether the id is known or not. */
	same = CRYPTO_memcmp(hash, key != NULL ? key->hash : nobody,
			     sizeof(hash)) == 0;
	if (key == NULL || !same)
		return refuse_key(request, err, "unknown API key");
	if (!key_in_force(key, now))
		return refuse_key(request, err, "expired or revoked API key");
	atomic_store_explicit(&key->last_used_ms, now, memory_order_relaxed);
	set(p, "key:", key->id, key->role);
	p->limited = key->agents != NULL;
	p->agents = key->agents;
	p->limiter = &key->limits.limiter;
	metric_inc(auth_ok);
	return ATOM_OK;
}

static bool is_bootstrap(const struct policy *policy, const char *text)
{
	uint8_t hash[SECRET_HASH_LENGTH];

	return policy->has_bootstrap &&
	       secret_hash(text, strlen(text), hash) == ATOM_OK &&
	       CRYPTO_memcmp(hash, policy->bootstrap, sizeof(hash)) == 0;
}

bool principal_may_invoke(const struct principal *principal, const char *agent)
{
	if (!principal_has(principal, PERMISSION_INVOKE_AGENT))
		return false;
	if (!principal->limited)
		return true;
	for (size_t i = 0; principal->agents[i] != NULL; i++)
		if (strcmp(principal->agents[i], agent) == 0)
			return true;
	return false;
}

/* --- nobody in particular --------------------------------------------------------- */

/* "127.0.0.1:8080" "[::1]" "localhost:80": a page elsewhere that rebinds its
 * name to this machine still sends its own. */
static bool is_loopback_host(const char *host)
{
	static const char *const names[] = { "localhost", "127.0.0.1",
					     "[::1]" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (strncasecmp(host, names[i], n) == 0 &&
		    (host[n] == '\0' || host[n] == ':'))
			return true;
	}
	return false;
}

static bool is_own_origin(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");

	return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}

static atom_status anonymous(const struct http_request *request,
			     const struct policy *policy, struct principal *p,
			     struct atom_error *err)
{
	const char *host = http_field(request, "host");
	const char *origin = http_field(request, "origin");
	bool local = strcmp(http_client_address(request), "unix") == 0;

	if (policy->anonymous_role[0] == '\0' || !http_is_loopback(request))
		return atom_fail(err, ATOM_ENOENT,
				 "an API key is needed: send `Authorization: "
				 "Bearer atm_...`");
	if (!local && host != NULL && !is_loopback_host(host))
		return atom_fail(err, ATOM_EINVAL,
				 "without a key only requests to this machine "
				 "by its own name are served: expected Host "
				 "localhost or 127.0.0.1");
	if (origin != NULL && !is_own_origin(origin, host))
		return atom_fail(err, ATOM_EINVAL,
				 "without a key requests of other origins are "
				 "not served");
	set(p, "anonymous", "", policy->anonymous_role);
	p->agents = policy->config->anonymous_agents;
	p->limited = p->agents[0] != NULL;
	metric_inc(auth_anonymous);
	return ATOM_OK;
}

/* --- who ---------------------------------------------------------------------------- */

static const char *bearer_of(const struct http_request *request)
{
	const char *field = http_field(request, "authorization");

	if (field == NULL || strncasecmp(field, "bearer ", 7) != 0)
		return NULL;
	field += 7;
	while (*field == ' ')
		field++;
	return field;
}

atom_status principal_of(const struct http_request *request,
			 struct principal *principal_r, struct atom_error *err)
{
	const struct policy *policy =
		atomic_load_explicit(&current, memory_order_acquire);
	const char *bearer = bearer_of(request);
	atom_status status;
	char id[24];

	if (bearer != NULL && is_bootstrap(policy, bearer)) {
		set(principal_r, "bootstrap", "", "admin");
		metric_inc(auth_ok);
		return ATOM_OK;
	}
	/* In whatever case: what was meant as a key of ours never counts as
	 * none. */
	if (bearer != NULL &&
	    strncasecmp(bearer, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0)
		return by_key(request, bearer, principal_r, err);
	status = peer_is_admin(request, err);
	if (status == ATOM_OK) {
		(void)snprintf(id, sizeof(id), "%lu",
			       (unsigned long)http_peer(request)->uid);
		set(principal_r, "unix:", id, "admin");
		principal_r->unlimited = true;
		metric_inc(auth_ok);
	}
	if (status != ATOM_ENOENT)
		return status;
	/* SDKs always send some bearer: where anybody may call it counts as
	 * none. */
	if (bearer != NULL && policy->anonymous_role[0] == '\0')
		return refuse_key(request, err, "not an API key of ours");
	return anonymous(request, policy, principal_r, err);
}

static void policy_free(void *object)
{
	struct policy *policy = object;

	if (policy == NULL)
		return;
	config_unref(&policy->config);
	mem_free(policy);
}

/* --- start, reload, end --------------------------------------------------------------- */

atom_status security_init(struct atom_error *err)
{
	static const char *const labels[] = { "result", NULL };
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_auth_total",
		.help = "Requests by how their sender was told.",
		.unit = "",
		.label_names = labels,
	};
	const struct {
		const char *result;
		metric_id *series;
	} rows[] = {
		{ "ok", &auth_ok },
		{ "refused", &auth_refused },
		{ "anonymous", &auth_anonymous },
	};
	uint32_t family;
	atom_status status = metric_declare(&spec, &family, err);

	for (size_t i = 0; i < ARRAY_SIZE(rows) && status == ATOM_OK; i++)
		*rows[i].series = metric_series(family, &rows[i].result);
	return status;
}

atom_status security_load(struct atom_error *err)
{
	return keys_load(err);
}

atom_status security_apply(struct config *config, struct atom_error *err)
{
	struct policy *next = mem_zalloc(sizeof(*next));
	struct policy *old;
	size_t length = strlen(config->bootstrap_admin_key);
	atom_status status;

	if (next == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	(void)snprintf(next->anonymous_role, sizeof(next->anonymous_role), "%s",
		       config->anonymous_role);
	status = peer_apply(config, err);
	if (status == ATOM_OK && length > 0 && length < 24)
		status = atom_fail(err, ATOM_EINVAL,
				   "security.bootstrap_admin_key: expected at "
				   "least 24 characters, found %zu",
				   length);
	if (status == ATOM_OK && length > 0) {
		status = secret_hash(config->bootstrap_admin_key, length,
				     next->bootstrap);
		next->has_bootstrap = status == ATOM_OK;
	}
	if (status == ATOM_OK)
		status = roles_apply(config, err);
	if (status == ATOM_OK)
		status = named_limiters_apply(&config->key_limits, err);
	if (status != ATOM_OK) {
		policy_free(next);
		return status;
	}
	keys_limit(&config->key_limits);
	next->config = config_ref(config);
	old = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
	if (old != NULL)
		qsbr_retire(policy_free, old);
	return ATOM_OK;
}

void security_fini(void)
{
	keys_fini();
	named_limiters_fini();
	roles_fini();
	secret_fini();
	policy_free(atomic_exchange(&current, NULL));
}
