/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_KIND_H
#define PLUGIN_KIND_H

/*
 * The kinds of component that this daemon knows: their words and ids, how
 * large their ops struct was at minor 0, and which functions a component must
 * have.  One row a kind; registry.h offers the words to the rest of the
 * daemon.  Pure. [any]
 */

#include <stddef.h>

#include <atomd/plugin.h>

struct kind {
	const char *id;	       /* "atom.backend/1" */
	const char *word;      /* "backend" */
	size_t ops_size_least; /* the struct at minor 0 */
	/* The kind's own functions that may not be NULL: see `check`. */
	atom_status (*check)(const struct atom_ops *ops,
			     struct atom_error *err);
};

/* By id or by word; NULL when this daemon has no such kind. */
const struct kind *kind_of_id(const char *id);
const struct kind *kind_of_word(const char *word);
/* The i-th kind, NULL behind the last. */
const struct kind *kind_at(size_t i);

/* Is the ops struct whole, and does it hold every function that its kind
 * asks for?  The message names what is missing. */
atom_status kind_check_ops(const struct kind *kind, const struct atom_ops *ops,
			   struct atom_error *err);

#endif
