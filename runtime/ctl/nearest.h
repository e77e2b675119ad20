/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Did you mean": the known word nearest to a mistyped one.
 *
 * Distance is Damerau's in its restricted form (insert, delete, replace, swap
 * of neighbours each count one), case ignored.
 */
#ifndef CTL_NEAREST_H
#define CTL_NEAREST_H

/* Longer words are never near: it bounds the work on a stranger's argument. */
#define NEAREST_WORD_MAX 64

/* Steps from one word to the other; a large number when a word is too long. */
unsigned nearest_distance(const char *a, const char *b);

struct nearest {
	const char *word;
	unsigned distance;
};

/* Offers a candidate; keeps it if it is nearer to `typed` than what is held
 * and near enough to be meant (a third of its letters, at least one). */
void nearest_offer(struct nearest *nearest, const char *typed,
		   const char *candidate);

#endif
