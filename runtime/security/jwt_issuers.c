/* SPDX-License-Identifier: Apache-2.0 */
#include "security/jwt_issuers.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "core/table.h"
#include "security/jwks_source.h"
#include "security/jwt_cache.h"
#include "security/role.h"

enum result {
	RESULT_CACHED,
	RESULT_VERIFIED,
	RESULT_REFUSED,
	RESULT_COUNT
};

static const char *const result_words[RESULT_COUNT] = { "cached", "verified",
							"refused" };

struct series {
	metric_id results[RESULT_COUNT];
};

/* What loops read. */
struct snapshot {
	uint64_t generation;
	struct config *config;
	size_t count;
	struct series *series;
	uint64_t *rules; /* for jwt_issuers_rules() */
	struct jwt_issuer issuers[];
};

struct jwt_change {
	struct snapshot *next;
	struct jwks_source **sources;
	bool *fresh; /* made for this change, not taken over */
	size_t count;
};

static struct snapshot *_Atomic current;
static struct jwt_cache *caches[LOOP_MAX + 1];
/* [control] One for each issuer of the snapshot. */
static struct jwks_source **sources;
static size_t source_count;
static uint64_t generation;
static bool health_told;
static uint32_t checks;

/* --- snapshots ------------------------------------------------------------------ */

static void snapshot_free(void *object)
{
	struct snapshot *s = object;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		jwks_unref(&s->issuers[i].keys);
	mem_free(s->series);
	mem_free(s->rules);
	config_unref(&s->config);
	mem_free(s);
}

static uint64_t mix(uint64_t sum, const void *bytes, size_t length)
{
	return (sum ^ table_hash(bytes, length)) * UINT64_C(0x100000001b3);
}

static uint64_t mix_text(uint64_t sum, const char *text)
{
	return mix(sum, text, strlen(text));
}

static uint64_t rules_of(const struct config_jwt *config)
{
	uint64_t sum = mix_text(0, config->issuer);

	sum = mix_text(sum, config->audience);
	sum = mix_text(sum, config->role_claim);
	sum = mix_text(sum, config->agents_claim);
	sum = mix(sum, &config->leeway_ms, sizeof(config->leeway_ms));
	for (size_t i = 0; i < config->role_count; i++) {
		sum = mix_text(sum, config->roles[i].claim);
		sum = mix_text(sum, config->roles[i].role);
	}
	return sum != 0 ? sum : 1;
}

/* Without keys, which the sources have at the time of publishing. */
static struct snapshot *snapshot_new(struct config *config)
{
	struct snapshot *s = mem_zalloc(
		sizeof(*s) + config->jwt_count * sizeof(s->issuers[0]));

	if (s == NULL)
		return NULL;
	s->config = config_ref(config);
	s->series = mem_array(config->jwt_count + 1, sizeof(*s->series));
	s->rules = mem_array(config->jwt_count + 1, sizeof(*s->rules));
	if (s->series == NULL || s->rules == NULL)
		goto fail;
	for (size_t i = 0; i < config->jwt_count; i++) {
		if (!jwt_issuer_init(&s->issuers[i], &config->jwt[i], NULL))
			goto fail;
		s->rules[i] = rules_of(&config->jwt[i]);
		for (size_t k = 0; k < RESULT_COUNT; k++) {
			const char *const labels[] = { config->jwt[i].issuer,
						       result_words[k], NULL };

			s->series[i].results[k] = metric_series(checks, labels);
		}
		s->count++;
	}
	return s;
fail:
	snapshot_free(s);
	return NULL;
}

static void publish(struct snapshot *next)
{
	struct snapshot *old;

	next->generation = ++generation;
	for (size_t i = 0; i < next->count; i++)
		next->issuers[i].keys = jwks_ref(jwks_source_keys(sources[i]));
	old = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
	if (old != NULL)
		qsbr_retire(snapshot_free, old);
}

/* The first issuer that has something to say; an issuer without keys counts
 * for more than one with old ones. */
static void report_health(const struct config *config)
{
	char text[ATOM_ERROR_MESSAGE_MAX] = "";
	bool waiting = false;
	bool none = false;

	for (size_t i = 0; i < source_count; i++) {
		const char *error = jwks_source_error(sources[i]);
		bool empty = jwks_source_keys(sources[i]) == NULL;

		waiting |= empty && error[0] == '\0';
		if (error[0] == '\0' || (none && !empty))
			continue;
		if (text[0] == '\0' || (empty && !none))
			(void)snprintf(text, sizeof(text), "%.200s: %.260s",
				       config->jwt[i].issuer, error);
		none |= empty;
	}
	if (source_count == 0 && !health_told)
		return;
	health_told = true;
	health_report("jwt",
		      text[0] != '\0' ? HEALTH_DEGRADED
		      : waiting	      ? HEALTH_INITIALIZING
				      : HEALTH_OK,
		      false, text[0] != '\0' ? text : NULL);
}

static void on_changed(void)
{
	const struct snapshot *now = atomic_load(&current);
	struct snapshot *next;

	if (now == NULL)
		return;
	next = snapshot_new(now->config);
	if (next == NULL) {
		log_line(ATOM_LOG_ERROR, "jwt_issuers",
			 "no memory to publish new keys; the old ones stay "
			 "until the next refresh");
		return;
	}
	report_health(now->config);
	publish(next);
}

/* --- a change of the configuration ------------------------------------------------ */

static struct jwks_source *source_for(const struct config_jwt *config)
{
	for (size_t i = 0; i < source_count; i++)
		if (sources[i] != NULL && jwks_source_fits(sources[i], config))
			return sources[i];
	return NULL;
}

/* An issuer that is named no longer leaves no series behind. */
static void forget_series(const struct config *before,
			  const struct config *after)
{

	for (size_t i = 0; i < before->jwt_count; i++) {
		const char *issuer = before->jwt[i].issuer;
		bool named = false;

		for (size_t k = 0; k < after->jwt_count; k++)
			named |= strcmp(after->jwt[k].issuer, issuer) == 0;
		for (size_t k = 0; k < RESULT_COUNT && !named; k++) {
			const char *const labels[] = { issuer, result_words[k],
						       NULL };

			metric_remove(checks, labels);
		}
		if (!named)
			jwks_source_forget(issuer);
	}
}

void jwt_issuers_discard(struct jwt_change **change)
{
	const struct snapshot *now = atomic_load(&current);
	struct jwt_change *c = TAKE(*change);

	if (c == NULL)
		return;
	for (size_t i = 0; c->sources != NULL && i < c->count; i++)
		if (c->fresh != NULL && c->fresh[i])
			jwks_source_free(&c->sources[i]);
	if (c->next != NULL && now != NULL)
		forget_series(c->next->config, now->config);
	snapshot_free(c->next);
	mem_free(c->sources);
	mem_free(c->fresh);
	mem_free(c);
}

atom_status jwt_issuers_prepare(struct config *config,
				struct jwt_change **change_r,
				struct atom_error *err)
{
	struct jwt_change *c = mem_zalloc(sizeof(*c));
	atom_status status = ATOM_ENOMEM;

	if (c == NULL)
		return atom_fail(err, status, "no memory for issuers");
	c->sources = mem_array(config->jwt_count + 1, sizeof(*c->sources));
	c->fresh = mem_array(config->jwt_count + 1, sizeof(*c->fresh));
	c->next = snapshot_new(config);
	if (c->sources == NULL || c->fresh == NULL || c->next == NULL) {
		(void)atom_fail(err, status, "no memory for issuers");
		goto out;
	}
	status = ATOM_OK;
	for (size_t i = 0; i < config->jwt_count && status == ATOM_OK; i++) {
		c->sources[i] = source_for(&config->jwt[i]);
		c->fresh[i] = c->sources[i] == NULL;
		if (c->fresh[i])
			status = jwks_source_new(&config->jwt[i], on_changed,
						 &c->sources[i], err);
		c->count++;
	}
out:
	if (status != ATOM_OK)
		jwt_issuers_discard(&c);
	else
		*change_r = c;
	return status;
}

static bool is_kept(const struct jwt_change *change,
		    const struct jwks_source *source)
{
	for (size_t i = 0; i < change->count; i++)
		if (change->sources[i] == source)
			return true;
	return false;
}

void jwt_issuers_commit(struct jwt_change **change)
{
	struct jwt_change *c = TAKE(*change);
	const struct snapshot *now = atomic_load(&current);
	const struct config *config = c->next->config;

	for (size_t i = 0; i < source_count; i++)
		if (!is_kept(c, sources[i]))
			jwks_source_free(&sources[i]);
	mem_free(sources);
	sources = TAKE(c->sources);
	source_count = c->count;
	for (size_t i = 0; i < source_count; i++)
		if (!c->fresh[i])
			jwks_source_renew(sources[i], &config->jwt[i]);
	if (now != NULL)
		forget_series(now->config, config);
	report_health(config);
	publish(TAKE(c->next));
	jwt_issuers_discard(&c);
}

/* --- a bearer ----------------------------------------------------------------------- */

static const struct jwt_identity *remembered(const struct snapshot *s,
					     const uint8_t hash[32],
					     int64_t now_ms)
{
	struct jwt_cache *cache = caches[loop_index(loop_current())];

	return cache != NULL
		       ? jwt_cache_find(cache, hash, s->generation, now_ms)
		       : NULL;
}

static const struct jwt_identity *remember(const struct snapshot *s,
					   const uint8_t hash[32],
					   int64_t now_ms,
					   struct jwt_identity *identity)
{
	struct jwt_cache **cache = &caches[loop_index(loop_current())];

	if (*cache == NULL)
		*cache = jwt_cache_new();
	return *cache != NULL ? jwt_cache_put(*cache, hash, s->generation,
					      now_ms, identity)
			      : NULL;
}

static void count(const struct snapshot *s, const struct jwt_issuer *issuer,
		  enum result result)
{
	metric_inc(s->series[issuer - s->issuers].results[result]);
}

static void fill(const struct jwt_identity *identity, struct principal *p)
{
	memset(p, 0, sizeof(*p));
	memcpy(p->name, identity->name, sizeof(p->name));
	(void)snprintf(p->role, sizeof(p->role), "%s", identity->role);
	p->permissions = role_permissions(identity->role);
	p->limited = identity->agents != NULL;
	p->agents = (const char *const *)identity->agents;
	p->expires_ms = identity->expires_ms;
}

static enum jwt_verdict judge_new(const struct snapshot *s, const char *bearer,
				  const uint8_t hash[32], int64_t now_ms,
				  struct principal *principal_r,
				  const struct jwt_issuer **issuer_r,
				  const char **why_r)
{
	struct jwt_identity identity = { .role = NULL };
	const struct jwt_identity *kept;
	enum jwt_verdict verdict =
		jwt_check(bearer, strlen(bearer), s->issuers, s->count, now_ms,
			  &identity, issuer_r, why_r);

	if (verdict == JWT_FOREIGN)
		return verdict;
	if (*issuer_r != NULL)
		count(s, *issuer_r,
		      verdict == JWT_GOOD ? RESULT_VERIFIED : RESULT_REFUSED);
	if (verdict != JWT_GOOD)
		return verdict;
	kept = remember(s, hash, now_ms, &identity);
	if (kept == NULL) {
		jwt_agents_free(&identity.agents);
		*why_r = "no memory to check a token";
		return JWT_FAILED;
	}
	fill(kept, principal_r);
	return JWT_GOOD;
}

uint64_t jwt_issuers_rules(const char *text)
{
	const struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);
	const size_t length = sizeof(s->issuers[0].tag) - 1;

	for (size_t i = 0; s != NULL && i < s->count; i++)
		if (strncmp(text, s->issuers[i].tag, length) == 0 &&
		    text[length] == ':')
			return s->rules[i];
	return 0;
}

enum jwt_verdict jwt_issuers_judge(const char *bearer,
				   struct principal *principal_r,
				   const char **issuer_r, const char **why_r)
{
	const struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);
	const struct jwt_issuer *issuer = NULL;
	const struct jwt_identity *known;
	int64_t now_ms = os.realtime_ms();
	enum jwt_verdict verdict;
	uint8_t hash[32];

	*issuer_r = "";
	*why_r = "no issuer is known here";
	/* Two dots, or it is no token whatever it is. */
	if (s == NULL || s->count == 0 || strchr(bearer, '.') == NULL)
		return JWT_FOREIGN;
	if (!jwk_sha256(bearer, strlen(bearer), hash)) {
		*why_r = "no memory to check a token";
		return JWT_FAILED;
	}
	known = remembered(s, hash, now_ms);
	if (known != NULL) {
		fill(known, principal_r);
		count(s, known->issuer, RESULT_CACHED);
		return JWT_GOOD;
	}
	verdict =
		judge_new(s, bearer, hash, now_ms, principal_r, &issuer, why_r);
	if (issuer != NULL)
		*issuer_r = issuer->config->issuer;
	return verdict;
}

/* --- what they give ----------------------------------------------------------------- */

static bool gives(const struct config_jwt *config, uint32_t permissions)
{
	/* Its tokens are for the agents that they name. */
	if (config->agents_claim[0] != '\0')
		return false;
	for (size_t i = 0; i < config->role_count; i++)
		if ((role_permissions(config->roles[i].role) & permissions) ==
		    permissions)
			return true;
	return false;
}

bool jwt_issuers_give(uint32_t permissions, bool usable)
{
	const struct snapshot *now = atomic_load(&current);

	for (size_t i = 0; now != NULL && i < source_count; i++)
		if (gives(&now->config->jwt[i], permissions) &&
		    (!usable || jwks_source_keys(sources[i]) != NULL))
			return true;
	return false;
}

/* --- start and end -------------------------------------------------------------------- */

atom_status jwt_issuers_check(const struct config *config,
			      struct atom_error *err)
{
	atom_status status = jwk_init(err);

	for (size_t i = 0; i < config->jwt_count && status == ATOM_OK; i++)
		status = jwks_source_check(&config->jwt[i], err);
	return status;
}

atom_status jwt_issuers_init(struct atom_error *err)
{
	static const char *const labels[] = { "issuer", "result", NULL };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_jwt_checks_total",
		.help = "Tokens of an issuer: known from before, verified, or "
			"refused.",
		.unit = "",
		.label_names = labels,
	};
	atom_status status = jwk_init(err);

	if (status == ATOM_OK)
		status = metric_declare(&spec, &checks, err);
	if (status == ATOM_OK)
		status = jwks_source_init(err);
	return status;
}

void jwt_issuers_fini(void)
{
	snapshot_free(atomic_exchange(&current, NULL));
	for (size_t i = 0; i < source_count; i++)
		jwks_source_free(&sources[i]);
	mem_free(TAKE(sources));
	source_count = 0;
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++)
		jwt_cache_free(&caches[i]);
	health_told = false;
	jwk_fini();
}
