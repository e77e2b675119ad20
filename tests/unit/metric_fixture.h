/* SPDX-License-Identifier: Apache-2.0 */
#ifndef METRIC_FIXTURE_H
#define METRIC_FIXTURE_H

/*
 * Metrics of a process of its own: a suite's init and fini, and families in
 * one line.
 */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/metric.h"

void set_up(void);
void tear_down(void);

/* Takes what it declares; `labels` and `bounds` may be NULL. */
uint32_t declare(int type, const char *name, const char *const *labels,
		 const double *bounds, size_t bound_count);
/* With as many of the two labels as the family has. */
metric_id series(uint32_t family, const char *first, const char *second);

extern const char *const one_label[];  /* agent */
extern const char *const two_labels[]; /* agent, code */

/* The text up to our own and the process' metrics, in `out`. */
char *render(struct buffer *out);

#endif
