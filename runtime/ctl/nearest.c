/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "nearest.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static int letter(const char *word, size_t at)
{
	return tolower((unsigned char)word[at]);
}

unsigned nearest_distance(const char *a, const char *b)
{
	size_t a_length = strlen(a);
	size_t b_length = strlen(b);
	if (a_length > NEAREST_WORD_MAX || b_length > NEAREST_WORD_MAX)
		return UINT_MAX;

	/* Three rows of the matrix: this one, the one before, and the one
	 * before that, which the swap of neighbours looks back to. */
	unsigned rows[3][NEAREST_WORD_MAX + 1];
	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *before = rows[(i + 2) % 3];
		const unsigned *before_that = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			bool same = letter(a, i - 1) == letter(b, j - 1);
			unsigned best = before[j - 1] + (same ? 0 : 1);
			best = smaller(best, before[j] + 1);
			best = smaller(best, row[j - 1] + 1);
			if (i > 1 && j > 1 &&
			    letter(a, i - 1) == letter(b, j - 2) &&
			    letter(a, i - 2) == letter(b, j - 1))
				best = smaller(best, before_that[j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[a_length % 3][b_length];
}

void nearest_offer(struct nearest *nearest, const char *typed,
		   const char *candidate)
{
	unsigned distance = nearest_distance(typed, candidate);
	unsigned enough = (unsigned)strlen(candidate) / 3;
	if (distance > (enough ? enough : 1))
		return;
	if (nearest->word && nearest->distance <= distance)
		return;
	nearest->word = candidate;
	nearest->distance = distance;
}
