/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "simulate.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* One column a step: small files, and no more than a screen shows. */
#define COLUMNS	     300
#define LEFT	     64
#define WIDTH	     900
#define PANEL_HEIGHT 120
#define PANEL_GAP    34
#define TOP	     44
#define LEGEND_STEP  150

static const char *const colours[] = { "#0b6e4f", "#c1121f", "#1d4e89",
				       "#e09f3e", "#7b2d8e", "#333333",
				       "#00a6a6", "#a44a3f" };
#define COLOURS (sizeof(colours) / sizeof(*colours))

enum panel {
	PANEL_LOAD,
	PANEL_INSTANCES,
	PANEL_WAIT,
	PANELS
};

static const char *const panel_titles[PANELS] = { "calls a second", "instances",
						  "longest wait, s" };

/* One strategy's values by column. */
struct series {
	double values[COLUMNS];
};

static double column_s(double span_s)
{
	return span_s / COLUMNS;
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
		for (size_t c = first; c <= last && c < COLUMNS; c++) {
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

/* 1, 2 or 5 times a power of ten, not below the value. */
static double round_up(double value)
{
	double power = pow(10, floor(log10(value > 1e-3 ? value : 1e-3)));
	static const double steps[] = { 1, 2, 5, 10 };
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (steps[i] * power >= value)
			return steps[i] * power;
	return value;
}

static double highest(const struct series *series)
{
	double most = 0;
	for (size_t c = 0; c < COLUMNS; c++)
		if (series->values[c] > most)
			most = series->values[c];
	return most;
}

static void draw_series(FILE *out, const struct series *series, double scale,
			int bottom, const char *colour)
{
	int before = -1;
	fprintf(out, "<path fill='none' stroke='%s' d='M%d %d", colour, LEFT,
		bottom);
	for (size_t c = 0; c < COLUMNS; c++) {
		int y = bottom -
			(int)lround(series->values[c] / scale * PANEL_HEIGHT);
		int x = LEFT + (int)(c * WIDTH / COLUMNS);
		if (y != before)
			fprintf(out, "H%dV%d", x, y);
		before = y;
	}
	fprintf(out, "H%d'/>\n", LEFT + WIDTH);
}

static void draw_frame(FILE *out, enum panel panel, double scale, int bottom)
{
	fprintf(out,
		"<path fill='none' stroke='#999' d='M%d %dV%dH%d'/>"
		"<text x='%d' y='%d'>%s</text>"
		"<text x='%d' y='%d' text-anchor='end'>%g</text>"
		"<text x='%d' y='%d' text-anchor='end'>0</text>\n",
		LEFT, bottom - PANEL_HEIGHT, bottom, LEFT + WIDTH, LEFT + 4,
		bottom - PANEL_HEIGHT - 4, panel_titles[panel], LEFT - 4,
		bottom - PANEL_HEIGHT + 10, scale, LEFT - 4, bottom);
}

static void draw_panel(FILE *out, enum panel panel,
		       const struct simulate_result *results, size_t count,
		       double span_s, double target_wait_s)
{
	struct series series;
	int bottom =
		TOP + (int)panel * (PANEL_HEIGHT + PANEL_GAP) + PANEL_HEIGHT;
	/* The load is the same for all. */
	size_t shown = panel == PANEL_LOAD ? 1 : count;
	double scale = panel == PANEL_WAIT ? target_wait_s : 0;
	for (size_t i = 0; i < shown; i++) {
		fill(&results[i], panel, span_s, &series);
		scale = fmax(scale, highest(&series));
	}
	scale = round_up(scale);
	draw_frame(out, panel, scale, bottom);
	if (panel == PANEL_WAIT) {
		int y = bottom -
			(int)lround(target_wait_s / scale * PANEL_HEIGHT);
		fprintf(out,
			"<path stroke='#999' stroke-dasharray='4' "
			"d='M%d %dH%d'/>\n",
			LEFT, y, LEFT + WIDTH);
	}
	for (size_t i = 0; i < shown; i++) {
		fill(&results[i], panel, span_s, &series);
		draw_series(out, &series, scale, bottom,
			    panel == PANEL_LOAD ? "#555"
						: colours[i % COLOURS]);
	}
}

/* Names come from the command line. */
static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if ((unsigned char)*text >= 0x20)
			fputc(*text, out);
	}
}

static void draw(FILE *out, const char *title,
		 const struct simulate_plugin *strategies,
		 const struct simulate_result *results, size_t count,
		 double span_s, double target_wait_s)
{
	int height = TOP + PANELS * (PANEL_HEIGHT + PANEL_GAP);
	const char *slash = strrchr(title, '/');
	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
		"height='%d' font-family='sans-serif' font-size='11'>\n"
		"<rect width='100%%' height='100%%' fill='#fff'/>\n"
		"<text x='%d' y='14'>",
		LEFT + WIDTH + 16, height, LEFT);
	print_escaped(out, slash ? slash + 1 : title);
	fprintf(out, ", %.0f s</text>\n", span_s);
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "<text x='%d' y='14' fill='%s'>",
			LEFT + 270 + (int)i * LEGEND_STEP,
			colours[i % COLOURS]);
		print_escaped(out, strategies[i].name);
		fprintf(out, " (%.1f %% late)</text>\n",
			100 * (double)results[i].late /
				(double)results[i].calls);
	}
	for (int panel = 0; panel < PANELS; panel++)
		draw_panel(out, (enum panel)panel, results, count, span_s,
			   target_wait_s);
	fputs("</svg>\n", out);
}

int simulate_plot(struct ctl *ctl, const char *path, const char *title,
		  const struct simulate_plugin *strategies,
		  const struct simulate_result *results, size_t count,
		  double target_wait_s)
{
	double span_s = 1;
	for (size_t i = 0; i < count; i++)
		span_s = fmax(span_s, (double)results[i].end_us / 1e6);
	FILE *out = fopen(path, "we");
	if (!out)
		return ctl_fail(ctl, CTL_FAILED, "--plot %s: %s", path,
				strerror(errno));
	draw(out, title, strategies, results, count, span_s, target_wait_s);
	bool failed = ferror(out);
	if (fclose(out) || failed)
		return ctl_fail(ctl, CTL_FAILED, "--plot %s: %s", path,
				strerror(errno));
	return CTL_DONE;
}
