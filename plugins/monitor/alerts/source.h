/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_SOURCE_H
#define ALERTS_SOURCE_H

/*
 * The daemon's history as what expressions are evaluated over.
 */

#include <atomd/history.h>

#include "plugins/monitor/alerts/expr.h"

struct history_source {
	const struct atom_host *host;
	const struct atom_history *history;
};

/* Both live as long as the source is used.  Its select() reads files. [pool] */
struct expr_source history_as_source(struct history_source *source);

#endif
