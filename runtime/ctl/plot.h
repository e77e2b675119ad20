/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures of series over an axis, as SVG: a title, a legend, and panels one
 * below the other, each with its own scale from 0 up.
 */
#ifndef CTL_PLOT_H
#define CTL_PLOT_H

#include <stdio.h>

#include "ctl.h"

/* One column a step: small files, and no more than a screen shows. */
#define PLOT_COLUMNS 300

/* One value a column. */
struct series {
	double values[PLOT_COLUMNS];
};

/* NULL: `ctl` has the sentence. */
FILE *plot_open(struct ctl *ctl, const char *path);
/* Exit code: what was not written is said. */
int plot_close(struct ctl *ctl, FILE *out, const char *path);

/* The picture's head for so many panels; `title` and `what` are shown as one
 * line. */
void plot_begin(FILE *out, int panels, const char *title, const char *what);
/* Where the next name of the legend stands; zeroed at first. */
struct plot_legend {
	int x;
	int line;
};
/* Name number `i` of the legend, in the colour of series `i`. */
void plot_legend(FILE *out, struct plot_legend *legend, size_t i,
		 const char *name, const char *what);
/* A panel's frame from 0 to `scale`; gives the line of its zero. */
int plot_panel(FILE *out, int panel, const char *title, double scale);
/* A dashed line at `value`. */
void plot_level(FILE *out, int bottom, double value, double scale);
/* In colour `i`; negative: grey. */
void plot_series(FILE *out, const struct series *series, double scale,
		 int bottom, int i);
/* Words below the last panel, at the axis' end. */
void plot_axis(FILE *out, int bottom, const char *words);

double plot_highest(const struct series *series);
/* 1, 2 or 5 times a power of ten, not below the value. */
double plot_round_up(double value);

#endif
