/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "plot.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define LEFT	     64
#define WIDTH	     900
#define PANEL_HEIGHT 120
#define PANEL_GAP    34
#define TOP	     58 /* below the title and two lines of legend */
#define LINE	     13
#define CHARACTER    6 /* wide, about */

static const char *const colours[] = { "#0b6e4f", "#c1121f", "#1d4e89",
				       "#e09f3e", "#7b2d8e", "#333333",
				       "#00a6a6", "#a44a3f" };
#define COLOURS (sizeof(colours) / sizeof(*colours))

FILE *plot_open(struct ctl *ctl, const char *path)
{
	FILE *out = fopen(path, "we");
	if (!out)
		ctl_fail(ctl, CTL_FAILED, "--plot %s: %s", path,
			 strerror(errno));
	return out;
}

int plot_close(struct ctl *ctl, FILE *out, const char *path)
{
	fputs("</svg>\n", out);
	bool failed = ferror(out);
	if (fclose(out) || failed)
		return ctl_fail(ctl, CTL_FAILED, "--plot %s: %s", path,
				strerror(errno));
	return CTL_DONE;
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

void plot_begin(FILE *out, int panels, const char *title, const char *what)
{
	fprintf(out,
		"<svg xmlns='http://www.w3.org/2000/svg' width='%d' "
		"height='%d' font-family='sans-serif' font-size='11'>\n"
		"<rect width='100%%' height='100%%' fill='#fff'/>\n"
		"<text x='%d' y='14'>",
		LEFT + WIDTH + 16, TOP + panels * (PANEL_HEIGHT + PANEL_GAP),
		LEFT);
	print_escaped(out, title);
	fprintf(out, ", %s</text>\n", what);
}

void plot_legend(FILE *out, struct plot_legend *legend, size_t i,
		 const char *name, const char *what)
{
	int width = CHARACTER * (int)(strlen(name) + strlen(what) + 6);
	if (legend->x == 0)
		legend->x = LEFT;
	if (legend->x + width > LEFT + WIDTH) {
		legend->x = LEFT;
		legend->line++;
	}
	fprintf(out, "<text x='%d' y='%d' fill='%s'>", legend->x,
		14 + (1 + legend->line) * LINE, colours[i % COLOURS]);
	print_escaped(out, name);
	fprintf(out, " (%s)</text>\n", what);
	legend->x += width;
}

int plot_panel(FILE *out, int panel, const char *title, double scale)
{
	int bottom = TOP + panel * (PANEL_HEIGHT + PANEL_GAP) + PANEL_HEIGHT;
	fprintf(out,
		"<path fill='none' stroke='#999' d='M%d %dV%dH%d'/>"
		"<text x='%d' y='%d'>%s</text>"
		"<text x='%d' y='%d' text-anchor='end'>%g</text>"
		"<text x='%d' y='%d' text-anchor='end'>0</text>\n",
		LEFT, bottom - PANEL_HEIGHT, bottom, LEFT + WIDTH, LEFT + 4,
		bottom - PANEL_HEIGHT - 4, title, LEFT - 4,
		bottom - PANEL_HEIGHT + 10, scale, LEFT - 4, bottom);
	return bottom;
}

static int height_of(double value, double scale)
{
	return (int)lround(value / scale * PANEL_HEIGHT);
}

void plot_level(FILE *out, int bottom, double value, double scale)
{
	fprintf(out,
		"<path stroke='#999' stroke-dasharray='4' "
		"d='M%d %dH%d'/>\n",
		LEFT, bottom - height_of(value, scale), LEFT + WIDTH);
}

void plot_series(FILE *out, const struct series *series, double scale,
		 int bottom, int i)
{
	int before = -1;
	fprintf(out, "<path fill='none' stroke='%s' d='M%d %d",
		i < 0 ? "#555" : colours[(size_t)i % COLOURS], LEFT, bottom);
	for (size_t c = 0; c < PLOT_COLUMNS; c++) {
		int y = bottom - height_of(series->values[c], scale);
		int x = LEFT + (int)(c * WIDTH / PLOT_COLUMNS);
		if (y != before)
			fprintf(out, "H%dV%d", x, y);
		before = y;
	}
	fprintf(out, "H%d'/>\n", LEFT + WIDTH);
}

void plot_axis(FILE *out, int bottom, const char *words)
{
	fprintf(out, "<text x='%d' y='%d' text-anchor='end'>%s</text>\n",
		LEFT + WIDTH, bottom + 14, words);
}

double plot_highest(const struct series *series)
{
	double most = 0;
	for (size_t c = 0; c < PLOT_COLUMNS; c++)
		if (series->values[c] > most)
			most = series->values[c];
	return most;
}

double plot_round_up(double value)
{
	double power = pow(10, floor(log10(value > 1e-3 ? value : 1e-3)));
	static const double steps[] = { 1, 2, 5, 10 };
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (steps[i] * power >= value)
			return steps[i] * power;
	return value;
}
