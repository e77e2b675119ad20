/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/judge/tally/tally.h"

#include <string.h>

static const char *const words[ATOM_BAD_COUNT] = {
	[ATOM_BAD_ERROR] = "error",
	[ATOM_BAD_SLOW] = "slower_than",
	[ATOM_BAD_SLOW_FIRST_TOKEN] = "first_token_slower_than",
	[ATOM_BAD_TOKENS] = "tokens_above",
	[ATOM_BAD_INVALID_JSON] = "invalid_json",
	[ATOM_BAD_RATED] = "rated_below",
};

const char *tally_word(int32_t kind)
{
	return kind >= 0 && kind < ATOM_BAD_COUNT ? words[kind] : "unknown";
}

int tally_counts(const struct atom_trial *trial, int32_t kind)
{
	return (trial->bad_kinds >> kind & 1U) != 0;
}

uint64_t tally_cell_bad(const struct atom_cell *cell, int32_t kind)
{
	return kind < cell->bad_kinds ? cell->bad[kind] : 0;
}

static atom_status check(const struct atom_cell *cell, struct atom_error *err)
{
	if (cell->weight < 0 || cell->weight > ATOM_WEIGHT_ALL)
		return atom_fail(err, ATOM_EINVAL,
				 "a cell's weight is %d; 0 to %d are possible",
				 cell->weight, ATOM_WEIGHT_ALL);
	if (cell->bad_kinds < 0 ||
	    (size_t)cell->bad_kinds > sizeof(cell->bad) / sizeof(cell->bad[0]))
		return atom_fail(err, ATOM_EINVAL,
				 "a cell counts %d kinds of bad event",
				 cell->bad_kinds);
	for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++)
		if (tally_cell_bad(cell, kind) > cell->calls)
			return atom_fail(
				err, ATOM_EINVAL,
				"a cell has %llu calls, yet %llu of `%s`",
				(unsigned long long)cell->calls,
				(unsigned long long)tally_cell_bad(cell, kind),
				words[kind]);
	return ATOM_OK;
}

atom_status tally_trial(struct tally *tally, const struct atom_trial *trial,
			struct atom_error *err)
{
	memset(tally, 0, sizeof(*tally));
	for (size_t i = 0; i < trial->cell_count; i++) {
		const struct atom_cell *cell = atom_trial_cell(trial, i);
		uint64_t *bad = cell->is_new ? tally->new_bad : tally->old_bad;
		atom_status status = check(cell, err);

		if (status != ATOM_OK)
			return status;
		if (cell->is_new)
			tally->new_calls += cell->calls;
		else
			tally->old_calls += cell->calls;
		for (int32_t kind = 0; kind < ATOM_BAD_COUNT; kind++)
			bad[kind] += tally_cell_bad(cell, kind);
	}
	return ATOM_OK;
}

struct atom_evidence tally_evidence(const struct tally *tally, int32_t kind)
{
	struct atom_evidence row = {
		.kind = kind,
		.new_calls = tally->new_calls,
		.new_bad = tally->new_bad[kind],
		.old_calls = tally->old_calls,
		.old_bad = tally->old_bad[kind],
		.ratio = -1,
	};

	if (row.new_calls > 0 && row.old_calls > 0 &&
	    row.new_bad + row.old_bad > 0)
		row.ratio = ((double)row.new_bad + 0.5) /
			    ((double)row.new_calls + 1.0) /
			    (((double)row.old_bad + 0.5) /
			     ((double)row.old_calls + 1.0));
	return row;
}
