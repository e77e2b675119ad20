/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "simulate.h"
#include "terminal.h"

#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "rollout/rehearse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define JUDGES		"sequential,threshold"
#define ERROR_RATE	0.02
#define WEIGHT		500
#define CALLS		10000
#define CALLS_MAX	100000000
#define RUNS		1000
#define RUNS_MAX	1000000
#define CALLS_PER_S	10
#define CALLS_PER_S_MAX 100000
#define STRATEGY_RUNS	200
#define COLD_START_MS	2000
#define INSTANCES	4
#define LOOK_MS		1000

struct rollouts {
	struct ctl *ctl;
	struct rollout_setup setup;
	int64_t cold_start_ms;
	struct simulate_plugin *judges;
	size_t judge_count;
	struct simulate_plugin *strategies; /* NULL: judges alone */
	size_t strategy_count;
	/* A judge, or a strategy with a judge, each. */
	struct simulate_verdict *verdicts;
	size_t verdict_count;
};

/* --- what was asked for ----------------------------------------------------------- */

static int wrong(struct ctl *ctl, enum option_id id, const char *expected)
{
	return ctl_fail(ctl, CTL_USAGE, "--%s: expected %s, found '%.60s'",
			option_rows[id].name, expected, ctl_option(ctl, id));
}

/* 0.05 and 5% are the same. */
static bool to_share(const char *text, size_t length, double *share_r)
{
	char digits[32];
	bool percent = length && text[length - 1] == '%';
	length -= percent;
	if (length >= sizeof(digits))
		return false;
	memcpy(digits, text, length);
	digits[length] = '\0';
	if (!text_to_float(digits, share_r))
		return false;
	if (percent)
		*share_r /= 100;
	return *share_r >= 0 && *share_r <= 1;
}

static int read_share(struct ctl *ctl, enum option_id id, double *share)
{
	const char *text = ctl_option(ctl, id);
	if (text && !to_share(text, strlen(text), share))
		return wrong(ctl, id, "a share of calls such as 0.05 or 5%");
	return CTL_DONE;
}

/* A share, or as a split has it, of ten thousand. */
static int read_weight(struct ctl *ctl, int32_t *weight)
{
	const char *text = ctl_option(ctl, OPTION_WEIGHT);
	double share;
	int64_t number;
	if (!text)
		return CTL_DONE;
	if (text_to_int(text, &number) && number >= 100 &&
	    number < ATOM_WEIGHT_ALL)
		*weight = (int32_t)number;
	else if (to_share(text, strlen(text), &share) && share < 1 &&
		 lround(share * ATOM_WEIGHT_ALL) > 0)
		*weight = (int32_t)lround(share * ATOM_WEIGHT_ALL);
	else
		return wrong(ctl, OPTION_WEIGHT,
			     "the new revision's share of calls such as 0.05, "
			     "5% or 500 (of 10,000)");
	return CTL_DONE;
}

static int read_number(struct ctl *ctl, enum option_id id, int64_t least,
		       int64_t most, int64_t *number)
{
	const char *text = ctl_option(ctl, id);
	if (!text)
		return CTL_DONE;
	if (!text_to_int(text, number) || *number < least || *number > most)
		return ctl_fail(ctl, CTL_USAGE,
				"--%s: expected a number from %lld to %lld, "
				"found '%.60s'",
				option_rows[id].name, (long long)least,
				(long long)most, text);
	return CTL_DONE;
}

/* FROM:TO:RATE, all shares. */
static int read_outage(struct ctl *ctl, struct rollout_setup *setup)
{
	const char *text = ctl_option(ctl, OPTION_OUTAGE);
	double *const fields[] = { &setup->outage_from, &setup->outage_to,
				   &setup->outage_rate };
	const char *at = text;
	if (!text)
		return CTL_DONE;
	for (size_t i = 0; i < 3; i++) {
		size_t length = strcspn(at, ":");
		if (!to_share(at, length, fields[i]) ||
		    (at[length] == ':') != (i < 2))
			return wrong(ctl, OPTION_OUTAGE,
				     "BEGIN:END:RATE, three shares such as "
				     "0.4:0.6:0.5");
		at += length + 1;
	}
	if (setup->outage_from > setup->outage_to)
		return wrong(ctl, OPTION_OUTAGE, "a begin before its end");
	return CTL_DONE;
}

static int read_setup(struct ctl *ctl, struct rollout_setup *setup)
{
	bool whole = ctl_has(ctl, OPTION_STRATEGY);
	int64_t calls = CALLS, runs = whole ? STRATEGY_RUNS : RUNS, seed = 1;
	int64_t rate = CALLS_PER_S;
	*setup = (struct rollout_setup){
		.old_rate = ERROR_RATE,
		.weight = WEIGHT,
		.look_ms = LOOK_MS,
	};
	int code = read_share(ctl, OPTION_ERROR_RATE, &setup->old_rate);
	setup->new_rate = setup->old_rate;
	if (code == CTL_DONE)
		code = read_share(ctl, OPTION_CANARY_ERROR_RATE,
				  &setup->new_rate);
	if (code == CTL_DONE && whole && ctl_has(ctl, OPTION_WEIGHT))
		code = ctl_fail(ctl, CTL_USAGE,
				"--weight: with --strategy the strategy says "
				"the weights; leave one of them out");
	if (code == CTL_DONE)
		code = read_weight(ctl, &setup->weight);
	if (code == CTL_DONE)
		code = read_number(ctl, OPTION_CALLS, 1, CALLS_MAX, &calls);
	if (code == CTL_DONE)
		code = read_number(ctl, OPTION_RUNS, 1, RUNS_MAX, &runs);
	if (code == CTL_DONE)
		code = read_number(ctl, OPTION_SEED, INT64_MIN, INT64_MAX,
				   &seed);
	if (code == CTL_DONE)
		code = read_number(ctl, OPTION_RATE, 1, CALLS_PER_S_MAX, &rate);
	if (code == CTL_DONE)
		code = read_outage(ctl, setup);
	setup->calls_per_s = (double)rate;
	setup->calls = (uint64_t)calls;
	setup->runs = (uint32_t)runs;
	setup->seed = (uint64_t)seed;
	return code;
}

/* --- running it ------------------------------------------------------------------- */

static atom_status ask(void *arg, const struct atom_trial *trial, void *state,
		       size_t *state_size, struct atom_verdict *verdict,
		       struct atom_error *err)
{
	const struct configured *judge = arg;
	const struct atom_judge_ops *ops =
		(const struct atom_judge_ops *)(const void *)
			configured_component(judge)
				->ops;
	return ops->judge(configured_self(judge), trial, state, state_size,
			  verdict, err);
}

/* Each hundredth of the runs; the time is from the judge's first one. */
struct watch {
	struct ctl *ctl;
	const char *name;
	int64_t began_ns;
};

static void tell(void *arg, uint32_t done, uint32_t runs)
{
	const struct watch *watch = arg;
	char words[96];
	if (done % (runs / 100 + 1))
		return;
	snprintf(words, sizeof(words), "%.40s: %u of %u runs", watch->name,
		 done, runs);
	terminal_progress(
		&watch->ctl->terminal, words,
		(unsigned)((os.monotonic_ns() - watch->began_ns) / 1000000000));
}

static atom_status run_judge(struct rollouts *r,
			     struct simulate_verdict *verdict,
			     struct watch *watch, struct atom_error *err)
{
	return rollout_simulate(&r->setup, ask, verdict->judge->configured,
				tell, watch, &verdict->alone, verdict->ends,
				err);
}

static atom_status run_whole(struct rollouts *r,
			     struct simulate_verdict *verdict,
			     struct watch *watch, struct atom_error *err)
{
	const struct configured *strategy = verdict->strategy->configured;
	const struct configured *judge = verdict->judge->configured;
	struct rehearse_setup setup = {
		.calls = r->setup,
		.strategy = { (const struct atom_deployment_ops *)(const void *)
				      configured_component(strategy)
					      ->ops,
			      configured_self(strategy) },
		.judge = { (const struct atom_judge_ops *)(const void *)
				   configured_component(judge)
					   ->ops,
			   configured_self(judge) },
		.instances = INSTANCES,
		.cold_start_ms = r->cold_start_ms,
	};
	rollout_settings_default(&setup.settings);
	return rollout_rehearse(&setup, tell, watch, &verdict->whole,
				verdict->ends, err);
}

static int run_one(struct rollouts *r, struct simulate_verdict *verdict)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct watch watch = { r->ctl, verdict->name, os.monotonic_ns() };
	verdict->ends = mem_array(r->setup.runs, sizeof(*verdict->ends));
	if (!verdict->ends)
		return ctl_fail_memory(r->ctl);
	atom_status status = verdict->strategy
				     ? run_whole(r, verdict, &watch, &err)
				     : run_judge(r, verdict, &watch, &err);
	terminal_progress_end(&r->ctl->terminal);
	return status == ATOM_OK ? CTL_DONE
				 : ctl_fail(r->ctl, CTL_FAILED, "%s: %s",
					    verdict->name, err.message);
}

/* Each judge, or each strategy with each judge. */
static int run_all(struct rollouts *r)
{
	size_t strategies = r->strategy_count ? r->strategy_count : 1;
	r->verdicts =
		mem_array(strategies * r->judge_count, sizeof(*r->verdicts));
	if (!r->verdicts)
		return ctl_fail_memory(r->ctl);
	for (size_t i = 0; i < strategies * r->judge_count; i++) {
		struct simulate_verdict *verdict = &r->verdicts[i];
		verdict->judge = &r->judges[i % r->judge_count];
		if (r->strategy_count)
			verdict->strategy = &r->strategies[i / r->judge_count];
		snprintf(verdict->name, sizeof(verdict->name), "%.40s%s%.40s",
			 verdict->strategy ? verdict->strategy->name : "",
			 verdict->strategy ? ", " : "", verdict->judge->name);
		r->verdict_count = i + 1;
		int code = run_one(r, verdict);
		if (code != CTL_DONE)
			return code;
	}
	return CTL_DONE;
}

/* --- what is told --------------------------------------------------------------- */

static int tell_all(struct rollouts *r)
{
	struct ctl *ctl = r->ctl;
	struct simulate_verdicts all = {
		.setup = &r->setup,
		.verdicts = r->verdicts,
		.count = r->verdict_count,
	};
	const char *plot = ctl_option(ctl, OPTION_PLOT);
	int code = plot ? simulate_verdicts_plot(ctl, plot, &all) : CTL_DONE;
	if (code != CTL_DONE)
		return code;
	return ctl_has(ctl, OPTION_JSON) ? simulate_verdicts_json(ctl, &all)
					 : simulate_verdicts_table(ctl, &all);
}

static int open_all(struct rollouts *r)
{
	const char *judges = ctl_option(r->ctl, OPTION_JUDGE);
	const char *strategies = ctl_option(r->ctl, OPTION_STRATEGY);
	struct simulate_open open = {
		.kind = "judge",
		.option = "--judge",
		.list = judges ? judges : JUDGES,
	};
	int code = simulate_plugins_open(r->ctl, &open, &r->judges,
					 &r->judge_count);
	if (code != CTL_DONE || !strategies)
		return code;
	open = (struct simulate_open){
		.kind = "deployment",
		.option = "--strategy",
		.list = strategies,
	};
	return simulate_plugins_open(r->ctl, &open, &r->strategies,
				     &r->strategy_count);
}

static int read_cold_start(struct ctl *ctl, int64_t *ms)
{
	const char *text = ctl_option(ctl, OPTION_COLD_START);
	*ms = COLD_START_MS;
	if (text && (!text_to_duration(text, 1000, ms) || *ms < 0))
		return wrong(ctl, OPTION_COLD_START,
			     "a time such as 2s or 500ms");
	return CTL_DONE;
}

int cmd_simulate_rollout(struct ctl *ctl)
{
	struct rollouts r = { .ctl = ctl };
	int code = read_setup(ctl, &r.setup);
	if (code == CTL_DONE)
		code = read_cold_start(ctl, &r.cold_start_ms);
	if (code != CTL_DONE)
		return code;
	code = simulate_plugins_begin(ctl);
	if (code == CTL_DONE)
		code = open_all(&r);
	if (code == CTL_DONE)
		code = run_all(&r);
	if (code == CTL_DONE)
		code = tell_all(&r);
	for (size_t i = 0; i < r.verdict_count; i++)
		mem_free(r.verdicts[i].ends);
	mem_free(r.verdicts);
	simulate_plugins_close(&r.strategies, r.strategy_count);
	simulate_plugins_close(&r.judges, r.judge_count);
	simulate_plugins_end();
	return code;
}
