/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_LIKENESS_H
#define ROLLOUT_LIKENESS_H

/*
 * How alike two answers to one question are: of their texts, and of the shape
 * of their JSON.
 *
 * Texts: the Sørensen-Dice coefficient (Dice, "Measures of the amount of
 * ecologic association between species", Ecology 26, 1945; Sørensen 1948) of
 * their word pairs, 2 |A and B| / (|A| + |B|) over multisets.  Pairs of words
 * that follow each other are Broder's shingles of width 2 ("On the
 * resemblance and containment of documents", SEQUENCES 1997), with a mark
 * before the first and behind the last word, so that one word makes pairs
 * too.  0: no pair in common, 1: the same words in the same order.  A word is
 * a run of ASCII letters and digits, in any case, and of whatever is not
 * ASCII; what is written without blanks (from U+2E80 on: Han, kana, Hangul,
 * emoji) is a word a character, as search engines have it.  It knows no
 * meaning: two texts that say the same in other words are not alike.
 *
 * Cost: n log n of at most LIKENESS_WORDS_MAX words each, and 64 KiB of memory
 * meanwhile; of shapes, 4 MiB read over.  Pure. [any]
 */

#include <stddef.h>

#include <atomd/plugin.h>

#include "core/json_scan.h"

#define LIKENESS_WORDS_MAX 4096 /* of each text; later ones are not read */

/* 0 to 1; two texts without a word are alike.  ATOM_ENOMEM. */
atom_status likeness_of_texts(const char *a, size_t a_length, const char *b,
			      size_t b_length, double *likeness_r);

enum likeness_shape {
	LIKENESS_SAME,
	LIKENESS_DIFFERS,
	LIKENESS_UNKNOWN /* too large to find out */
};

/* Have two values the same shape: the same kinds, objects with the same names
 * of members, whatever their order, and so on at every level?  Of arrays the
 * elements that both have; true and false are one kind.  Spans of a sound
 * text. */
enum likeness_shape likeness_of_shapes(const struct json_span *a,
				       const struct json_span *b);

#endif
