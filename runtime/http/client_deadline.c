/* SPDX-License-Identifier: Apache-2.0 */
#include "core/memory.h"
#include "http/client_priv.h"

/*
 * A transfer's deadlines are ours and not libcurl's: one timer, set for the
 * nearest, looks at all of them when it fires, so that a byte that comes only
 * notes the time.
 *
 * A loop that was held up finds its timers due before it has looked at its
 * sockets.  A peer is not blamed for that: a deadline that was reached so late
 * is put off once, by as long as the loop was late.
 */

/* A timer that fires within its millisecond was not late. */
#define LATE_MS 2

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t stall_at(const struct atom_http_transfer *t)
{
	return t->stall_ms > 0 && t->phase == PHASE_BEGUN && !t->paused
		       ? t->last_ms + t->stall_ms
		       : INT64_MAX;
}

static int64_t head_at(const struct atom_http_transfer *t)
{
	return t->head_ms > 0 && t->phase < PHASE_BEGUN
		       ? t->began_ms + t->head_ms
		       : INT64_MAX;
}

static int64_t connect_at(const struct atom_http_transfer *t)
{
	return t->phase < PHASE_SENT ? t->began_ms + t->connect_ms : INT64_MAX;
}

/* When the next of several addresses has its turn. */
static int64_t turn_at(const struct atom_http_transfer *t)
{
	return t->lean.attempts != NULL ? t->lean.attempts->turn_ms : INT64_MAX;
}

static int64_t total_at(const struct atom_http_transfer *t)
{
	return t->total_ms > 0 ? t->began_ms + t->total_ms : INT64_MAX;
}

static void explain_timeout(const struct atom_http_transfer *t, int64_t now,
			    struct atom_error *err)
{
	char attempts[LEAN_ATTEMPTS_TEXT];
	bool told = lean_tell_attempts(t, attempts, sizeof(attempts));

	if (now >= connect_at(t) && t->phase == PHASE_RESOLVING)
		atom_fail(err, ATOM_ETIMEOUT,
			  "the name of %s was not resolved within %d ms; "
			  "check the name servers",
			  t->where, (int)t->connect_ms);
	else if (now >= connect_at(t))
		atom_fail(err, ATOM_ETIMEOUT,
			  "no connection to %s within %d ms%s%s; check the "
			  "address and the way there",
			  t->where, (int)t->connect_ms, told ? ": " : "",
			  told ? attempts : "");
	else if (now >= head_at(t))
		atom_fail(err, ATOM_ETIMEOUT,
			  "%s did not begin to answer within %d ms", t->where,
			  (int)t->head_ms);
	else if (now >= stall_at(t))
		atom_fail(err, ATOM_ETIMEOUT,
			  "%s fell silent within its answer for %d ms",
			  t->where, (int)t->stall_ms);
	else
		atom_fail(err, ATOM_ETIMEOUT,
			  "%s did not end its answer within %d ms", t->where,
			  (int)t->total_ms);
}

static void on_deadline(struct timer *timer)
{
	struct atom_http_transfer *t =
		CONTAINER_OF(timer, struct atom_http_transfer, timer);
	struct atom_error err = ATOM_ERROR_INIT;
	int64_t now = loop_now_ms(t->client->loop);
	int64_t late_ms = now - timer->at_ms;

	if (now >= turn_at(t))
		lean_take_turn(t);
	if (now < connect_at(t) && now < head_at(t) && now < stall_at(t) &&
	    now < total_at(t)) {
		t->put_off = false;
		(void)transfer_arm(t);
		return;
	}
	if (late_ms >= LATE_MS && !t->put_off) {
		t->put_off = true;
		if (timer_set(t->client->loop, &t->timer, late_ms) == ATOM_OK)
			return;
	}
	explain_timeout(t, now, &err);
	transfer_end(t, ATOM_ETIMEOUT, &err);
}

atom_status transfer_arm(struct atom_http_transfer *t)
{
	int64_t next = earlier(earlier(connect_at(t), head_at(t)),
			       earlier(stall_at(t), total_at(t)));

	next = earlier(next, turn_at(t));
	if (next == INT64_MAX ||
	    (timer_pending(&t->timer) && t->timer.at_ms <= next))
		return ATOM_OK;
	t->timer.fire = on_deadline;
	return timer_set(t->client->loop, &t->timer,
			 next - loop_now_ms(t->client->loop));
}
