/* SPDX-License-Identifier: Apache-2.0 */
#include "limit/rate.h"

#include <math.h>

#define MINUTE_NS 60000000000
/* The longest debt: a backend that reports nonsense shall not lock its
 * callers out for good. */
#define DEBT_MINUTES 60
#define GENERATIONS  8

static int64_t time_of(int64_t word)
{
	return word / GENERATIONS;
}

static int generation_of(int64_t word)
{
	return (int)(word % GENERATIONS);
}

static int64_t word_of(int64_t time_ns, int generation)
{
	return time_ns * GENERATIONS + generation;
}

/* T, rounded up. */
static int64_t unit_ns(int64_t limit)
{
	return (MINUTE_NS + limit - 1) / limit;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The limit that a word is measured in.  Control changes the other one only
 * and then the word: whoever swaps `word` afterwards has read the right one. */
static int64_t limit_of(const struct rate *rate, int64_t word)
{
	return atomic_load_explicit(&rate->limits[generation_of(word) % 2],
				    memory_order_acquire);
}

static int64_t read_word(const struct rate *rate)
{
	return atomic_load_explicit(&rate->arrival, memory_order_acquire);
}

/* `*word` becomes what stands there when it is not replaced. */
static bool replace(struct rate *rate, int64_t *word, int64_t next)
{
	int64_t found = *word;
	bool replaced = atomic_compare_exchange_weak_explicit(
		&rate->arrival, &found, next, memory_order_acq_rel,
		memory_order_acquire);

	*word = found;
	return replaced;
}

/* What is used, measured in another unit. */
static int64_t converted(int64_t used_ns, int64_t from, int64_t to)
{
	double scale, ns;

	if (used_ns <= 0 || from == 0 || to == 0)
		return 0;
	scale = (double)unit_ns(to) / (double)unit_ns(from);
	ns = (double)used_ns * scale;
	return ns < (double)DEBT_MINUTES * MINUTE_NS
		       ? llround(ns)
		       : (int64_t)DEBT_MINUTES * MINUTE_NS;
}

/* The arrival time under another limit.  Where nothing is used it stays in the
 * past and does not become now: who read the clock a moment before would find
 * that moment used, and a limit of one refuses its first. */
static int64_t moved(int64_t time, int64_t from, int64_t to, int64_t now_ns)
{
	int64_t used_ns = converted(time - now_ns, from, to);

	if (used_ns > 0)
		return now_ns + used_ns;
	return time < now_ns ? time : 0;
}

void rate_set(struct rate *rate, int64_t limit, int64_t now_ns)
{
	int64_t word = read_word(rate);
	int64_t old = limit_of(rate, word);
	int next = (generation_of(word) + 1) % GENERATIONS;

	if (limit == old)
		return;
	atomic_store_explicit(&rate->limits[next % 2], (uint32_t)limit,
			      memory_order_relaxed);
	while (!replace(
		rate, &word,
		word_of(moved(time_of(word), old, limit, now_ns), next)))
		;
}

int64_t rate_take(struct rate *rate, int64_t units, int64_t now_ns,
		  int64_t *until_r)
{
	int64_t word = read_word(rate), next, ahead;

	do {
		int64_t limit = limit_of(rate, word);
		int64_t unit;

		*until_r = 0;
		if (limit == 0)
			return RATE_TAKEN;
		if (units > limit)
			return RATE_NEVER;
		unit = unit_ns(limit);
		next = later(time_of(word), now_ns) + units * unit;
		ahead = next - now_ns - limit * unit;
		if (ahead > 0)
			return ahead;
		next = word_of(next, generation_of(word));
	} while (!replace(rate, &word, next));
	*until_r = next;
	return RATE_TAKEN;
}

/* How far the arrival time goes back for `units` that were not needed. */
static int64_t given_back_ns(int64_t units, int64_t unit, int64_t word,
			     int64_t until, int64_t now_ns)
{
	int64_t most = time_of(word) - now_ns; /* all that is used */

	/* Of the units taken only those are there that would still come. */
	if (generation_of(until) == generation_of(word) &&
	    time_of(until) - now_ns < most)
		most = time_of(until) - now_ns;
	if (most <= 0)
		return 0;
	return units > most / unit ? most : units * unit;
}

static int64_t settled(int64_t word, int64_t limit, int64_t more, int64_t until,
		       int64_t now_ns)
{
	int64_t unit = unit_ns(limit), owed_most = DEBT_MINUTES * limit;
	int64_t time = time_of(word);

	if (more < 0)
		return time - given_back_ns(-more, unit, word, until, now_ns);
	if (more > owed_most)
		more = owed_most;
	time = later(time, now_ns) + more * unit;
	return time - now_ns > owed_most * unit ? now_ns + owed_most * unit
						: time;
}

void rate_settle(struct rate *rate, int64_t taken, int64_t used, int64_t until,
		 int64_t now_ns)
{
	int64_t word = read_word(rate), next;

	/* 0: there was no limit when it began. */
	if (used == taken || until == 0)
		return;
	do {
		int64_t limit = limit_of(rate, word);

		if (limit == 0)
			return;
		next = word_of(
			settled(word, limit, used - taken, until, now_ns),
			generation_of(word));
	} while (!replace(rate, &word, next));
}

void rate_view(const struct rate *rate, int64_t now_ns,
	       struct rate_view *view_r)
{
	int64_t word = read_word(rate), limit, again, used_ns, unit;

	*view_r = (struct rate_view){ 0, 0, 0 };
	for (;;) {
		limit = limit_of(rate, word);
		again = read_word(rate);
		if (generation_of(again) == generation_of(word))
			break;
		word = again;
	}
	if (limit == 0)
		return;
	unit = unit_ns(limit);
	used_ns = later(time_of(again) - now_ns, 0);
	view_r->limit = limit;
	view_r->full_ns = used_ns;
	view_r->remaining = later(limit * unit - used_ns, 0) / unit;
}

bool rate_is_full(const struct rate *rate, int64_t now_ns)
{
	return time_of(read_word(rate)) <= now_ns;
}
