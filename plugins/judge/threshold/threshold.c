/* SPDX-License-Identifier: Apache-2.0 */

/*
 * judge/threshold: a measurement at each interval, held against fixed limits.
 *
 * The semantics are those of Argo Rollouts' AnalysisTemplate: each interval
 * gives one measurement, which is Successful (`success`), Failed (`failure`)
 * or Inconclusive (between the two, or too few calls to say); more than
 * `failure_limit` failed ones fail the analysis at once, more than
 * `inconclusive_limit` end it inconclusive, and after `count` measurements it
 * is successful.  What is measured is the share of the new revision's calls
 * of the interval that went badly, the worst kind of bad event of those that
 * the agent declares.
 *
 * The old revision is not looked at: an outage that hits both fails the new
 * one.  judge/sequential is the one that compares.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/judge/tally/tally.h"

struct threshold_options {
	int64_t interval;
	int64_t count;
	double success;
	double failure;
	int64_t failure_limit;
	int64_t inconclusive_limit;
	int64_t min_samples;
};

static const struct atom_option threshold_options[] = {
	ATOM_OPTION_DURATION(struct threshold_options, interval, "60s", 100,
			     86400000, ATOM_RELOADABLE,
			     "from one measurement to the next"),
	ATOM_OPTION_INT(
		struct threshold_options, count, "5", 0, 1000000,
		ATOM_RELOADABLE,
		"measurements to pass; 0 = until the analysis is ended"),
	ATOM_OPTION_FLOAT(struct threshold_options, success, "0.05", 0, 1,
			  ATOM_RELOADABLE,
			  "a share of bad calls up to this is a success"),
	ATOM_OPTION_FLOAT(struct threshold_options, failure, "0.05", 0, 1,
			  ATOM_RELOADABLE,
			  "a share of bad calls above this is a failure"),
	ATOM_OPTION_INT(struct threshold_options, failure_limit, "0", 0,
			1000000, ATOM_RELOADABLE,
			"failed measurements that are let pass"),
	ATOM_OPTION_INT(struct threshold_options, inconclusive_limit, "0", 0,
			1000000, ATOM_RELOADABLE,
			"inconclusive measurements that are let pass"),
	ATOM_OPTION_INT_UNIT(struct threshold_options, min_samples, "1", 1,
			     1000000000, ATOM_RELOADABLE, "calls",
			     "of the new revision that make a measurement"),
};

struct threshold {
	const struct threshold_options *options;
};

#define STATE_VERSION 1

/* What it keeps between two looks. */
struct state {
	uint32_t version;
	uint32_t over; /* ATOM_VERDICT_*, or 1 << 8: ended inconclusive */
	int64_t measured_ms;
	int64_t successful;
	int64_t failed;
	int64_t inconclusive;
	double value; /* of the last measurement; negative: none */
	struct tally seen;
};

#define OVER_INCONCLUSIVE (1U << 8)

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct threshold *self = calloc(1, sizeof(*self));

	(void)host;
	if (self == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	self->options = options;
	*self_r = self;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct threshold *threshold = self;

	(void)err;
	threshold->options = options;
	return ATOM_OK;
}

/* State of another version or size is begun anew. */
static void read_state(struct state *s, const void *state, size_t size,
		       const struct atom_trial *trial)
{
	if (size == sizeof(*s)) {
		memcpy(s, state, sizeof(*s));
		if (s->version == STATE_VERSION)
			return;
	}
	memset(s, 0, sizeof(*s));
	s->version = STATE_VERSION;
	s->measured_ms = trial->began_ms;
	s->value = -1;
}

/* The share of the worst declared kind since the last measurement. */
static double worst_share(const struct atom_trial *trial, const struct state *s,
			  const struct tally *now, uint64_t calls)
{
	double worst = 0;

	for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++) {
		uint64_t before = s->seen.new_bad[kind];
		uint64_t bad = now->new_bad[kind];
		double share;

		if (!tally_counts(trial, kind) || bad <= before)
			continue;
		share = (double)(bad - before) / (double)calls;
		if (share > worst)
			worst = share;
	}
	return worst;
}

static void measure(const struct threshold_options *options,
		    const struct atom_trial *trial, struct state *s,
		    const struct tally *now)
{
	uint64_t calls = now->new_calls > s->seen.new_calls
				 ? now->new_calls - s->seen.new_calls
				 : 0;

	if (calls < (uint64_t)options->min_samples) {
		s->inconclusive++;
		s->value = -1;
	} else {
		s->value = worst_share(trial, s, now, calls);
		if (s->value > options->failure)
			s->failed++;
		else if (s->value <= options->success)
			s->successful++;
		else
			s->inconclusive++;
	}
	s->seen = *now;
	s->measured_ms = trial->now_ms;
	if (s->failed > options->failure_limit)
		s->over = ATOM_VERDICT_WORSE;
	else if (s->inconclusive > options->inconclusive_limit)
		s->over = OVER_INCONCLUSIVE;
	else if (options->count > 0 &&
		 s->successful + s->failed + s->inconclusive >= options->count)
		s->over = ATOM_VERDICT_NOT_WORSE;
}

static void say(const struct threshold_options *options, const struct state *s,
		struct atom_verdict *verdict)
{
	const char *word = s->over == ATOM_VERDICT_WORSE       ? "failed"
			   : s->over == ATOM_VERDICT_NOT_WORSE ? "successful"
			   : s->over == OVER_INCONCLUSIVE      ? "inconclusive"
							       : "going on";
	char last[64] = "too few calls";

	if (s->value >= 0)
		(void)snprintf(last, sizeof(last), "%.4g of calls bad",
			       s->value);
	(void)snprintf(verdict->reason, sizeof(verdict->reason),
		       "%s: %lld measurements successful, %lld failed (%lld "
		       "may), %lld inconclusive (%lld may); the last: %s, up "
		       "to %.4g passes, above %.4g fails",
		       word, (long long)s->successful, (long long)s->failed,
		       (long long)options->failure_limit,
		       (long long)s->inconclusive,
		       (long long)options->inconclusive_limit, last,
		       options->success, options->failure);
}

static atom_status judge(void *self, const struct atom_trial *trial,
			 void *state, size_t *state_size,
			 struct atom_verdict *verdict, struct atom_error *err)
{
	const struct threshold_options *options =
		((const struct threshold *)self)->options;
	struct tally now;
	struct state s;
	atom_status status = tally_trial(&now, trial, err);

	if (status != ATOM_OK)
		return status;
	if (options->success > options->failure)
		return atom_fail(
			err, ATOM_EINVAL,
			"`success` is %.4g and `failure` %.4g: a share "
			"between would be both; set `failure` higher",
			options->success, options->failure);
	read_state(&s, state, *state_size, trial);
	/* A clock that went back begins the interval anew. */
	if (trial->now_ms < s.measured_ms)
		s.measured_ms = trial->now_ms;
	if (s.over == 0 && trial->now_ms - s.measured_ms >= options->interval)
		measure(options, trial, &s, &now);
	if (s.over == 0 && trial->last)
		s.over = s.successful + s.failed > 0 ? ATOM_VERDICT_NOT_WORSE
						     : OVER_INCONCLUSIVE;
	verdict->verdict = s.over == OVER_INCONCLUSIVE ? ATOM_VERDICT_UNDECIDED
						       : (int32_t)s.over;
	verdict->value = s.value;
	verdict->threshold = options->failure;
	(void)snprintf(verdict->metric, sizeof(verdict->metric), "bad_share");
	verdict->evidence_count = 0;
	for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++)
		if (tally_counts(trial, kind))
			verdict->evidence[verdict->evidence_count++] =
				tally_evidence(&now, kind);
	say(options, &s, verdict);
	memcpy(state, &s, sizeof(s));
	*state_size = sizeof(s);
	return ATOM_OK;
}

static const struct atom_judge_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.judge = judge,
};

ATOM_PLUGIN("threshold_judge", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_JUDGE, "threshold",
			   "fixed limits at each interval, as Argo Rollouts",
			   &ops, threshold_options, struct threshold_options));
