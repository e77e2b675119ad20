/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_JUDGE_TALLY_H
#define ATOMD_JUDGE_TALLY_H

/*
 * What our judges share: a trial's cells added up, and the names of bad
 * events.  Compiled into each of them.
 */

#include <atomd/draft/judge.h>

/* Calls and bad events of both revisions, over all cells. */
struct tally {
	uint64_t new_calls;
	uint64_t old_calls;
	uint64_t new_bad[ATOM_BAD_COUNT];
	uint64_t old_bad[ATOM_BAD_COUNT];
};

/* Cells with a weight outside 0..10,000 or more bad events of a kind than
 * calls are a fault of the host: ATOM_EINVAL, nothing is judged by them. */
atom_status tally_trial(struct tally *tally, const struct atom_trial *trial,
			struct atom_error *err);

/* Whether the agent calls `kind` bad, in this trial. */
int tally_counts(const struct atom_trial *trial, int32_t kind);

/* The kind's word: "error", "slower_than". */
const char *tally_word(int32_t kind);

/* How many bad events of `kind` the cell holds. */
uint64_t tally_cell_bad(const struct atom_cell *cell, int32_t kind);

/* A row of `evidence` with the counts and the ratio of the rates in it, the
 * ratio by one half added to each count of bad events (Haldane and Anscombe),
 * so that zero in one arm still gives a number. */
struct atom_evidence tally_evidence(const struct tally *tally, int32_t kind);

#endif
