/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/allowance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_limits.h"
#include "agent/directory.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "limit/named.h"

/* Refusals are logged at most this often; each is counted. */
#define LOG_NS 1000000000

#define MS_NS 1000000
/* When nobody knows when a place among the calls at once gets free. */
#define RETRY_MS 1000

static _Atomic int64_t logged_ns;

/* --- how it is told -------------------------------------------------------------- */

static const struct {
	const char *name; /* as OpenAI's messages have it */
	const char *words;
} kinds[LIMIT_KINDS] = {
	[LIMIT_REQUESTS] = { "requests", "requests per minute (RPM)" },
	[LIMIT_TOKENS] = { "tokens", "tokens per minute (TPM)" },
	[LIMIT_CONCURRENT] = { "calls at once", "calls at once" },
};

/* Decimal digits at `out`, at most 19, with a NUL, which is returned. */
static char *put_number(int64_t number, char *out)
{
	char digits[24];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*out++ = digits[--n];
	*out = '\0';
	return out;
}

/* By hand: it is part of every answer with limits. */
void allowance_time(int64_t ns, char out[ALLOWANCE_TIME_MAX])
{
	int64_t ms = ns / MS_NS + (ns % MS_NS > 0);
	int64_t minutes = ms / 60000;
	char *end = out;

	if (ms < 1000) {
		end = put_number(ms > 0 ? ms : 0, out);
		memcpy(end, "ms", 3);
		return;
	}
	ms %= 60000;
	if (minutes >= 60) {
		end = put_number(minutes / 60, end);
		*end++ = 'h';
	}
	if (minutes > 0) {
		end = put_number(minutes % 60, end);
		*end++ = 'm';
	}
	end = put_number(ms / 1000, end);
	ms %= 1000;
	if (ms > 0) {
		*end++ = '.';
		*end++ = (char)('0' + ms / 100);
		*end++ = (char)('0' + ms / 10 % 10);
		*end++ = (char)('0' + ms % 10);
		while (end[-1] == '0')
			end--;
	}
	end[0] = 's';
	end[1] = '\0';
}

static void explain(struct api_error *e, const struct limit_refusal *r,
		    const char *whose, int64_t tokens)
{
	const char *words = kinds[r->kind].words;
	char when[ALLOWANCE_TIME_MAX];

	if (r->wait_ns == RATE_NEVER) {
		api_error_set(e, "rate_limit_exceeded", NULL,
			      "Request too large for %s: the limit on %s is "
			      "%lld, this request may need %lld (its input as "
			      "estimated, and max_tokens). It can never pass: "
			      "make the input or max_tokens smaller.",
			      whose, words, (long long)r->limit,
			      (long long)tokens);
		e->no_retry = true;
		return;
	}
	if (r->kind == LIMIT_CONCURRENT) {
		api_error_set(e, "rate_limit_exceeded", NULL,
			      "Rate limit reached for %s on %s: limit %lld. "
			      "Please try again when one of them has ended.",
			      whose, words, (long long)r->limit);
		e->retry_after_ms = RETRY_MS;
		return;
	}
	allowance_time(r->wait_ns, when);
	api_error_set(e, "rate_limit_exceeded", NULL,
		      "Rate limit reached for %s on %s: limit %lld, used %lld, "
		      "requested %lld. Please try again in %s.",
		      whose, words, (long long)r->limit,
		      (long long)(r->limit - r->remaining),
		      (long long)(r->kind == LIMIT_TOKENS ? tokens : 1), when);
	e->retry_after_ms = (int32_t)((r->wait_ns + MS_NS - 1) / MS_NS);
}

static void log_refusal(const struct principal *principal, const char *agent,
			const struct limit_refusal *r, bool by_key,
			int64_t now_ns)
{
	int64_t last = atomic_load_explicit(&logged_ns, memory_order_relaxed);

	if (!log_enabled(ATOM_LOG_INFO) || now_ns - last < LOG_NS ||
	    !atomic_compare_exchange_strong(&logged_ns, &last, now_ns))
		return;
	log_line(ATOM_LOG_INFO, "rate_limited", "a call was over a limit",
		 LOG_TEXT("agent", agent), LOG_TEXT("user", principal->name),
		 LOG_TEXT("limit_of", by_key ? "key" : "agent"),
		 LOG_TEXT("kind", kinds[r->kind].name),
		 LOG_NUMBER("limit", r->limit));
}

static void refuse(const struct principal *principal, struct revision *revision,
		   const struct limit_refusal *r, bool by_key, int64_t tokens,
		   int64_t now_ns, struct api_error *e)
{
	const char *agent = revision_agent(revision);
	char whose[PRINCIPAL_NAME_MAX + 32];

	if (!by_key)
		(void)snprintf(whose, sizeof(whose), "agent %s", agent);
	else if (strncmp(principal->name, "key:", 4) == 0)
		(void)snprintf(whose, sizeof(whose), "key %s",
			       principal->name + 4);
	else if (strcmp(principal->name, "anonymous") == 0)
		(void)snprintf(whose, sizeof(whose), "callers without a key");
	else
		(void)snprintf(whose, sizeof(whose), "caller %s",
			       principal->name);
	explain(e, r, whose, tokens);
	agent_limits_count(revision_limits(revision), agent, r->kind, by_key);
	log_refusal(principal, agent, r, by_key, now_ns);
}

/* --- taking ----------------------------------------------------------------------- */

static void find_key(struct allowance *a, const struct principal *principal)
{
	if (principal->unlimited)
		return;
	a->of_key = principal->limiter;
	if (a->of_key != NULL || !named_limiters_in_force())
		return;
	a->named = named_limiter_of(principal->name);
	a->of_key = named_limiter(a->named);
}

bool allowance_take(struct allowance *a, const struct principal *principal,
		    struct revision *revision, int64_t tokens,
		    struct api_error *e)
{
	int64_t now_ns = os.monotonic_ns();
	struct limit_refusal refusal;
	bool by_key = true;

	find_key(a, principal);
	a->of_agent = &revision_limits(revision)->limiter;
	if (a->of_key == NULL ||
	    limiter_take(a->of_key, tokens, now_ns, &a->key, &refusal)) {
		if (limiter_take(a->of_agent, tokens, now_ns, &a->agent,
				 &refusal))
			return true;
		limiter_undo(&a->key, now_ns);
		by_key = false;
	}
	refuse(principal, revision, &refusal, by_key, tokens, now_ns, e);
	return false;
}

/* --- ends ------------------------------------------------------------------------- */

void allowance_leave(struct allowance *a)
{
	limiter_leave(&a->key);
	limiter_leave(&a->agent);
}

void allowance_settle(struct allowance *a, int64_t tokens)
{
	int64_t now_ns;

	if (a->key.tokens_until == 0 && a->agent.tokens_until == 0)
		return;
	now_ns = os.monotonic_ns();
	limiter_settle(&a->key, tokens, now_ns);
	limiter_settle(&a->agent, tokens, now_ns);
}

void allowance_undo(struct allowance *a)
{
	int64_t now_ns = os.monotonic_ns();

	limiter_undo(&a->key, now_ns);
	limiter_undo(&a->agent, now_ns);
}

void allowance_fini(struct allowance *a)
{
	named_limiter_release(a->named);
	*a = (struct allowance){ .named = NULL };
}

/* --- headers ---------------------------------------------------------------------- */

/* Of two limits the one of which less is left. */
static void view_of(const struct rate *key, const struct rate *agent,
		    int64_t now_ns, struct rate_view *view_r)
{
	struct rate_view other;

	*view_r = (struct rate_view){ .limit = 0 };
	if (key != NULL)
		rate_view(key, now_ns, view_r);
	if (agent == NULL)
		return;
	rate_view(agent, now_ns, &other);
	if (view_r->limit == 0 ||
	    (other.limit != 0 && other.remaining < view_r->remaining))
		*view_r = other;
}

static void tell(struct http_request *request, const char *const names[3],
		 const struct rate_view *view)
{
	char value[ALLOWANCE_TIME_MAX];

	if (view->limit == 0)
		return;
	(void)put_number(view->limit, value);
	(void)http_add_field(request, names[0], value);
	(void)put_number(view->remaining, value);
	(void)http_add_field(request, names[1], value);
	allowance_time(view->full_ns, value);
	(void)http_add_field(request, names[2], value);
}

void allowance_tell(const struct allowance *a, struct http_request *request)
{
	static const char *const requests[] = {
		"x-ratelimit-limit-requests",
		"x-ratelimit-remaining-requests",
		"x-ratelimit-reset-requests",
	};
	static const char *const tokens[] = {
		"x-ratelimit-limit-tokens",
		"x-ratelimit-remaining-tokens",
		"x-ratelimit-reset-tokens",
	};
	const struct limiter *key = a->of_key, *agent = a->of_agent;
	int64_t now_ns;
	struct rate_view view;

	if (key == NULL && agent == NULL)
		return;
	now_ns = os.monotonic_ns();
	view_of(key != NULL ? &key->requests : NULL,
		agent != NULL ? &agent->requests : NULL, now_ns, &view);
	tell(request, requests, &view);
	view_of(key != NULL ? &key->tokens : NULL,
		agent != NULL ? &agent->tokens : NULL, now_ns, &view);
	tell(request, tokens, &view);
}
