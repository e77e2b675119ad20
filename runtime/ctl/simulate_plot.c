/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "plot.h"
#include "simulate.h"

#include <math.h>
#include <string.h>

enum panel {
	PANEL_LOAD,
	PANEL_INSTANCES,
	PANEL_WAIT,
	PANELS
};

static const char *const panel_titles[PANELS] = { "calls a second", "instances",
						  "longest wait, s" };

static double column_s(double span_s)
{
	return span_s / PLOT_COLUMNS;
}

/* Sums of points that fall into each column; waits take the longest. */
static void fill(const struct simulate_result *r, enum panel panel,
		 double span_s, struct series *series)
{
	double point_s = (double)r->point_us / 1e6;
	memset(series, 0, sizeof(*series));
	for (size_t i = 0; i < r->point_count; i++) {
		const struct simulate_point *p = &r->points[i];
		/* A point longer than a column fills all that it covers. */
		size_t first = (size_t)((double)i * point_s / column_s(span_s));
		size_t last = (size_t)(((double)(i + 1) * point_s - 1e-6) /
				       column_s(span_s));
		double share = (double)(last - first + 1) * column_s(span_s);
		if (share < column_s(span_s) || last == first)
			share = column_s(span_s);
		for (size_t c = first; c <= last && c < PLOT_COLUMNS; c++) {
			double *value = &series->values[c];
			double wait = (double)p->wait_max_us / 1e6;
			if (panel == PANEL_LOAD)
				*value += (double)p->arrived / share;
			else if (panel == PANEL_INSTANCES)
				*value += p->instance_s / share;
			else if (wait > *value)
				*value = wait;
		}
	}
}

static void draw_panel(FILE *out, enum panel panel,
		       const struct simulate_result *results, size_t count,
		       double span_s, double target_wait_s)
{
	struct series series;
	/* The load is the same for all. */
	size_t shown = panel == PANEL_LOAD ? 1 : count;
	double scale = panel == PANEL_WAIT ? target_wait_s : 0;
	for (size_t i = 0; i < shown; i++) {
		fill(&results[i], panel, span_s, &series);
		scale = fmax(scale, plot_highest(&series));
	}
	scale = plot_round_up(scale);
	int bottom = plot_panel(out, panel, panel_titles[panel], scale);
	if (panel == PANEL_WAIT)
		plot_level(out, bottom, target_wait_s, scale);
	for (size_t i = 0; i < shown; i++) {
		fill(&results[i], panel, span_s, &series);
		plot_series(out, &series, scale, bottom,
			    panel == PANEL_LOAD ? -1 : (int)i);
	}
}

int simulate_plot(struct ctl *ctl, const char *path, const char *title,
		  const struct simulate_plugin *strategies,
		  const struct simulate_result *results, size_t count,
		  double target_wait_s)
{
	const char *slash = strrchr(title, '/');
	char words[64];
	double span_s = 1;
	for (size_t i = 0; i < count; i++)
		span_s = fmax(span_s, (double)results[i].end_us / 1e6);
	struct plot_legend legend = { 0 };
	FILE *out = plot_open(ctl, path);
	if (!out)
		return CTL_FAILED;
	snprintf(words, sizeof(words), "%.0f s", span_s);
	plot_begin(out, PANELS, slash ? slash + 1 : title, words);
	for (size_t i = 0; i < count; i++) {
		snprintf(words, sizeof(words), "%.1f %% late",
			 100 * (double)results[i].late /
				 (double)results[i].calls);
		plot_legend(out, &legend, i, strategies[i].name, words);
	}
	for (int panel = 0; panel < PANELS; panel++)
		draw_panel(out, (enum panel)panel, results, count, span_s,
			   target_wait_s);
	return plot_close(ctl, out, path);
}
