/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_SELECTOR_H
#define MONITOR_SELECTOR_H

/*
 * Prometheus' series selectors as people type them:
 *
 *	NAME    NAME{label="value",other=~"a|b"}    {__name__=~"atomd_.*"}
 *
 * Values are in double quotes, with \" \\ \n.  Pure functions. [any]
 */

#include <atomd/history.h>

#define SELECTOR_MAX 256 /* bytes */

struct selector {
	char text[SELECTOR_MAX]; /* the matchers point into it */
	const char *name;	 /* NULL: any */
	struct atom_history_matcher matchers[ATOM_HISTORY_MATCHERS_MAX];
	size_t count;
};

/* ATOM_EINVAL with a sentence.  The selector must not be moved. */
atom_status selector_parse(const char *text, struct selector *selector_r,
			   struct atom_error *err);

#endif
