/* SPDX-License-Identifier: Apache-2.0 */

/* The judges as they are built, on counts worked by hand and in simulated
 * rollouts. */

#include <criterion/criterion.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"
#include "core/buffer.h"
#include "core/log.h"
#include "plugin/options.h"
#include "rollout/simulate.h"

#define CELLS 6

static const struct atom_judge_ops *ops;
static void *self, *so;
static struct setting *root;
static struct options *options;
static struct buffer errors;
static struct atom_cell cells[CELLS];
static struct atom_trial trial;
static struct atom_verdict verdict;
static struct atom_error err;
static unsigned char state[ATOM_JUDGE_STATE_MAX];
static size_t state_size;

static const void *no_service(const struct atom_host *host, const char *id)
{
	(void)host;
	(void)id;
	return NULL;
}

static const struct atom_host host = {
	.struct_size = sizeof(host),
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.version = "test",
	.directory = "/",
	.service = no_service,
};

static void begin(const char *name, const char *text)
{
	static const char *const ignored[] = { "plugin", NULL };
	const char *plugins = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_component *component;
	char path[4096];

	log_set_descriptor(-1);
	buffer_init(&errors, 65536);
	(void)snprintf(path, sizeof(path), "%s/judge-%s.so",
		       plugins ? plugins : "plugins/built", name);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(so, "%s", dlerror());
	component = ((const struct atom_plugin *)dlsym(so, ATOM_PLUGIN_SYMBOL))
			    ->components;
	cr_assert_str_eq(component->kind, ATOM_KIND_JUDGE);
	ops = (const struct atom_judge_ops *)component->ops;
	cr_assert_eq(parse_text(text, strlen(text), "t.conf", &root, &errors),
		     ATOM_OK, "%s", errors.bytes);
	cr_assert_eq(options_fill(component, root, ignored, &options, &errors),
		     ATOM_OK, "%s", errors.bytes);
	err = (struct atom_error)ATOM_ERROR_INIT;
	cr_assert_eq(ops->create(&host, options_struct(options), &self, &err),
		     ATOM_OK, "%s", err.message);
	memset(cells, 0, sizeof(cells));
	trial = (struct atom_trial){
		.struct_size = sizeof(trial),
		.cell_stride = sizeof(cells[0]),
		.cells = cells,
		.bad_kinds = 1U << ATOM_BAD_ERROR,
	};
	state_size = 0;
}

static void end(void)
{
	ops->destroy(self);
	options_free(&options);
	setting_free(&root);
	buffer_fini(&errors);
	dlclose(so);
}

/* One more pair of cells: calls and bad events of both. */
static void add(int32_t weight, uint64_t new_calls, uint64_t new_bad,
		uint64_t old_calls, uint64_t old_bad)
{
	for (int i = 0; i < 2; i++) {
		struct atom_cell *cell = &cells[trial.cell_count++];

		cell->struct_size = sizeof(*cell);
		cell->weight = weight;
		cell->is_new = i;
		cell->bad_kinds = 1;
		cell->calls = i ? new_calls : old_calls;
		cell->bad[ATOM_BAD_ERROR] = i ? new_bad : old_bad;
	}
}

static int32_t ask(void)
{
	memset(&verdict, 0, sizeof(verdict));
	verdict.struct_size = sizeof(verdict);
	cr_assert_eq(
		ops->judge(self, &trial, state, &state_size, &verdict, &err),
		ATOM_OK, "%s", err.message);
	cr_assert(memchr(verdict.reason, '\0', sizeof(verdict.reason)));
	cr_assert(verdict.reason[0]);
	return verdict.verdict;
}

static atom_status ask_built(void *arg, const struct atom_trial *asked,
			     void *kept, size_t *kept_size,
			     struct atom_verdict *verdict_r,
			     struct atom_error *error)
{
	(void)arg;
	return ops->judge(self, asked, kept, kept_size, verdict_r, error);
}

static struct rollout_result simulate(const struct rollout_setup *setup)
{
	struct rollout_result result;

	cr_assert_eq(rollout_simulate(setup, ask_built, NULL, NULL, NULL,
				      &result, NULL, &err),
		     ATOM_OK, "%s", err.message);
	return result;
}

static const struct rollout_setup equal = {
	.calls = 4000,
	.runs = 2000,
	.weight = 500,
	.seed = 1,
	.old_rate = 0.02,
	.new_rate = 0.02,
	.calls_per_s = 10,
	.look_ms = 1000,
};

/* --- sequential ----------------------------------------------------------- */

/* At half and half, ten bad events, all of the new one: L_k = 10 (d_k -
 * log((e^d_k + 1) / 2)), that is (2 r / (r + 1))^10 for each ratio r. */
Test(judge, sequential_is_the_mixture_of_likelihood_ratios)
{
	static const double ratios[] = { 1.25, 1.5, 2, 3, 5, 10, 30 };
	double expected = 0;

	begin("sequential", "");
	add(5000, 100, 10, 100, 0);
	cr_assert_eq(ask(), ATOM_VERDICT_WORSE);
	for (size_t i = 0; i < 7; i++)
		expected += pow(2 * ratios[i] / (ratios[i] + 1), 10) / 7;
	cr_expect_float_eq(verdict.value, expected, expected * 1e-9);
	cr_expect_float_eq(verdict.evidence[0].worse, log(expected), 1e-9);
	cr_expect_float_eq(verdict.threshold, 20, 1e-9);
	cr_expect_str_eq(verdict.metric, "e_value");
	cr_expect_float_eq(verdict.evidence[0].ratio, 21, 1e-9);
	cr_expect(strstr(verdict.reason, "10 of 100 calls with the new"));
	end();
}

/* Against "1.25 times or more", exchanged: the bound is d0 = -log 1.25, and
 * a bad event of the old one weighs r (w e^d0 + 1 - w) / (w e^(d0 + d) + 1 -
 * w); at half and half (0.8 + 1) r / (0.8 r + 1). */
Test(judge, not_worse_is_the_test_with_the_arms_exchanged)
{
	static const double ratios[] = { 1.25, 1.5, 2, 3, 5, 10, 30 };
	double expected = 0;

	begin("sequential", "");
	add(5000, 1000, 20, 1000, 80);
	for (size_t i = 0; i < 7; i++)
		expected += exp(80 * log(ratios[i]) -
				100 * log((0.8 * ratios[i] + 1) / 1.8)) /
			    7;
	cr_assert_eq(ask(), ATOM_VERDICT_NOT_WORSE);
	cr_expect_float_eq(verdict.evidence[0].not_worse, log(expected), 1e-9);
	trial.cell_count = 0;
	add(5000, 40, 0, 1000, 80);
	cr_expect_eq(ask(), ATOM_VERDICT_UNDECIDED, "too few calls");
	cr_expect(strstr(verdict.reason, "40 calls"), "%s", verdict.reason);
	end();
}

Test(judge, cells_of_other_weights_add_up)
{
	double apart;

	begin("sequential", "");
	add(500, 50, 5, 950, 20);
	(void)ask();
	apart = verdict.evidence[0].worse;
	trial.cell_count = 0;
	add(500, 30, 2, 500, 12);
	add(500, 20, 3, 450, 8);
	(void)ask();
	cr_expect_float_eq(verdict.evidence[0].worse, apart, 1e-9);
	/* Where one arm gets everything nothing is learned. */
	add(10000, 5000, 4000, 0, 0);
	(void)ask();
	cr_expect_float_eq(verdict.evidence[0].worse, apart, 1e-9);
	end();
}

/* One kind alone would do; averaged with five that say nothing (an e-value
 * of 1) it needs six times as much. */
Test(judge, alpha_holds_for_all_kinds_together)
{
	begin("sequential", "");
	add(5000, 100, 7, 100, 0);
	cr_assert_eq(ask(), ATOM_VERDICT_WORSE);
	trial.bad_kinds = (1U << ATOM_BAD_COUNT) - 1;
	cr_assert_eq(ask(), ATOM_VERDICT_UNDECIDED);
	cr_assert_eq(verdict.evidence_count, ATOM_BAD_COUNT);
	end();
}

Test(judge, nonsense_is_refused_in_words)
{
	begin("sequential", "");
	add(5000, 10, 11, 10, 0);
	cr_assert_eq(
		ops->judge(self, &trial, state, &state_size, &verdict, &err),
		ATOM_EINVAL);
	cr_expect_str_eq(err.message, "a cell has 10 calls, yet 11 of `error`");
	trial.cell_count = 0;
	add(10001, 10, 1, 10, 0);
	cr_assert_eq(
		ops->judge(self, &trial, state, &state_size, &verdict, &err),
		ATOM_EINVAL);
	trial.cell_count = 0;
	trial.bad_kinds = 0;
	cr_assert_eq(
		ops->judge(self, &trial, state, &state_size, &verdict, &err),
		ATOM_EINVAL);
	end();
}

Test(judge, sequential_keeps_its_promise_about_equal_revisions)
{
	struct rollout_setup outage = equal;
	struct rollout_result result;

	begin("sequential", "");
	result = simulate(&equal);
	cr_expect_leq(result.alarm_share, 0.05);
	outage.outage_from = 0.4;
	outage.outage_to = 0.6;
	outage.outage_rate = 0.9;
	result = simulate(&outage);
	cr_expect_leq(result.alarm_share, 0.05);
	end();
}

Test(judge, sequential_finds_five_times_the_errors_soon)
{
	struct rollout_setup worse = equal;
	struct rollout_result result;

	begin("sequential", "");
	worse.new_rate = 5 * worse.old_rate;
	result = simulate(&worse);
	cr_expect_geq(result.alarm_share, 0.9);
	cr_expect_gt(result.median_calls_to_alarm, 0);
	cr_expect_leq(result.median_calls_to_alarm, 1500);
	end();
}

/* --- threshold ------------------------------------------------------------ */

static int32_t ask_at(int64_t now_ms)
{
	trial.now_ms = now_ms;
	return ask();
}

Test(judge, threshold_counts_measurements_as_argo_does)
{
	begin("threshold", "count = 3; failure_limit = 1;");
	add(500, 100, 5, 0, 0);
	cr_assert_eq(ask_at(59999), ATOM_VERDICT_UNDECIDED);
	cr_assert(strstr(verdict.reason, "0 measurements"));
	cr_assert_eq(ask_at(60000), ATOM_VERDICT_UNDECIDED);
	cr_assert(strstr(verdict.reason, "1 measurements successful"));
	/* The next interval's own share: 10 of 100. */
	cells[1].calls = 200;
	cells[1].bad[ATOM_BAD_ERROR] = 15;
	cr_assert_eq(ask_at(120000), ATOM_VERDICT_UNDECIDED, "one may fail");
	cr_assert_float_eq(verdict.value, 0.1, 1e-12);
	cells[1].calls = 300;
	cr_assert_eq(ask_at(180000), ATOM_VERDICT_NOT_WORSE, "three of three");
	end();
}

Test(judge, threshold_fails_above_its_limit_and_stays_so)
{
	begin("threshold", "");
	add(500, 100, 6, 0, 0);
	cr_assert_eq(ask_at(60000), ATOM_VERDICT_WORSE);
	cells[1].calls = 1000;
	cr_assert_eq(ask_at(120000), ATOM_VERDICT_WORSE);
	end();
}

Test(judge, threshold_without_calls_is_inconclusive)
{
	begin("threshold", "inconclusive_limit = 1; count = 2;");
	add(500, 0, 0, 100, 50);
	cr_assert_eq(ask_at(60000), ATOM_VERDICT_UNDECIDED);
	cr_assert_eq(ask_at(120000), ATOM_VERDICT_UNDECIDED);
	cr_assert(strstr(verdict.reason, "inconclusive:"), "%s",
		  verdict.reason);
	cells[1].calls = 100;
	cr_assert_eq(ask_at(180000), ATOM_VERDICT_UNDECIDED, "it has ended");
	end();
}

Test(judge, threshold_begins_anew_from_a_state_that_is_none)
{
	begin("threshold", "");
	add(500, 100, 0, 0, 0);
	memset(state, 0xff, sizeof(state));
	state_size = 17;
	cr_assert_eq(ask_at(60000), ATOM_VERDICT_UNDECIDED);
	cr_assert(strstr(verdict.reason, "1 measurements successful"));
	memset(state, 0xff, sizeof(state));
	cr_assert_eq(ask_at(120000), ATOM_VERDICT_UNDECIDED);
	cr_assert(strstr(verdict.reason, "1 measurements successful"));
	end();
}

/* What the sequential judge is for: fixed limits know no outage. */
Test(judge, threshold_alarms_in_an_outage_of_both)
{
	struct rollout_setup outage = equal;
	struct rollout_result result;

	begin("threshold", "");
	outage.runs = 200;
	outage.outage_from = 0.4;
	outage.outage_to = 0.6;
	outage.outage_rate = 0.5;
	result = simulate(&outage);
	cr_expect_geq(result.alarm_share, 0.9);
	end();
}

/* --- z_test --------------------------------------------------------------- */

/* 10 of 100 against 2 of 100: p = 0.06, z = 0.08 / sqrt(0.06 0.94 / 50) =
 * 2.38196, of which a normal table says 0.00861. */
Test(judge, z_test_is_the_pooled_test_of_two_proportions)
{
	begin("z_test", "");
	add(5000, 100, 10, 100, 2);
	cr_assert_eq(ask(), ATOM_VERDICT_WORSE);
	cr_expect_float_eq(verdict.value, 0.00861, 1e-5);
	trial.cell_count = 0;
	add(5000, 100, 2, 100, 10);
	cr_assert_eq(ask(), ATOM_VERDICT_UNDECIDED);
	cr_expect_float_eq(verdict.value, 1 - 0.00861, 1e-5);
	trial.cell_count = 0;
	add(5000, 29, 29, 100, 0);
	cr_assert_eq(ask(), ATOM_VERDICT_UNDECIDED, "too few calls");
	trial.cell_count = 0;
	add(5000, 100, 100, 100, 100);
	cr_assert_eq(ask(), ATOM_VERDICT_UNDECIDED, "both fail");
	/* Two kinds share alpha. */
	trial.cell_count = 0;
	trial.bad_kinds |= 1U << ATOM_BAD_SLOW;
	add(5000, 100, 8, 100, 2);
	cr_assert_eq(ask(), ATOM_VERDICT_UNDECIDED);
	cr_expect_float_eq(verdict.threshold, 0.025, 1e-12);
	end();
}

/* Why there is a sequential one: alpha is of one look. */
Test(judge, z_test_asked_again_and_again_alarms_far_beyond_alpha)
{
	struct rollout_setup once = equal;
	struct rollout_result result;

	begin("z_test", "");
	once.weight = 5000;
	once.runs = 500;
	once.look_ms = 1000000;
	result = simulate(&once);
	cr_expect_leq(result.alarm_share, 0.08);
	once.look_ms = 1000;
	result = simulate(&once);
	cr_expect_geq(result.alarm_share, 0.2);
	end();
}

/* --- the simulation itself ------------------------------------------------ */

static atom_status after_100(void *arg, const struct atom_trial *asked,
			     void *kept, size_t *kept_size,
			     struct atom_verdict *verdict_r,
			     struct atom_error *error)
{
	uint64_t calls = atom_trial_cell(asked, 0)->calls +
			 atom_trial_cell(asked, 1)->calls;

	(void)kept;
	(void)kept_size;
	(void)error;
	if (calls >= 100)
		verdict_r->verdict = *(const int32_t *)arg;
	return ATOM_OK;
}

Test(judge, a_simulation_counts_what_happened)
{
	struct rollout_setup setup = equal;
	struct rollout_result one, two;
	int32_t said = ATOM_VERDICT_WORSE;
	uint64_t ends[50];

	setup.runs = 50;
	setup.weight = 5000;
	setup.new_rate = 1;
	cr_assert_eq(rollout_simulate(&setup, after_100, &said, NULL, NULL,
				      &one, ends, &err),
		     ATOM_OK);
	cr_expect_eq(one.alarm_share, 1);
	cr_expect_eq(one.accept_share, 0);
	cr_expect_eq(one.median_calls_to_alarm, 100);
	cr_expect_eq(one.calls_mean, 100);
	cr_expect(one.bad_answers_mean > 45 && one.bad_answers_mean < 55);
	cr_expect_eq(ends[0], 100);
	cr_expect_eq(ends[49], 100);
	said = ATOM_VERDICT_NOT_WORSE;
	cr_assert_eq(rollout_simulate(&setup, after_100, &said, NULL, NULL,
				      &two, ends, &err),
		     ATOM_OK);
	cr_expect_eq(two.accept_share, 1);
	cr_expect(two.median_calls_to_alarm < 0);
	cr_expect_eq(two.bad_answers_mean, one.bad_answers_mean,
		     "the same seed draws the same calls");
	cr_expect_eq(ends[0], UINT64_MAX);
	setup.weight = 10000;
	cr_expect_eq(rollout_simulate(&setup, after_100, &said, NULL, NULL,
				      &two, NULL, &err),
		     ATOM_EINVAL);
}
