/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_DRAFT_JUDGE_H
#define ATOMD_DRAFT_JUDGE_H

/*
 * atom.judge/1, a draft: says whether a new revision is worse than the old
 * one.
 *
 * A pure function like atom.scaling/1: what was counted and own state bytes
 * in; verdict, its numbers and new state bytes out.  No clock, no I/O, no
 * randomness, no threads.  It is asked again and again while calls come in,
 * so a verdict has to stay true however often one looks: a test for one look
 * at a fixed number of calls is not good enough.
 *
 * The counts are cumulative since the analysis began.  Each call was given to
 * the new revision with a known probability, its cell's weight, whatever
 * happened to the calls before it.  Calls of one session count once.
 */

#include <atomd/deployment.h>
#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_KIND_JUDGE	      "atom.judge/1"
#define ATOM_JUDGE_STATE_MAX  (64 * 1024)
#define ATOM_JUDGE_REASON_MAX 240
#define ATOM_JUDGE_WORD_MAX   48

enum {
	ATOM_VERDICT_UNDECIDED = 0, /* go on */
	ATOM_VERDICT_WORSE = 1,	    /* abort */
	ATOM_VERDICT_NOT_WORSE = 2  /* not by the margin: may promote */
};

struct atom_trial {
	uint32_t struct_size;
	uint32_t cell_stride;
	int64_t now_ms;	   /* Unix time */
	int64_t began_ms;  /* of the analysis */
	const void *cells; /* struct atom_cell, by cell_stride */
	size_t cell_count;
	uint32_t bad_kinds; /* bits 1 << ATOM_BAD_*: those that count here */
	int32_t last;	    /* 1: no more calls will come, say the end */
};

/* What was seen of one kind of bad event.  The two numbers of evidence are
 * natural logarithms of how many times likelier the counts are than under
 * the hypothesis that they speak against; negative infinity never, a judge
 * that has none leaves 0. */
struct atom_evidence {
	int32_t kind; /* ATOM_BAD_* */
	int32_t reserved;
	uint64_t new_calls;
	uint64_t new_bad;
	uint64_t old_calls;
	uint64_t old_bad;
	double ratio;	  /* of the rates, new to old; negative: unknown */
	double worse;	  /* against "the new one is not worse" */
	double not_worse; /* against "it is worse by the margin" */
};

struct atom_verdict {
	uint32_t struct_size;
	int32_t verdict; /* ATOM_VERDICT_* */
	double value;	 /* the number that decided, or is nearest to it */
	double threshold;
	uint32_t evidence_count;
	int32_t reserved;
	struct atom_evidence evidence[8];
	char metric[ATOM_JUDGE_WORD_MAX]; /* the name of `value` */
	char reason[ATOM_JUDGE_REASON_MAX];
};

struct atom_judge_ops {
	ATOM_OPS_HEAD;
	/* [control], offline too.  `state` as in atom.scaling/1. */
	atom_status (*judge)(void *self, const struct atom_trial *trial,
			     void *state, size_t *state_size,
			     struct atom_verdict *verdict_r,
			     struct atom_error *err);
};

static inline ATOM_UNUSED const struct atom_cell *atom_trial_cell(
	const struct atom_trial *trial, size_t i)
{
	return (const struct atom_cell *)(const void *)((const char *)
								trial->cells +
							i * trial->cell_stride);
}

#ifdef __cplusplus
}
#endif

#endif
