/* SPDX-License-Identifier: Apache-2.0 */

/*
 * judge/sequential: an anytime-valid test of each kind of bad event.
 *
 * Every call was given to the new revision with a known probability w.  So,
 * given that a call went badly, it was the new revision's with probability
 *
 *	p(d) = w e^d / (w e^d + 1 - w),
 *
 * where e^d is the ratio of the two revisions' rates, whatever the rates
 * themselves are: an outage that hits both moves nothing.  For a grid of
 * alternatives d_k with weights pi_k, against the bound d0,
 *
 *	L_k += a (d0 + d_k) - log(w e^(d0 + d_k) + 1 - w)
 *	       - (a d0 - log(w e^d0 + 1 - w)),
 *
 * a being 1 for a bad event of the new revision and 0 for one of the old,
 * makes E = sum of pi_k e^(L_k) a supermartingale as long as d <= d0.  By
 * Ville's inequality it passes 1 / alpha with a chance of at most alpha,
 * looked at as often as one likes (Lindon and Malek, "Anytime-valid inference
 * for multinomial count data", 2022; Johari, Koomen, Pekelis and Walsh,
 * "Always valid inference", 2022).  The mean of such E over the kinds of bad
 * event is one too, so alpha holds for all kinds together.
 *
 * Worse: the mean of E with d0 = 0 passes 1 / alpha.  Not worse: for every
 * kind, the test with the arms exchanged (1 - w) and d0 = -log(margin), that
 * is against "the new one's rate is the old one's times the margin, or more",
 * passes it.
 *
 * It keeps no state: the sums over cells say everything.
 */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/judge/tally/tally.h"

struct sequential_options {
	double alpha;
	double margin;
	int64_t min_samples;
};

static const struct atom_option sequential_options[] = {
	ATOM_OPTION_FLOAT(struct sequential_options, alpha, "0.05", 1e-9, 0.5,
			  ATOM_RELOADABLE,
			  "chance of a false alarm in a whole rollout"),
	ATOM_OPTION_FLOAT(struct sequential_options, margin, "1.25", 1.01, 10,
			  ATOM_RELOADABLE,
			  "ratio of rates up to which new counts as no worse"),
	ATOM_OPTION_INT_UNIT(struct sequential_options, min_samples, "50", 1,
			     1000000000, ATOM_RELOADABLE, "calls",
			     "of the new revision before it can pass"),
};

struct sequential {
	const struct sequential_options *options;
};

/* Ratios that the tests look for beyond their bound, equally likely each. A
 * mixture finds one between two of them nearly as fast as its neighbours. */
static const double ratios[] = { 1.25, 1.5, 2, 3, 5, 10, 30 };
#define RATIO_COUNT (sizeof(ratios) / sizeof(ratios[0]))

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct sequential *self = calloc(1, sizeof(*self));

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
	struct sequential *sequential = self;

	(void)err;
	sequential->options = options;
	return ATOM_OK;
}

/* log of the mean of e^x over `count` values. */
static double log_mean_exp(const double *x, size_t count)
{
	double most = x[0], sum = 0;

	for (size_t i = 1; i < count; i++)
		most = fmax(most, x[i]);
	for (size_t i = 0; i < count; i++)
		sum += exp(x[i] - most);
	return most + log(sum / (double)count);
}

/* log E over all cells for one kind.  `exchanged`: the old revision is the
 * one that is suspected.  Cells in which one arm could get no call say
 * nothing about the ratio. */
static double log_evidence(const struct atom_trial *trial, int32_t kind,
			   double bound, int exchanged)
{
	double sums[RATIO_COUNT] = { 0 };

	for (size_t i = 0; i < trial->cell_count; i++) {
		const struct atom_cell *cell = atom_trial_cell(trial, i);
		double w = (double)cell->weight / ATOM_WEIGHT_ALL;
		double bad = (double)tally_cell_bad(cell, kind);
		int suspect = (cell->is_new != 0) != (exchanged != 0);

		if (bad <= 0 || w <= 0 || w >= 1)
			continue;
		if (exchanged)
			w = 1 - w;
		for (size_t k = 0; k < RATIO_COUNT; k++) {
			double d = log(ratios[k]);
			double step = log(w * exp(bound + d) + 1 - w) -
				      log(w * exp(bound) + 1 - w);

			sums[k] += bad * ((suspect ? d : 0) - step);
		}
	}
	return log_mean_exp(sums, RATIO_COUNT);
}

#define SAY(field, ...) (void)snprintf(field, sizeof(field), __VA_ARGS__)

static void say_worse(struct atom_verdict *verdict)
{
	const struct atom_evidence *worst = &verdict->evidence[0];

	for (uint32_t i = 1; i < verdict->evidence_count; i++)
		if (verdict->evidence[i].worse > worst->worse)
			worst = &verdict->evidence[i];
	verdict->verdict = ATOM_VERDICT_WORSE;
	SAY(verdict->reason,
	    "`%s`: %llu of %llu calls with the new revision, %llu of %llu with "
	    "the old, %.1f times the rate; e-value %.3g, %.3g is the limit",
	    tally_word(worst->kind), (unsigned long long)worst->new_bad,
	    (unsigned long long)worst->new_calls,
	    (unsigned long long)worst->old_bad,
	    (unsigned long long)worst->old_calls, worst->ratio, verdict->value,
	    verdict->threshold);
}

static void say_others(struct atom_verdict *verdict, const struct tally *tally,
		       const struct sequential_options *options,
		       double not_worse)
{
	double limit = verdict->threshold;

	if (tally->new_calls < (uint64_t)options->min_samples) {
		SAY(verdict->reason,
		    "%llu calls with the new revision, %lld are wanted; "
		    "e-value %.3g, %.3g is the limit",
		    (unsigned long long)tally->new_calls,
		    (long long)options->min_samples, verdict->value, limit);
		return;
	}
	if (not_worse >= log(limit)) {
		verdict->verdict = ATOM_VERDICT_NOT_WORSE;
		SAY(verdict->reason,
		    "no kind of bad event is %.2f times as frequent with the "
		    "new revision; e-value against it %.3g, %.3g is the limit",
		    options->margin, exp(fmin(not_worse, 700)), limit);
		return;
	}
	SAY(verdict->reason,
	    "undecided after %llu calls with the new revision: e-value of "
	    "worse %.3g, of not worse %.3g, %.3g is the limit",
	    (unsigned long long)tally->new_calls, verdict->value,
	    exp(fmin(not_worse, 700)), limit);
}

static atom_status judge(void *self, const struct atom_trial *trial,
			 void *state, size_t *state_size,
			 struct atom_verdict *verdict, struct atom_error *err)
{
	const struct sequential_options *options =
		((const struct sequential *)self)->options;
	double margin = -log(options->margin), worse[ATOM_BAD_COUNT];
	double not_worse = HUGE_VAL;
	struct tally tally;
	atom_status status = tally_trial(&tally, trial, err);

	(void)state;
	*state_size = 0;
	if (status != ATOM_OK)
		return status;
	verdict->verdict = ATOM_VERDICT_UNDECIDED;
	verdict->threshold = 1 / options->alpha;
	verdict->evidence_count = 0;
	SAY(verdict->metric, "e_value");
	for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++) {
		struct atom_evidence *row;

		if (!tally_counts(trial, kind))
			continue;
		row = &verdict->evidence[verdict->evidence_count];
		*row = tally_evidence(&tally, kind);
		row->worse = log_evidence(trial, kind, 0, 0);
		row->not_worse = log_evidence(trial, kind, margin, 1);
		not_worse = fmin(not_worse, row->not_worse);
		worse[verdict->evidence_count++] = row->worse;
	}
	if (verdict->evidence_count == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "no kind of bad event is declared: set one of "
				 "the agent's `bad_events`");
	/* Beyond e^700 a double ends; the limit is far below. */
	verdict->value =
		exp(fmin(log_mean_exp(worse, verdict->evidence_count), 700));
	if (verdict->value >= verdict->threshold)
		say_worse(verdict);
	else
		say_others(verdict, &tally, options, not_worse);
	return ATOM_OK;
}

static const struct atom_judge_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.judge = judge,
};

ATOM_PLUGIN("sequential", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_JUDGE, "sequential",
			   "anytime-valid test of each kind of bad event", &ops,
			   sequential_options, struct sequential_options));
