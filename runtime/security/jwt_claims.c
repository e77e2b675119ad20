/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The claims (RFC 7519 section 4): time, audience, and who it is.
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "security/jwt.h"

/* The end of the year 9999: beyond it a time is a mistake. */
#define SECONDS_MAX 253402300799.0
#define HASH_SHOWN  24 /* bytes of a subject's hash in a name */

/* --- time -------------------------------------------------------------------- */

/* A NumericDate, which may have a fraction.  False when it is none. */
static bool time_of(const json_t *number, int64_t *ms_r)
{
	double seconds = json_number_value(number);

	if (!json_is_number(number) || !(seconds >= 0) || seconds > SECONDS_MAX)
		return false;
	*ms_r = (int64_t)floor(seconds * 1000);
	return true;
}

static const char *check_times(const json_t *claims, int64_t leeway_ms,
			       int64_t now_ms, int64_t *expires_ms_r)
{
	const json_t *nbf = json_object_get(claims, "nbf");
	const json_t *iat = json_object_get(claims, "iat");
	int64_t expires_ms, begins_ms = 0, issued_ms = 0;

	if (!time_of(json_object_get(claims, "exp"), &expires_ms))
		return "its `exp` is missing or no time";
	if (nbf != NULL && !time_of(nbf, &begins_ms))
		return "its `nbf` is no time";
	if (iat != NULL && !time_of(iat, &issued_ms))
		return "its `iat` is no time";
	if (now_ms >= expires_ms + leeway_ms)
		return "it has expired";
	if (now_ms < begins_ms - leeway_ms)
		return "it is not in force yet (`nbf`)";
	if (now_ms < issued_ms - leeway_ms)
		return "it was issued in the future (`iat`)";
	if (iat != NULL && issued_ms > expires_ms)
		return "it was issued after its end (`iat`, `exp`)";
	*expires_ms_r = expires_ms + leeway_ms;
	return NULL;
}

/* --- claims that hold words ---------------------------------------------------- */

/*
 * A claim by its name.  The name as a whole comes first, for some issuers use
 * URLs; else the text before a dot is the name of an object, and the rest is
 * looked for in it.  *last_r is the name it was found by.
 */
static const json_t *claim_at(const json_t *claims, const char *path,
			      const char **last_r)
{
	const json_t *object = claims;
	const json_t *found;
	const char *dot;

	while ((found = json_object_get(object, path)) == NULL &&
	       (dot = strchr(path, '.')) != NULL) {
		object = json_object_getn(object, path, (size_t)(dot - path));
		path = dot + 1;
	}
	*last_r = path;
	return found;
}

/* Words of a claim: a text, the texts of an array, or what stands between the
 * spaces of a `scope` (RFC 8693 section 4.2). */
struct words {
	const json_t *claim;
	bool scope;
	size_t index;
	const char *at;
};

static struct words words_of(const json_t *claims, const char *path)
{
	const char *last;
	struct words w = { .claim = claim_at(claims, path, &last) };

	w.at = json_string_value(w.claim);
	w.scope = strcmp(last, "scope") == 0;
	return w;
}

static bool next_of_text(struct words *w, const char **word_r, size_t *length_r)
{
	if (w->at == NULL)
		return false;
	*word_r = w->at;
	*length_r = strlen(w->at);
	w->at = NULL;
	if (!w->scope)
		return true;
	*word_r += strspn(*word_r, " ");
	*length_r = strcspn(*word_r, " ");
	if (*length_r > 0)
		w->at = *word_r + *length_r;
	return *length_r > 0;
}

static bool next_word(struct words *w, const char **word_r, size_t *length_r)
{
	while (w->index < json_array_size(w->claim)) {
		*word_r =
			json_string_value(json_array_get(w->claim, w->index++));
		if (*word_r != NULL) {
			*length_r = strlen(*word_r);
			return true;
		}
	}
	return next_of_text(w, word_r, length_r);
}

static bool has_word(const json_t *claims, const char *path, const char *wanted)
{
	struct words w = words_of(claims, path);
	size_t wanted_length = strlen(wanted), length;
	const char *word;

	while (next_word(&w, &word, &length))
		if (length == wanted_length &&
		    memcmp(word, wanted, length) == 0)
			return true;
	return false;
}

/* `aud` is a text or an array of texts, and its name has no dot. */
static bool is_for_us(const json_t *claims, const char *audience)
{
	return has_word(claims, "aud", audience);
}

/* --- who ------------------------------------------------------------------------ */

/* Fit for a name as it stands?  What begins with the mark of a hash is not,
 * or one subject could pass for another. */
static bool is_plain(const char *sub, size_t size)
{
	size_t length = strlen(sub);

	return length < size && *sub != '#' &&
	       strspn(sub, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "abcdefghijklmnopqrstuvwxyz"
			   "0123456789._@|+=:/~-") == length;
}

static bool name_of(const struct jwt_issuer *issuer, const char *sub,
		    char name[PRINCIPAL_NAME_MAX])
{
	char hex[2 * HASH_SHOWN + 1];
	uint8_t hash[32];
	int prefix = snprintf(name, PRINCIPAL_NAME_MAX, "jwt:%s:", issuer->tag);
	size_t room = PRINCIPAL_NAME_MAX - (size_t)prefix;

	if (is_plain(sub, room)) {
		(void)snprintf(name + prefix, room, "%s", sub);
		return true;
	}
	if (!jwk_sha256(sub, strlen(sub), hash))
		return false;
	text_to_hex(hash, HASH_SHOWN, hex);
	(void)snprintf(name + prefix, room, "#%s", hex);
	return true;
}

void jwt_agents_free(char ***agents)
{
	char **list = TAKE(*agents);

	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		mem_free(list[i]);
	mem_free(list);
}

/* The agents that the claim names; none when it is not there: who limits
 * tokens gives away nothing by a token that says no limit. */
static bool agents_of(const json_t *claims, const char *path, char ***agents_r)
{
	struct words w = words_of(claims, path);
	char **agents = mem_array(JWT_AGENTS_MAX + 1, sizeof(*agents));
	size_t count = 0, length;
	const char *word;

	while (agents != NULL && count < JWT_AGENTS_MAX &&
	       next_word(&w, &word, &length)) {
		char *copy = mem_strndup(word, length);

		if (copy == NULL) {
			jwt_agents_free(&agents);
			break;
		}
		if (text_is_name(copy))
			agents[count++] = copy;
		else
			mem_free(copy);
	}
	*agents_r = agents;
	return agents != NULL;
}

static const char *role_of(const struct config_jwt *config,
			   const json_t *claims)
{
	for (size_t i = 0; i < config->role_count; i++)
		if (has_word(claims, config->role_claim,
			     config->roles[i].claim))
			return config->roles[i].role;
	return NULL;
}

enum jwt_verdict jwt_judge_claims(const struct jwt_issuer *issuer,
				  const json_t *claims, int64_t now_ms,
				  struct jwt_identity *identity_r,
				  const char **why_r)
{
	const struct config_jwt *config = issuer->config;
	const char *sub = json_text(claims, "sub", "");

	*identity_r = (struct jwt_identity){ .issuer = issuer };
	*why_r = check_times(claims, config->leeway_ms, now_ms,
			     &identity_r->expires_ms);
	if (*why_r != NULL)
		return JWT_REFUSED;
	*why_r = "it was made for another audience (`aud`)";
	if (!is_for_us(claims, config->audience))
		return JWT_REFUSED;
	*why_r = "it names nobody (`sub`)";
	if (*sub == '\0')
		return JWT_REFUSED;
	*why_r = "none of its roles has a role here";
	identity_r->role = role_of(config, claims);
	if (identity_r->role == NULL)
		return JWT_NO_ROLE;
	if (!name_of(issuer, sub, identity_r->name) ||
	    (*config->agents_claim != '\0' &&
	     !agents_of(claims, config->agents_claim, &identity_r->agents)))
		return JWT_FAILED;
	return JWT_GOOD;
}
