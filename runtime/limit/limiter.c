/* SPDX-License-Identifier: Apache-2.0 */
#include "limit/limiter.h"

static int64_t number_of(int64_t given)
{
	return given > 0 ? given : 0;
}

void limiter_set(struct limiter *limiter, const struct config_limits *limits,
		 int64_t now_ns)
{
	rate_set(&limiter->requests, number_of(limits->requests_per_minute),
		 now_ns);
	rate_set(&limiter->tokens, number_of(limits->tokens_per_minute),
		 now_ns);
	atomic_store_explicit(&limiter->concurrent,
			      (int32_t)number_of(limits->concurrent),
			      memory_order_relaxed);
}

/* --- calls at once ------------------------------------------------------------- */

/* By compare-and-swap and not by adding first and looking then: two that
 * come together must not both be refused where there is room for one. */
static bool enter(struct limiter *limiter, struct limit_refusal *refusal_r)
{
	int32_t most = atomic_load_explicit(&limiter->concurrent,
					    memory_order_relaxed);
	int32_t calls =
		atomic_load_explicit(&limiter->calls, memory_order_relaxed);

	do {
		if (most > 0 && calls >= most) {
			*refusal_r = (struct limit_refusal){
				.kind = LIMIT_CONCURRENT, .limit = most
			};
			return false;
		}
	} while (!atomic_compare_exchange_weak_explicit(
		&limiter->calls, &calls, calls + 1, memory_order_acq_rel,
		memory_order_relaxed));
	return true;
}

void limiter_leave(struct limit_hold *hold)
{
	if (hold->limiter == NULL || !hold->calling)
		return;
	hold->calling = false;
	atomic_fetch_sub_explicit(&hold->limiter->calls, 1,
				  memory_order_acq_rel);
}

/* --- requests and tokens ------------------------------------------------------- */

static bool take_rate(struct rate *rate, enum limit_kind kind, int64_t units,
		      int64_t now_ns, int64_t *until_r,
		      struct limit_refusal *refusal_r)
{
	int64_t wait_ns = rate_take(rate, units, now_ns, until_r);
	struct rate_view view;

	if (wait_ns == RATE_TAKEN)
		return true;
	rate_view(rate, now_ns, &view);
	*refusal_r = (struct limit_refusal){
		.kind = kind,
		.limit = view.limit,
		.remaining = view.remaining,
		.wait_ns = wait_ns,
	};
	return false;
}

bool limiter_take(struct limiter *limiter, int64_t tokens, int64_t now_ns,
		  struct limit_hold *hold_r, struct limit_refusal *refusal_r)
{
	*hold_r = (struct limit_hold){ .limiter = limiter, .tokens = tokens };
	if (!enter(limiter, refusal_r))
		goto refused;
	hold_r->calling = true;
	/* Tokens first: who is told that a request can never pass need not
	 * wait to hear it. */
	if (!take_rate(&limiter->tokens, LIMIT_TOKENS, tokens, now_ns,
		       &hold_r->tokens_until, refusal_r) ||
	    !take_rate(&limiter->requests, LIMIT_REQUESTS, 1, now_ns,
		       &hold_r->request_until, refusal_r))
		goto refused;
	return true;
refused:
	limiter_undo(hold_r, now_ns);
	return false;
}

void limiter_settle(struct limit_hold *hold, int64_t tokens, int64_t now_ns)
{
	if (hold->limiter == NULL)
		return;
	rate_settle(&hold->limiter->tokens, hold->tokens, tokens,
		    hold->tokens_until, now_ns);
	hold->tokens_until = 0;
}

void limiter_undo(struct limit_hold *hold, int64_t now_ns)
{
	if (hold->limiter == NULL)
		return;
	limiter_leave(hold);
	limiter_settle(hold, 0, now_ns);
	rate_settle(&hold->limiter->requests, 1, 0, hold->request_until,
		    now_ns);
	hold->request_until = 0;
}

/* --- the whole ------------------------------------------------------------------ */

bool limiter_is_idle(const struct limiter *limiter, int64_t now_ns)
{
	return atomic_load_explicit(&limiter->calls, memory_order_acquire) ==
		       0 &&
	       rate_is_full(&limiter->requests, now_ns) &&
	       rate_is_full(&limiter->tokens, now_ns);
}

static int64_t set_or(int64_t own, int64_t fallback)
{
	return own != CONFIG_LIMIT_UNSET ? own : fallback;
}

struct config_limits limits_of(const struct config_limits *own,
			       const struct config_limits *defaults)
{
	return (struct config_limits){
		.requests_per_minute = set_or(own->requests_per_minute,
					      defaults->requests_per_minute),
		.tokens_per_minute = set_or(own->tokens_per_minute,
					    defaults->tokens_per_minute),
		.concurrent = set_or(own->concurrent, defaults->concurrent),
	};
}
