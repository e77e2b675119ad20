/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trial.h"

#include <assert.h>
#include <string.h>

#include "agent/directory.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/table.h"

/*
 * Which sessions have counted is a set of bits by hash.  Two sessions that
 * share a bit count as one: which of them, and which revision they go to, is
 * independent of the bit, so that it costs a sample and never an error.
 */
#define SEEN_BITS  ((uint64_t)1 << 20)
#define SEEN_WORDS (SEEN_BITS / 64)

struct tally {
	_Atomic int64_t calls;
	_Atomic int64_t bad[ATOM_BAD_COUNT];
};

struct weight {
	int32_t weight;
	struct tally of[2]; /* old, new */
};

struct trial {
	_Atomic int64_t refs;
	uint64_t salt[2];
	struct config_bad_events bad;
	_Atomic bool closed;
	_Atomic int64_t last_new_ns;
	_Atomic(_Atomic uint64_t *) seen; /* NULL until a session counts */
	struct mirroring mirroring;
	struct grading grading;
	int32_t weight_count; /* control's */
	struct weight weights[TRIAL_WEIGHTS_MAX];
};

/* --- life ------------------------------------------------------------------- */

struct trial *trial_new(uint64_t salt, const struct config_bad_events *bad)
{
	struct trial *trial = mem_zalloc(sizeof(*trial));

	if (trial == NULL)
		return NULL;
	atomic_init(&trial->refs, 1);
	trial->salt[0] = salt;
	trial->salt[1] = ~salt;
	trial->bad = *bad;
	return trial;
}

atom_status trial_grade(struct trial *trial, const struct config_grader *with)
{
	if (with->agent[0] == '\0' || trial->bad.rated_below <= 0)
		return ATOM_OK;
	return grading_setup(&trial->grading, with);
}

void trial_ref(struct trial *trial)
{
	atomic_fetch_add_explicit(&trial->refs, 1, memory_order_relaxed);
}

void trial_unref(struct trial *trial)
{
	if (trial == NULL || atomic_fetch_sub_explicit(
				     &trial->refs, 1, memory_order_acq_rel) > 1)
		return;
	mem_free((void *)atomic_load(&trial->seen));
	grading_fini(&trial->grading);
	mem_free(trial);
}

/* --- which revision --------------------------------------------------------- */

uint64_t trial_session(const struct trial *trial, const char *principal,
		       const char *session)
{
	/* A hash of each, so that no pair of names is another pair. */
	const uint64_t halves[2] = {
		table_hash_keyed(trial->salt, principal, strlen(principal)),
		table_hash_keyed(trial->salt, session, strlen(session)),
	};
	uint64_t hash = table_hash_keyed(trial->salt, halves, sizeof(halves));

	return hash != 0 ? hash : 1;
}

bool trial_session_is_new(uint64_t session, int32_t weight)
{
	return session % ATOM_WEIGHT_ALL < (uint64_t)weight;
}

void trial_close(struct trial *trial)
{
	atomic_store(&trial->closed, true);
}

bool trial_is_closed(const struct trial *trial)
{
	return atomic_load_explicit(&trial->closed, memory_order_acquire);
}

void trial_note_new(struct trial *trial)
{
	atomic_store_explicit(&trial->last_new_ns, os.monotonic_ns(),
			      memory_order_relaxed);
}

int64_t trial_last_new_ns(const struct trial *trial)
{
	return atomic_load_explicit(&trial->last_new_ns, memory_order_relaxed);
}

int32_t trial_weight(struct trial *trial, int32_t weight)
{
	for (int32_t i = 0; i < trial->weight_count; i++)
		if (trial->weights[i].weight == weight)
			return i;
	if (trial->weight_count == TRIAL_WEIGHTS_MAX)
		return -1;
	/* Loops learn its number by the snapshot that comes after. */
	trial->weights[trial->weight_count].weight = weight;
	return trial->weight_count++;
}

/* --- what calls came to ------------------------------------------------------ */

static void count(_Atomic int64_t *counter, int64_t by)
{
	(void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* The bits, made by whoever needs them first; NULL without memory. */
static _Atomic uint64_t *seen_of(struct trial *trial)
{
	_Atomic uint64_t *seen =
		atomic_load_explicit(&trial->seen, memory_order_acquire);
	_Atomic uint64_t *made;

	if (seen != NULL)
		return seen;
	made = mem_zalloc(SEEN_WORDS * sizeof(*made));
	if (made == NULL)
		return NULL;
	if (atomic_compare_exchange_strong(&trial->seen, &seen, made))
		return made;
	mem_free((void *)made);
	return seen;
}

/* Is this the first call of its session? */
static bool first_of_session(struct trial *trial, uint64_t session)
{
	/* Not what the weight is compared with. */
	uint64_t bit = session / ATOM_WEIGHT_ALL % SEEN_BITS;
	uint64_t mask = (uint64_t)1 << (bit % 64);
	_Atomic uint64_t *seen;

	if (session == 0)
		return true;
	seen = seen_of(trial);
	return seen != NULL && (atomic_fetch_or_explicit(&seen[bit / 64], mask,
							 memory_order_relaxed) &
				mask) == 0;
}

static bool later_than(int64_t ns, int64_t limit_ms)
{
	return limit_ms > 0 && ns > limit_ms * 1000000;
}

static uint32_t bad_of(const struct config_bad_events *bad,
		       const struct revision_outcome *o)
{
	int64_t first_ns =
		o->first_emit_ns != 0 ? o->first_emit_ns : o->ended_ns;
	uint32_t kinds = 0;

	if (bad->error && o->http_status >= 400)
		kinds |= 1u << ATOM_BAD_ERROR;
	if (later_than(o->ended_ns - o->began_ns, bad->slower_than_ms))
		kinds |= 1u << ATOM_BAD_SLOW;
	if (o->stream &&
	    later_than(first_ns - o->began_ns, bad->first_token_slower_than_ms))
		kinds |= 1u << ATOM_BAD_SLOW_FIRST_TOKEN;
	if (bad->tokens_above > 0 &&
	    o->input_tokens + o->output_tokens > bad->tokens_above)
		kinds |= 1u << ATOM_BAD_TOKENS;
	if (bad->invalid_json && o->invalid_json)
		kinds |= 1u << ATOM_BAD_INVALID_JSON;
	return kinds;
}

static void add(struct trial *trial, int32_t cell, bool is_new,
		const struct revision_outcome *outcome)
{
	struct tally *tally = &trial->weights[cell].of[is_new];
	uint32_t kinds = bad_of(&trial->bad, outcome);

	assert(cell < TRIAL_WEIGHTS_MAX);
	count(&tally->calls, 1);
	for (int kind = 0; kind < ATOM_BAD_COUNT; kind++)
		if ((kinds & 1u << kind) != 0)
			count(&tally->bad[kind], 1);
}

struct grading *trial_grading(struct trial *trial)
{
	return &trial->grading;
}

struct mirroring *trial_mirroring(struct trial *trial)
{
	return &trial->mirroring;
}

void trial_count_pair(struct trial *trial, int32_t cell,
		      const struct revision_outcome *old_outcome,
		      const struct revision_outcome *new_outcome)
{
	if (cell < 0)
		return;
	add(trial, cell, false, old_outcome);
	add(trial, cell, true, new_outcome);
}

bool trial_count(const struct assignment *assignment,
		 const struct revision_outcome *outcome)
{
	struct trial *trial = assignment->trial;

	if (trial == NULL || assignment->cell < 0 || !outcome->called ||
	    outcome->http_status == REVISION_CLIENT_GONE ||
	    !first_of_session(trial, assignment->session))
		return false;
	add(trial, assignment->cell, assignment->is_new, outcome);
	return true;
}

void trial_rate(const struct assignment *assignment, int change)
{
	struct weight *weight = &assignment->trial->weights[assignment->cell];

	count(&weight->of[assignment->is_new].bad[ATOM_BAD_RATED], change);
}

double trial_rated_below(const struct trial *trial)
{
	return trial->bad.rated_below;
}

bool trial_wants_json(const struct trial *trial)
{
	return trial->bad.invalid_json;
}

uint32_t trial_kinds(const struct trial *trial)
{
	const struct config_bad_events *bad = &trial->bad;

	return (uint32_t)bad->error << ATOM_BAD_ERROR |
	       (uint32_t)(bad->slower_than_ms > 0) << ATOM_BAD_SLOW |
	       (uint32_t)(bad->first_token_slower_than_ms > 0)
		       << ATOM_BAD_SLOW_FIRST_TOKEN |
	       (uint32_t)(bad->tokens_above > 0) << ATOM_BAD_TOKENS |
	       (uint32_t)bad->invalid_json << ATOM_BAD_INVALID_JSON |
	       (uint32_t)(bad->rated_below > 0) << ATOM_BAD_RATED;
}

static void read_cell(const struct weight *weight, bool is_new,
		      struct atom_cell *cell_r)
{
	const struct tally *tally = &weight->of[is_new];

	*cell_r = (struct atom_cell){
		.struct_size = sizeof(*cell_r),
		.weight = weight->weight,
		.is_new = is_new,
		.bad_kinds = ATOM_BAD_COUNT,
	};
	/* Bad ones first: never more of them than calls. */
	for (int kind = 0; kind < ATOM_BAD_COUNT; kind++)
		cell_r->bad[kind] = (uint64_t)atomic_load(&tally->bad[kind]);
	cell_r->calls = (uint64_t)atomic_load(&tally->calls);
	for (int kind = 0; kind < ATOM_BAD_COUNT; kind++)
		if (cell_r->bad[kind] > cell_r->calls)
			cell_r->bad[kind] = cell_r->calls;
}

size_t trial_cells(const struct trial *trial, struct atom_cell *cells,
		   size_t max)
{
	size_t n = 0;

	for (int is_new = 0; is_new < 2; is_new++)
		for (int32_t i = 0; i < trial->weight_count && n < max; i++) {
			read_cell(&trial->weights[i], is_new, &cells[n]);
			n += cells[n].calls > 0;
		}
	return n;
}
