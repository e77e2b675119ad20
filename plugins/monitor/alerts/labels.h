/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_LABELS_H
#define ALERTS_LABELS_H

/*
 * Label sets as Prometheus has them: pairs in the order of their names, each
 * name once, no empty value; the family's name is the label `__name__`.  They
 * are never changed, so sets share their texts.  A label matcher says which
 * sets are meant.
 *
 * Regular expressions are POSIX extended ones, anchored at both ends.  RE2,
 * which Prometheus uses, knows more: `\d`, `(?i)`, lazy repetition and escapes
 * within brackets are refused here rather than taken for something else.
 */

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "plugins/monitor/alerts/arena.h"

#define LABEL_NAME "__name__"

struct label {
	const char *name;
	const char *value;
};

struct labels {
	const struct label *items;
	size_t count;
};

/* The value, "" when there is no such label. */
const char *labels_get(const struct labels *labels, const char *name);
/* Byte order of the pairs; 0: the same set. */
int labels_compare(const struct labels *a, const struct labels *b);
uint64_t labels_hash(const struct labels *labels);
/* Sorts `items` in place, drops empty values; false: a name stands twice. */
bool labels_sort(struct label *items, size_t count, struct labels *labels_r);
/* Those named in `names` (keep), or all others (drop); in both cases
 * `__name__` goes as well when `drop_name`.  False: out of memory. */
bool labels_pick(struct arena *arena, const struct labels *labels,
		 const char *const *names, size_t count, bool keep,
		 bool drop_name, struct labels *labels_r);
/* Reads `a="b",c="d"` with Prometheus' escapes (\\ \" \n); braces around it
 * are allowed.  ATOM_EINVAL: it is not of that form. */
atom_status labels_parse(struct arena *arena, const char *text,
			 struct labels *labels_r);

/* --- from a set to a number ------------------------------------------------ */

/* A hash table of label sets, in an arena: each gets the number of its first
 * coming. */
struct label_table {
	struct arena *arena;
	const struct labels **keys; /* by number */
	size_t *slots;		    /* number + 1; 0: empty */
	size_t slot_count;	    /* a power of two */
	size_t count;
};

/* Room for `most` sets. */
bool label_table_init(struct label_table *table, struct arena *arena,
		      size_t most);
/* `labels` must live as long as the table.  *number_r; true: it is new. */
bool label_table_add(struct label_table *table, const struct labels *labels,
		     size_t *number_r);
/* SIZE_MAX: not there. */
size_t label_table_find(const struct label_table *table,
			const struct labels *labels);

/* --- matchers ---------------------------------------------------------------- */

enum match_kind {
	MATCH_EQUAL,
	MATCH_NOT_EQUAL,
	MATCH_REGEX,
	MATCH_NOT_REGEX
};

struct matcher {
	enum match_kind kind;
	const char *name;
	const char *value;
	const regex_t *regex; /* of the two last kinds */
};

/* Compiles `value` where the kind needs it. */
atom_status matcher_make(struct arena *arena, enum match_kind kind,
			 const char *name, const char *value,
			 struct matcher *matcher_r, struct atom_error *err);
bool matcher_matches(const struct matcher *matcher, const char *value);
bool matchers_match(const struct matcher *matchers, size_t count,
		    const struct labels *labels);

#endif
