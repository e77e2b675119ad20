/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "simulate.h"
#include "terminal.h"

#include "core/os.h"
#include "core/text.h"
#include "rollout/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define JUDGES	    "sequential,threshold"
#define ERROR_RATE  0.02
#define WEIGHT	    500
#define CALLS	    10000
#define CALLS_MAX   100000000
#define RUNS	    1000
#define RUNS_MAX    1000000
#define CALLS_PER_S 10
#define LOOK_MS	    1000

struct rollouts {
	struct ctl *ctl;
	struct rollout_setup setup;
	struct simulate_plugin *judges;
	size_t judge_count;
	struct rollout_result results[SIMULATE_PLUGINS_MAX];
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
	int64_t calls = CALLS, runs = RUNS, seed = 1;
	*setup = (struct rollout_setup){
		.old_rate = ERROR_RATE,
		.weight = WEIGHT,
		.calls_per_s = CALLS_PER_S,
		.look_ms = LOOK_MS,
	};
	int code = read_share(ctl, OPTION_ERROR_RATE, &setup->old_rate);
	setup->new_rate = setup->old_rate;
	if (code == CTL_DONE)
		code = read_share(ctl, OPTION_CANARY_ERROR_RATE,
				  &setup->new_rate);
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
		code = read_outage(ctl, setup);
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

static int run_all(struct rollouts *r)
{
	for (size_t i = 0; i < r->judge_count; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct watch watch = { r->ctl, r->judges[i].name,
				       os.monotonic_ns() };
		atom_status status = rollout_simulate(
			&r->setup, ask, r->judges[i].configured, tell, &watch,
			&r->results[i], NULL, &err);
		terminal_progress_end(&r->ctl->terminal);
		if (status != ATOM_OK)
			return ctl_fail(r->ctl, CTL_FAILED, "%s: %s",
					r->judges[i].name, err.message);
	}
	return CTL_DONE;
}

/* --- what is printed -------------------------------------------------------------- */

static json_t *median_json(const struct rollout_result *result)
{
	return result->median_calls_to_alarm < 0
		       ? json_null()
		       : json_integer(
				 (json_int_t)result->median_calls_to_alarm);
}

static int print_json(struct rollouts *r)
{
	const struct rollout_setup *setup = &r->setup;
	json_t *list = json_array();
	for (size_t i = 0; i < r->judge_count; i++) {
		const struct rollout_result *result = &r->results[i];
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:f, s:o, s:f, s:f, s:f}", "name",
				  r->judges[i].name, "options",
				  simulate_plugin_options(&r->judges[i]),
				  "alarm_share", result->alarm_share,
				  "median_calls_to_alarm", median_json(result),
				  "accept_share", result->accept_share,
				  "bad_answers_mean", result->bad_answers_mean,
				  "calls_mean", result->calls_mean));
	}
	json_t *answer = json_pack(
		"{s:f, s:f, s:f, s:I, s:I, s:I, s:[f, f, f], s:o}",
		"error_rate", setup->old_rate, "canary_error_rate",
		setup->new_rate, "weight",
		(double)setup->weight / ATOM_WEIGHT_ALL, "calls",
		(json_int_t)setup->calls, "runs", (json_int_t)setup->runs,
		"seed", (json_int_t)setup->seed, "outage", setup->outage_from,
		setup->outage_to, setup->outage_rate, "judges", list);
	int code = answer ? ctl_print_json(r->ctl, answer)
			  : ctl_fail_memory(r->ctl);
	json_decref(answer);
	return code;
}

static void add_format(struct table *table, struct text *text,
		       const char *format, double value)
{
	text_clear(text);
	text_append_format(text, format, value);
	table_add(table, text_string(text));
}

static int print_table(struct rollouts *r)
{
	static const char *const titles[] = { "JUDGE",
					      ">ALARM %",
					      ">ACCEPT %",
					      ">MEDIAN CALLS TO ALARM",
					      ">BAD ANSWERS",
					      ">CALLS",
					      NULL };
	const struct rollout_setup *setup = &r->setup;
	struct text text = TEXT_INIT(65536);
	struct table table;
	printf("%u runs of at most %llu calls, %.2f %% of them to the new "
	       "revision; bad answers: old %.2f %%, new %.2f %%\n",
	       setup->runs, (unsigned long long)setup->calls,
	       setup->weight * 100.0 / ATOM_WEIGHT_ALL, setup->old_rate * 100,
	       setup->new_rate * 100);
	table_init(&table, titles);
	for (size_t i = 0; i < r->judge_count; i++) {
		const struct rollout_result *result = &r->results[i];
		table_add(&table, r->judges[i].name);
		add_format(&table, &text, "%.2f", result->alarm_share * 100);
		add_format(&table, &text, "%.2f", result->accept_share * 100);
		if (result->median_calls_to_alarm < 0)
			table_add(&table, "-");
		else
			add_format(&table, &text, "%.0f",
				   result->median_calls_to_alarm);
		add_format(&table, &text, "%.2f", result->bad_answers_mean);
		add_format(&table, &text, "%.0f", result->calls_mean);
	}
	text_fini(&text);
	return ctl_print_table(r->ctl, &table);
}

int cmd_simulate_rollout(struct ctl *ctl)
{
	struct rollouts r = { .ctl = ctl };
	const char *list = ctl_option(ctl, OPTION_JUDGE);
	struct simulate_open open = {
		.kind = "judge",
		.option = "--judge",
		.list = list ? list : JUDGES,
	};
	int code = read_setup(ctl, &r.setup);
	if (code != CTL_DONE)
		return code;
	code = simulate_plugins_begin(ctl);
	if (code == CTL_DONE)
		code = simulate_plugins_open(ctl, &open, &r.judges,
					     &r.judge_count);
	if (code == CTL_DONE)
		code = run_all(&r);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? print_json(&r)
						 : print_table(&r);
	simulate_plugins_close(&r.judges, r.judge_count);
	simulate_plugins_end();
	return code;
}
