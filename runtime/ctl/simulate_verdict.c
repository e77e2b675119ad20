/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "plot.h"
#include "simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_whole(const struct simulate_verdicts *all)
{
	return all->count > 0 && all->verdicts[0].strategy != NULL;
}

static double stopped_share(const struct simulate_verdict *verdict)
{
	return verdict->strategy ? verdict->whole.aborted_share
				 : verdict->alone.alarm_share;
}

/* --- JSON ------------------------------------------------------------------------- */

static json_t *median_json(double median)
{
	return median < 0 ? json_null() : json_integer((json_int_t)median);
}

static json_t *alone_json(const struct simulate_verdict *verdict)
{
	const struct rollout_result *result = &verdict->alone;
	return json_pack("{s:s, s:o, s:f, s:o, s:f, s:f, s:f}", "name",
			 verdict->judge->name, "options",
			 simulate_plugin_options(verdict->judge), "alarm_share",
			 result->alarm_share, "median_calls_to_alarm",
			 median_json(result->median_calls_to_alarm),
			 "accept_share", result->accept_share,
			 "bad_answers_mean", result->bad_answers_mean,
			 "calls_mean", result->calls_mean);
}

static json_t *whole_json(const struct simulate_verdict *verdict)
{
	const struct rehearse_result *result = &verdict->whole;
	return json_pack(
		"{s:s, s:o, s:s, s:o, s:f, s:f, s:f, s:o, s:f, s:f, s:f, s:s}",
		"strategy", verdict->strategy->name, "options",
		simulate_plugin_options(verdict->strategy), "judge",
		verdict->judge->name, "judge_options",
		simulate_plugin_options(verdict->judge), "promoted_share",
		result->promoted_share, "aborted_share", result->aborted_share,
		"open_share", result->open_share, "median_calls_to_abort",
		median_json(result->median_calls_to_abort), "bad_answers_mean",
		result->bad_answers_mean, "calls_mean", result->calls_mean,
		"seconds_mean", result->seconds_mean, "last_reason",
		result->reason);
}

int simulate_verdicts_json(struct ctl *ctl, const struct simulate_verdicts *all)
{
	const struct rollout_setup *setup = all->setup;
	bool whole = is_whole(all);
	json_t *list = json_array();
	for (size_t i = 0; i < all->count; i++)
		json_array_append_new(list,
				      whole ? whole_json(&all->verdicts[i])
					    : alone_json(&all->verdicts[i]));
	json_t *answer = json_pack(
		"{s:f, s:f, s:I, s:I, s:f, s:I, s:[f, f, f], s:o}",
		"error_rate", setup->old_rate, "canary_error_rate",
		setup->new_rate, "calls", (json_int_t)setup->calls, "runs",
		(json_int_t)setup->runs, "rate", setup->calls_per_s, "seed",
		(json_int_t)setup->seed, "outage", setup->outage_from,
		setup->outage_to, setup->outage_rate,
		whole ? "rollouts" : "judges", list);
	if (answer && !whole)
		json_object_set_new(
			answer, "weight",
			json_real((double)setup->weight / ATOM_WEIGHT_ALL));
	int code = answer ? ctl_print_json(ctl, answer) : ctl_fail_memory(ctl);
	json_decref(answer);
	return code;
}

/* --- table ------------------------------------------------------------------------ */

static void add_format(struct table *table, const char *format, double value)
{
	char words[32];
	snprintf(words, sizeof(words), format, value);
	table_add(table, words);
}

static void add_median(struct table *table, double median)
{
	if (median < 0)
		table_add(table, "-");
	else
		add_format(table, "%.0f", median);
}

static void add_alone(struct table *table,
		      const struct simulate_verdict *verdict)
{
	const struct rollout_result *result = &verdict->alone;
	table_add(table, verdict->judge->name);
	add_format(table, "%.2f", result->alarm_share * 100);
	add_format(table, "%.2f", result->accept_share * 100);
	add_median(table, result->median_calls_to_alarm);
	add_format(table, "%.2f", result->bad_answers_mean);
	add_format(table, "%.0f", result->calls_mean);
}

static void add_whole(struct table *table,
		      const struct simulate_verdict *verdict)
{
	const struct rehearse_result *result = &verdict->whole;
	table_add(table, verdict->strategy->name);
	table_add(table, verdict->judge->name);
	add_format(table, "%.2f", result->promoted_share * 100);
	add_format(table, "%.2f", result->aborted_share * 100);
	add_format(table, "%.2f", result->open_share * 100);
	add_median(table, result->median_calls_to_abort);
	add_format(table, "%.2f", result->bad_answers_mean);
	add_format(table, "%.0f", result->calls_mean);
	add_format(table, "%.0f", result->seconds_mean);
}

int simulate_verdicts_table(struct ctl *ctl,
			    const struct simulate_verdicts *all)
{
	static const char *const alone[] = { "JUDGE",
					     ">ALARM %",
					     ">ACCEPT %",
					     ">MEDIAN CALLS TO ALARM",
					     ">BAD ANSWERS",
					     ">CALLS",
					     NULL };
	static const char *const whole[] = {
		"STRATEGY",	"JUDGE",
		">PROMOTED %",	">ABORTED %",
		">OPEN %",	">MEDIAN CALLS TO ABORT",
		">BAD ANSWERS", ">CALLS",
		">SECONDS",	NULL
	};
	const struct rollout_setup *setup = all->setup;
	struct table table;
	printf("%u runs of at most %llu calls", setup->runs,
	       (unsigned long long)setup->calls);
	if (!is_whole(all))
		printf(", %.2f %% of them to the new revision",
		       setup->weight * 100.0 / ATOM_WEIGHT_ALL);
	printf("; bad answers: old %.2f %%, new %.2f %%\n",
	       setup->old_rate * 100, setup->new_rate * 100);
	table_init(&table, is_whole(all) ? whole : alone);
	for (size_t i = 0; i < all->count; i++) {
		if (is_whole(all))
			add_whole(&table, &all->verdicts[i]);
		else
			add_alone(&table, &all->verdicts[i]);
	}
	return ctl_print_table(ctl, &table);
}

/* --- picture ---------------------------------------------------------------------- */

/* The share of runs that had been stopped by then. */
static void fill_stopped(const struct simulate_verdicts *all, size_t i,
			 struct series *series)
{
	const uint64_t *ends = all->verdicts[i].ends;
	uint32_t runs = all->setup->runs, done = 0;
	for (size_t c = 0; c < PLOT_COLUMNS; c++) {
		double until = (double)(c + 1) * (double)all->setup->calls /
			       PLOT_COLUMNS;
		while (done < runs && (double)ends[done] <= until)
			done++;
		series->values[c] = 100.0 * done / runs;
	}
}

static void fill_weight(const struct simulate_verdict *verdict,
			struct series *series)
{
	for (size_t c = 0; c < PLOT_COLUMNS; c++)
		series->values[c] =
			100 *
			verdict->whole
				.weight[c * REHEARSE_POINTS / PLOT_COLUMNS];
}

int simulate_verdicts_plot(struct ctl *ctl, const char *path,
			   const struct simulate_verdicts *all)
{
	const struct rollout_setup *setup = all->setup;
	bool whole = is_whole(all);
	struct series series;
	char words[96];
	struct plot_legend legend = { 0 };
	FILE *out = plot_open(ctl, path);
	if (!out)
		return CTL_FAILED;
	snprintf(words, sizeof(words), "bad answers %g %% and %g %%",
		 setup->old_rate * 100, setup->new_rate * 100);
	plot_begin(out, whole ? 2 : 1, "old and new revision", words);
	for (size_t i = 0; i < all->count; i++) {
		snprintf(words, sizeof(words), "%.1f %%",
			 100 * stopped_share(&all->verdicts[i]));
		plot_legend(out, &legend, i, all->verdicts[i].name, words);
	}
	int bottom = plot_panel(
		out, 0, whole ? "runs aborted, %" : "runs alarmed, %", 100);
	for (size_t i = 0; i < all->count; i++) {
		fill_stopped(all, i, &series);
		plot_series(out, &series, 100, bottom, (int)i);
	}
	if (whole)
		bottom = plot_panel(out, 1, "weight of the new revision, %",
				    100);
	for (size_t i = 0; whole && i < all->count; i++) {
		fill_weight(&all->verdicts[i], &series);
		plot_series(out, &series, 100, bottom, (int)i);
	}
	snprintf(words, sizeof(words), "%llu calls",
		 (unsigned long long)setup->calls);
	plot_axis(out, bottom, words);
	return plot_close(ctl, out, path);
}
