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
#include "security/certificate.h"
#include "security/jwt_issuers.h"
#include "security/keys_priv.h"
#include "security/lockout.h"
#include "security/lockout_audit.h"
#include "security/peer.h"
#include "security/role.h"

/* Refused credentials are logged at most this often; the rest is counted. */
#define REFUSED_LOG_MS 100

/* What a configuration says of principals; a snapshot (qsbr.h). */
struct policy {
	struct config *config; /* holds the texts */
	struct certificate_rules *certificates;
	char anonymous_role[64]; /* "" = none */
	bool admin_listener;	 /* some peers are admin */
	bool asks_certificates;	 /* some listener does */
	bool has_bootstrap;
	uint8_t bootstrap[SECRET_HASH_LENGTH];
};

static struct policy *_Atomic current;
static metric_id auth_ok;
static metric_id auth_refused;
static metric_id auth_locked;
static metric_id auth_unchecked;
static metric_id auth_anonymous;

static void set(struct principal *p, const char *kind, const char *id,
		const char *role)
{
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->name, sizeof(p->name), "%s%s", kind, id);
	(void)snprintf(p->role, sizeof(p->role), "%s", role);
	p->permissions = role_permissions(role);
}

/* --- keys ------------------------------------------------------------------------- */

/* May another line be written just now? */
static bool may_log(_Atomic int64_t *logged_ms, int64_t now_ms)
{
	int64_t last = atomic_load(logged_ms);

	if (now_ms - last < REFUSED_LOG_MS)
		return false;
	/* Of several at once the first. */
	return atomic_exchange(logged_ms, now_ms) == last;
}

static void tell_lockout(const char *address, int64_t locked_ms, int64_t now_ms)
{
	static _Atomic int64_t logged_ms = INT64_MIN / 2;

	if (may_log(&logged_ms, now_ms))
		log_line(ATOM_LOG_WARN, "address_locked",
			 "too many wrong credentials; only valid ones are "
			 "served to this address",
			 LOG_TEXT("address", address),
			 LOG_NUMBER("seconds", locked_ms / 1000));
	lockout_audit(address, locked_ms, now_ms);
}

/* Counts a credential that is refused, and tells the log; `what` is for the
 * operator. */
static void count_refused(const struct http_request *request, const char *what)
{
	static _Atomic int64_t logged_ms = INT64_MIN / 2;

	metric_inc(auth_refused);
	if (may_log(&logged_ms, os.monotonic_ns() / 1000000))
		log_line(ATOM_LOG_WARN, "credential_refused", what,
			 LOG_TEXT("address", http_client_address(request)),
			 LOG_TEXT("request_id", http_request_id(request)));
}

/* One that may be a guess is held against its address besides; err, filled
 * already, gets for how long that is locked out. */
static void hold_refused(const struct http_request *request, const char *what,
			 struct atom_error *err)
{
	const char *address = http_client_address(request);
	int64_t now_ms = os.monotonic_ns() / 1000000;
	struct lockout_verdict verdict = lockout_failed(address, now_ms);

	if (verdict.locked_ms > 0 && !verdict.begun)
		metric_inc(auth_locked);
	else
		count_refused(request, what);
	if (verdict.begun)
		tell_lockout(address, verdict.locked_ms, now_ms);
	err->retry_after_ms = verdict.locked_ms > INT32_MAX
				      ? INT32_MAX
				      : (int32_t)verdict.locked_ms;
}

/*
 * A key that is refused.  The caller hears one sentence for all, and the same
 * whether its address is locked or not, but for Retry-After: it tells a
 * guesser nothing.
 */
static atom_status refuse_key(const struct http_request *request,
			      struct atom_error *err, const char *what)
{
	atom_fail(err, ATOM_EPERM,
		  "the API key is not valid: unknown, mistyped, expired or "
		  "revoked");
	hold_refused(request, what, err);
	return ATOM_EPERM;
}

/* Nobody knows whether it is good: no guess, and no reason to throw it away.
 * Why stands in the status, which is not for strangers. */
static atom_status refuse_unchecked(const struct http_request *request,
				    const struct atom_error *why,
				    struct atom_error *err)
{
	static _Atomic int64_t logged_ms = INT64_MIN / 2;

	metric_inc(auth_unchecked);
	if (may_log(&logged_ms, os.monotonic_ns() / 1000000))
		log_line(ATOM_LOG_ERROR, "credential_unchecked", why->message,
			 LOG_TEXT("address", http_client_address(request)),
			 LOG_TEXT("request_id", http_request_id(request)));
	atom_fail(err, ATOM_EUNAVAILABLE,
		  "the API key cannot be checked: the daemon could not read "
		  "its store, and an operator has to mend that; the key may "
		  "be good");
	err->retry_after_ms = why->retry_after_ms;
	return ATOM_EUNAVAILABLE;
}

static atom_status by_key(const struct http_request *request, const char *id,
			  const uint8_t hash[SECRET_HASH_LENGTH],
			  struct principal *p, struct atom_error *err)
{
	struct key *key = key_find(id);
	int64_t now = os.realtime_ms();
	struct atom_error why = ATOM_ERROR_INIT;

	if (key == NULL && keys_known(&why) != ATOM_OK)
		return refuse_unchecked(request, &why, err);
	/* The same work whether the id is known or not. */
	if (!key_matches(key, hash, now))
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

/* A key of ours or the bootstrap key: one hash is the work for both.
 * ATOM_ENOENT: it is meant as neither. */
static atom_status by_bearer(const struct http_request *request,
			     const struct policy *policy, const char *bearer,
			     struct principal *p, struct atom_error *err)
{
	/* In whatever case: what was meant as a key of ours never counts as
	 * none. */
	bool ours =
		strncasecmp(bearer, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0;
	char id[SECRET_ID_LENGTH + 1];
	bool sound = ours && secret_parse(bearer, id);
	uint8_t hash[SECRET_HASH_LENGTH];

	if ((sound || policy->has_bootstrap) &&
	    secret_hash(bearer, strlen(bearer), hash) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory to check a key");
	if (policy->has_bootstrap &&
	    CRYPTO_memcmp(hash, policy->bootstrap, sizeof(hash)) == 0) {
		set(p, "bootstrap", "", "admin");
		metric_inc(auth_ok);
		return ATOM_OK;
	}
	if (!ours)
		return ATOM_ENOENT;
	return sound ? by_key(request, id, hash, p, err)
		     : refuse_key(request, err, "mistyped API key");
}

bool principal_is_for(const struct principal *principal, const char *agent,
		      size_t length)
{
	if (!principal->limited)
		return true;
	for (size_t i = 0; principal->agents[i] != NULL; i++)
		if (strlen(principal->agents[i]) == length &&
		    memcmp(principal->agents[i], agent, length) == 0)
			return true;
	return false;
}

bool principal_may_invoke(const struct principal *principal, const char *agent)
{
	return principal_has(principal, PERMISSION_INVOKE_AGENT) &&
	       principal_is_for(principal, agent, strlen(agent));
}

/* --- tokens of other issuers ------------------------------------------------------ */

/* ATOM_ENOENT: it is no token of theirs. */
static atom_status by_token(const struct http_request *request,
			    const char *bearer, struct principal *p,
			    struct atom_error *err)
{
	const char *issuer, *why;
	char text[256];
	enum jwt_verdict verdict = jwt_issuers_judge(bearer, p, &issuer, &why);

	switch (verdict) {
	case JWT_GOOD:
		metric_inc(auth_ok);
		return ATOM_OK;
	case JWT_FOREIGN:
		return ATOM_ENOENT;
	case JWT_FAILED:
		return atom_fail(err, ATOM_ENOMEM, "%s", why);
	default: /* NO_ROLE, REFUSED, BAD */
		break;
	}
	(void)snprintf(text, sizeof(text), "token of %.160s: %s", issuer, why);
	if (verdict == JWT_BAD) {
		/* Of a forgery nothing is said that would help to make a
		 * better one. */
		atom_fail(err, ATOM_EPERM, "the token is not valid");
		hold_refused(request, text, err);
		return ATOM_EPERM;
	}
	/* What its issuer has signed is no guess, and may be talked about. */
	count_refused(request, text);
	if (verdict == JWT_NO_ROLE)
		return atom_fail(err, ATOM_EINVAL,
				 "the token is good, but gives no role here: "
				 "%s",
				 why);
	return atom_fail(err, ATOM_EPERM, "the token is not valid: %s", why);
}

/* --- client certificates ----------------------------------------------------------- */

bool principal_of_certificate(const struct http_request *request,
			      struct principal *principal_r)
{
	const struct policy *policy =
		atomic_load_explicit(&current, memory_order_acquire);
	const struct http_certificate *certificate =
		http_client_certificate(request);

	return certificate != NULL &&
	       certificate_principal(policy->certificates, certificate,
				     principal_r);
}

void principal_bootstrap(uint8_t hash_r[SECRET_HASH_LENGTH])
{
	const struct policy *policy =
		atomic_load_explicit(&current, memory_order_acquire);

	memcpy(hash_r, policy->bootstrap, SECRET_HASH_LENGTH);
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

bool principal_anonymous_is(const char *role)
{
	const struct policy *policy =
		atomic_load_explicit(&current, memory_order_acquire);

	return strcmp(policy->anonymous_role, role) == 0;
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
	atom_status status = ATOM_ENOENT;
	char id[24];

	if (bearer != NULL)
		status = by_bearer(request, policy, bearer, principal_r, err);
	if (status == ATOM_ENOENT && bearer != NULL)
		status = by_token(request, bearer, principal_r, err);
	if (status != ATOM_ENOENT)
		return status;
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
	/* After every bearer that is ours: who sends one means it. */
	if (principal_of_certificate(request, principal_r)) {
		metric_inc(auth_ok);
		return ATOM_OK;
	}
	/* SDKs always send some bearer: where anybody may call it counts as
	 * none. */
	if (bearer != NULL && policy->anonymous_role[0] == '\0')
		return refuse_key(
			request, err,
			"neither an API key of ours nor a token of an "
			"issuer of ours");
	return anonymous(request, policy, principal_r, err);
}

static void policy_free(void *object)
{
	struct policy *policy = object;

	if (policy == NULL)
		return;
	certificate_rules_free(&policy->certificates);
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
		{ "locked", &auth_locked },
		{ "unchecked", &auth_unchecked },
		{ "anonymous", &auth_anonymous },
	};
	uint32_t family;
	atom_status status = metric_declare(&spec, &family, err);

	for (size_t i = 0; i < ARRAY_SIZE(rows) && status == ATOM_OK; i++)
		*rows[i].series = metric_series(family, &rows[i].result);
	if (status == ATOM_OK)
		status = lockout_init(err);
	return status == ATOM_OK ? jwt_issuers_init(err) : status;
}

atom_status security_check(const struct config *config, struct atom_error *err)
{
	return jwt_issuers_check(config, err);
}

atom_status security_load(struct atom_error *err)
{
	return keys_load(err);
}

atom_status security_knows_keys(struct atom_error *err)
{
	return keys_known(err);
}

atom_status security_apply(struct config *config, struct atom_error *err)
{
	struct policy *next = mem_zalloc(sizeof(*next));
	struct policy *old;
	struct jwt_change *issuers = NULL;
	struct peer_groups groups;
	size_t length = strlen(config->bootstrap_admin_key);
	atom_status status;

	if (next == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	(void)snprintf(next->anonymous_role, sizeof(next->anonymous_role), "%s",
		       config->anonymous_role);
	for (size_t i = 0; i < config->listener_count; i++) {
		next->admin_listener |= config->listeners[i].admin;
		next->asks_certificates |=
			config->listeners[i].client_ca[0] != '\0';
	}
	status = peer_groups_read(config, &groups, err);
	if (status == ATOM_OK && length > 0) {
		status = secret_hash(config->bootstrap_admin_key, length,
				     next->bootstrap);
		next->has_bootstrap = status == ATOM_OK;
	}
	if (status == ATOM_OK)
		status =
			certificate_rules_new(config, &next->certificates, err);
	if (status == ATOM_OK)
		status = jwt_issuers_prepare(config, &issuers, err);
	if (status == ATOM_OK)
		status = roles_apply(config, err);
	if (status == ATOM_OK)
		status = named_limiters_apply(&config->key_limits, err);
	if (status != ATOM_OK) {
		jwt_issuers_discard(&issuers);
		policy_free(next);
		return status;
	}
	/* Nothing fails from here. */
	peer_groups_apply(&groups);
	keys_limit(&config->key_limits);
	next->config = config_ref(config);
	lockout_apply(&config->lockout);
	old = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
	if (old != NULL)
		qsbr_retire(policy_free, old);
	jwt_issuers_commit(&issuers);
	keys_check_roles();
	/* Keys of an issuer may still be on their way. */
	if (!security_has_admin(NULL) &&
	    !jwt_issuers_give(role_permissions("admin"), false))
		log_line(ATOM_LOG_WARN, "no_admin",
			 "nobody can administer this daemon: it has no "
			 "listener with `admin = true`, no "
			 "bootstrap_admin_key, and no key, token or client "
			 "certificate with the role admin");
	return ATOM_OK;
}

bool security_has_admin(const struct key *without)
{
	const struct policy *policy = atomic_load(&current);
	const uint32_t all = role_permissions("admin");

	return (policy != NULL &&
		(policy->admin_listener || policy->has_bootstrap ||
		 (policy->asks_certificates &&
		  certificate_rules_give(policy->certificates, all)))) ||
	       jwt_issuers_give(all, true) || keys_have_admin(without);
}

void security_tick(void)
{
	lockout_audit_tick();
}

void security_flush(void)
{
	keys_flush();
}

void security_fini(void)
{
	jwt_issuers_fini();
	keys_fini();
	named_limiters_fini();
	lockout_fini();
	roles_fini();
	secret_fini();
	policy_free(atomic_exchange(&current, NULL));
}
