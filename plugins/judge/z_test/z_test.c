/* SPDX-License-Identifier: Apache-2.0 */

/*
 * judge/z_test: the fixed-horizon test of two proportions, asked at each look.
 *
 * For comparison with judge/sequential.  Of n calls of each revision, x bad:
 *
 *	p = (x1 + x0) / (n1 + n0)
 *	z = (x1 / n1 - x0 / n0) / sqrt(p (1 - p) (1 / n1 + 1 / n0))
 *
 * and worse when z is above the normal quantile of 1 - alpha.  That is sound
 * for one look at numbers of calls chosen beforehand.  Repeated, as it is here
 * and in most dashboards, the chance that some look passes grows without bound
 * (Armitage, McPherson and Rowe, "Repeated significance tests on accumulating
 * data", J. R. Statist. Soc. A 132, 1969; Johari et al., "Peeking at A/B
 * tests", KDD 2017).  Several kinds of bad event share alpha (Bonferroni).
 */

#include <math.h>
#include <stdio.h>

#include "plugins/judge/tally/tally.h"
#include "plugins/scaling/formula/component.h"

struct z_test_options {
	double alpha;
	int64_t min_samples;
};

static const struct atom_option z_test_options[] = {
	ATOM_OPTION_FLOAT(struct z_test_options, alpha, "0.05", 1e-9, 0.5,
			  ATOM_RELOADABLE,
			  "chance of a false alarm in one look, and in one "
			  "look only"),
	ATOM_OPTION_INT_UNIT(struct z_test_options, min_samples, "30", 1,
			     1000000000, ATOM_RELOADABLE, "calls",
			     "of either revision before it says anything"),
};

/* One-sided p-value of "the new one's share of bad calls is no higher". */
static double p_value(const struct tally *tally, int32_t kind)
{
	double n1 = (double)tally->new_calls, n0 = (double)tally->old_calls;
	double x1 = (double)tally->new_bad[kind];
	double x0 = (double)tally->old_bad[kind];
	double p = (x1 + x0) / (n1 + n0);
	double deviation = sqrt(p * (1 - p) * (1 / n1 + 1 / n0));

	/* All good or all bad: they are the same. */
	if (!(deviation > 0))
		return 1;
	return erfc((x1 / n1 - x0 / n0) / deviation / sqrt(2)) / 2;
}

#define SAY(field, ...) (void)snprintf(field, sizeof(field), __VA_ARGS__)

static atom_status judge(void *self, const struct atom_trial *trial,
			 void *state, size_t *state_size,
			 struct atom_verdict *verdict, struct atom_error *err)
{
	const struct z_test_options *options = component_options(self);
	uint64_t least = (uint64_t)options->min_samples;
	struct tally tally;
	atom_status status = tally_trial(&tally, trial, err);

	(void)state;
	*state_size = 0;
	if (status != ATOM_OK)
		return status;
	verdict->verdict = ATOM_VERDICT_UNDECIDED;
	verdict->value = 1;
	verdict->evidence_count = 0;
	SAY(verdict->metric, "p_value");
	for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++) {
		double p;

		if (!tally_counts(trial, kind))
			continue;
		verdict->evidence[verdict->evidence_count++] =
			tally_evidence(&tally, kind);
		if (tally.new_calls < least || tally.old_calls < least)
			continue;
		p = p_value(&tally, kind);
		if (p < verdict->value)
			verdict->value = p;
	}
	if (verdict->evidence_count == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "no kind of bad event is declared: set one of "
				 "the agent's `bad_events`");
	verdict->threshold = options->alpha / verdict->evidence_count;
	if (verdict->value < verdict->threshold)
		verdict->verdict = ATOM_VERDICT_WORSE;
	SAY(verdict->reason,
	    "p-value %.3g after %llu calls with the new revision and %llu with "
	    "the old; below %.3g is worse",
	    verdict->value, (unsigned long long)tally.new_calls,
	    (unsigned long long)tally.old_calls, verdict->threshold);
	return ATOM_OK;
}

static const struct atom_judge_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.judge = judge,
};

ATOM_PLUGIN("z_test", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_JUDGE, "z_test",
			   "fixed-horizon test at each look, for comparison",
			   &ops, z_test_options, struct z_test_options));
