/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_ROLLOUT_H
#define ROLLOUT_ROLLOUT_H

/*
 * One rollout: an agent's move from one revision to another, as a value.
 *
 * The mechanics, the same for every strategy, in the daemon and in `atomctl
 * simulate rollout`: no clock, no I/O, no randomness, no thread.  A look:
 *
 *	host sees -> rollout_advance -> orders; when `orders.store` says so the
 *	host keeps rollout_encode's bytes durably, then carries the orders out
 *	(`orders.urgent`: carries them out first and keeps the bytes at once
 *	after).
 *
 * Orders say what shall be, not what to do next, and follow from the state
 * and what is seen alone: a daemon killed anywhere decodes the bytes it kept,
 * looks, and carries the orders out again.
 *
 * What the mechanics hold, whatever a strategy says:
 *
 *	- no weight, and no more of it, while a gate is closed, nor an end
 *	  (held calls excepted: `recreate` has taken the old one away by then);
 *	- weight for the new revision only while an instance of it is ready,
 *	  or while calls are held for it (`recreate`);
 *	- capacity first, then weight, then fewer old instances;
 *	- a plan that is no sense (a weight beyond 10,000, negative instances,
 *	  an unknown action, a promotion with nothing ready), and a strategy or
 *	  judge that fails ROLLOUT_ERRORS_MAX + 1 times in a row, end the
 *	  rollout: Degraded, the old revision serves on;
 *	- one of the two is stable: `from` until the outcome is promoted, `to`
 *	  from then on.
 *
 * One that is a swap (an undo while the old one is warm) begins at WARM.
 *
 *	            promote, --full, same content      all weight on the new one
 *	STEPS ───────────────► FINISHING ──────────────────► WARM ──► OVER
 *	  │  worse, abort, fault,  │                          │  ▲ window over
 *	  │  deadline              │                     abort│
 *	  └────────► RETURNING ◄───┴──────────────────────────┘
 *	                │ no weight on the new one: OVER, aborted
 *
 * Words are Argo Rollouts' (phases, verdicts, promote, abort, retry, undo).
 * struct rollout is large (state bytes of two plugins): allocate it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/deployment.h>
#include <atomd/draft/judge.h>

#include "core/buffer.h"

#define ROLLOUT_ID_MAX	  40 /* with the NUL, as the following */
#define ROLLOUT_AGENT_MAX 64
#define ROLLOUT_HASH_MAX  65
#define ROLLOUT_NAME_MAX  64
/* The most (weight, revision) cells of one rollout; a strategy that needs
 * more different weights than half of it is stopped. */
#define ROLLOUT_CELLS_MAX 128
/* More in a row end the rollout: Argo Rollouts' consecutiveErrorLimit. */
#define ROLLOUT_ERRORS_MAX 4
/* More instances than this are no order but a fault. */
#define ROLLOUT_INSTANCES_MAX 100000
/* How often to look while nothing calls for it sooner. */
#define ROLLOUT_LOOK_MS 1000
/* And when this look changed something. */
#define ROLLOUT_SOON_MS 50
/* Counts that changed are kept this often when nothing else changed. */
#define ROLLOUT_KEEP_MS 10000
/* `old_instances`: as scaling says. */
#define ROLLOUT_SCALED (-1)

/* --- settings: keys of the agent's `deployment` group beside the plugin's -- */

enum rollout_at_end {
	ROLLOUT_END_PROMOTE,
	ROLLOUT_END_PAUSE, /* until a person */
	ROLLOUT_END_ABORT
};

struct rollout_settings {
	int64_t progress_deadline_ms; /* for capacity to come; 0 = none */
	int64_t rollback_window_ms;   /* the old one stays warm after */
	int32_t failed_starts;	      /* of a step that are let pass */
	int32_t on_undecided;	      /* enum rollout_at_end */
	int32_t on_no_data; /* fewer samples than `min_samples` at the end */
	int32_t reserved;
	int64_t min_samples; /* calls of the new one that make a judgement */
};

/* 10 min, 10 min, 3, promote, promote, 1. */
void rollout_settings_default(struct rollout_settings *settings_r);

/* --- state ------------------------------------------------------------------ */

enum rollout_stage {
	ROLLOUT_STEPS,	   /* the strategy is asked */
	ROLLOUT_FINISHING, /* to full capacity, then all weight */
	ROLLOUT_WARM,	   /* promoted; the old one waits for an undo */
	ROLLOUT_RETURNING, /* aborted; until no weight is on the new one */
	ROLLOUT_OVER
};

enum rollout_outcome {
	ROLLOUT_OPEN,
	ROLLOUT_PROMOTED,
	ROLLOUT_ABORTED,
	ROLLOUT_SUPERSEDED /* a newer revision came midway */
};

enum rollout_pause {
	ROLLOUT_NOT_PAUSED,
	ROLLOUT_PAUSED,	      /* by the strategy */
	ROLLOUT_PAUSED_AT_END /* on_undecided, on_no_data */
};

enum rollout_analysing {
	ROLLOUT_NOT_ANALYSED, /* begins with the first weight or mirroring */
	ROLLOUT_ANALYSING,
	ROLLOUT_ANALYSED /* ended: by the strategy, or a person went past it */
};

/* State bytes of a plugin. */
struct rollout_bytes {
	size_t size;
	uint8_t bytes[ATOM_DEPLOYMENT_STATE_MAX];
};

struct rollout_cells {
	size_t count;
	struct atom_cell cells[ROLLOUT_CELLS_MAX];
};

/* Where it is.  All that has to be kept before the orders are done. */
struct rollout_position {
	int32_t stage;	   /* enum rollout_stage */
	int32_t outcome;   /* enum rollout_outcome */
	int32_t step;	   /* as the strategy says */
	int32_t steps;	   /* in all; 0: not known */
	int32_t new_asked; /* instances, by the strategy or to finish */
	int32_t old_asked; /* ROLLOUT_SCALED: as scaling says */
	int32_t old_in_force;
	int32_t full_asked;   /* what the agent needed when it was asked */
	int32_t weight_asked; /* of the new one */
	int32_t weight;	      /* in force */
	/* The last weight asked that came into force: what pausing keeps. */
	int32_t weight_reached;
	int32_t mirror_asked;
	int32_t hold;		    /* new calls wait for the new one */
	int64_t mirror_budget;	    /* tokens an hour; 0 = any */
	int32_t paused;		    /* enum rollout_pause */
	int32_t pause_until_person; /* else for `pause_left_ms` */
	int32_t paused_by_person;
	int32_t frozen;		 /* as the last look saw it */
	int32_t full;		 /* steps and judge are skipped */
	int32_t person;		 /* ATOM_PERSON_* not yet acted on */
	int32_t verdict;	 /* ATOM_VERDICT_* of the judge's last look */
	int32_t analysis;	 /* ATOM_ANALYSIS_* */
	int32_t analysing;	 /* enum rollout_analysing */
	int32_t strategy_errors; /* in a row */
	int32_t judge_errors;
	int32_t attempt; /* 1, more after a retry */
	int32_t pauses;	 /* of this step that are over */
	/* Stable word of the reason, "" while the strategy has its way:
	 * "worse" "deadline" "failed_starts" "strategy" "strategy_failed"
	 * "strategy_nonsense" "judge_failed" "too_many_weights" "person"
	 * "undecided" "no_data" "same_content" "full" "superseded" "undo"; of
	 * a gate: the host's. */
	char cause[32];
	/* Prose; not worth keeping by itself. */
	char reason[ATOM_DEPLOYMENT_REASON_MAX];
};

/* Times and counts: they move with every look. */
struct rollout_times {
	int64_t now_ms; /* the rollout's clock, see atom_observation */
	int64_t began_ms;
	int64_t step_began_ms;
	int64_t step_paused_ms;
	int64_t pause_left_ms;
	int64_t stalled_ms; /* waited for capacity without progress */
	int64_t warm_left_ms;
	int64_t analysis_began_ms;
	int64_t ended_ms; /* promoted or aborted; 0 = not yet */
	int64_t wall_ms;  /* the system's clock at the last look */
};

struct rollout {
	char id[ROLLOUT_ID_MAX];
	char agent[ROLLOUT_AGENT_MAX];
	int64_t from; /* revision numbers, 1 and more; not the same */
	int64_t to;
	char from_hash[ROLLOUT_HASH_MAX]; /* of the content, hex */
	char to_hash[ROLLOUT_HASH_MAX];
	char strategy[ROLLOUT_NAME_MAX]; /* component names, for people */
	char judge[ROLLOUT_NAME_MAX];	 /* "": none */
	uint64_t salt;			 /* of the sessions' hash */

	struct rollout_position at;
	struct rollout_times times;
	struct rollout_bytes strategy_state;
	struct rollout_bytes judge_state;
	struct rollout_cells counted;	 /* since the rollout began */
	struct rollout_cells analysed;	 /* what of it the analysis left out */
	struct atom_verdict judged;	 /* the judge's last numbers */
	struct atom_comparison compared; /* since the rollout began */
	int64_t mirror_tokens;		 /* in the hour before the last look */

	/* Not kept: they belong to this process. */
	bool looked; /* since it began or was decoded */
	int64_t steady_ms;
	int64_t kept_ms; /* `times.now_ms` when it was last to be stored */
	uint64_t kept_calls;
	int32_t failed_before;	     /* starts, when the step began */
	int32_t ready_most;	     /* of the new one, in this wait */
	struct rollout_cells before; /* counted by earlier processes */
	struct atom_comparison compared_before;
	struct rollout_bytes scratch;
};

/* --- what comes in, what goes out ------------------------------------------- */

/* What the host sees.  Counts are of this process since the rollout began
 * here: since rollout_begin, rollout_retry or rollout_decode. */
/* What the host finds out before the new revision gets its first weight. */
enum rollout_gate {
	ROLLOUT_GATE_OPEN,
	/* No weight above what was reached, no mirroring, and no pause of the
	 * strategy runs; what waits for it alone is not late.  A rollout whose
	 * steps are skipped (`full`) passes. */
	ROLLOUT_GATE_CLOSED,
	ROLLOUT_GATE_FAILED /* back, whatever else is seen */
};

struct rollout_seen {
	int64_t wall_ms;      /* Unix time */
	int64_t steady_ms;    /* a clock that never goes back */
	int32_t agent_wanted; /* instances that scaling wants */
	int32_t old_ready;
	int32_t old_in_flight;
	int32_t new_ready;
	int32_t new_failed; /* starts that failed */
	uint32_t bad_kinds; /* bits 1 << ATOM_BAD_* that the agent declares */
	const char *start_error; /* of the last failed start; NULL: none */
	/* Why it may not go forward now (a freeze window, a webhook that has
	 * not answered); NULL: it may.  It is judged all the same. */
	const char *frozen;
	const struct atom_cell *cells; /* an array */
	size_t cell_count;
	const struct atom_comparison *comparison; /* NULL: none */
	int64_t mirror_tokens;	/* in the last hour, earlier processes' too */
	int32_t gate;		/* enum rollout_gate */
	const char *gate_cause; /* FAILED: a word of at most 31 bytes */
	const char *gate_reason;
	/* Each step is a gate of its own: closed unless
	 * rollout_step_to_clear() is `step_cleared`. */
	bool steps_gated;
	int32_t step_cleared;
};

/* What shall be. */
struct rollout_orders {
	bool store;	 /* keep the state before doing it */
	bool urgent;	 /* do it first, keep the state at once after */
	int32_t outcome; /* ROLLOUT_PROMOTED: `to` is stable, else `from` */
	int32_t old_instances; /* ROLLOUT_SCALED: as scaling says */
	int32_t new_instances; /* ROLLOUT_SCALED: it is the stable one now */
	int32_t weight;	       /* of the new one; the old one has the rest */
	int32_t mirror;	       /* share of calls, of ten thousand */
	int64_t mirror_budget; /* tokens an hour; 0 = any */
	bool hold;	 /* calls to the new one wait, though none is ready */
	bool over;	 /* nothing more comes: forget the old (new) pool */
	int64_t look_ms; /* look again after */
};

struct rollout_strategy {
	const struct atom_deployment_ops *ops;
	void *self;
};

struct rollout_judge {
	const struct atom_judge_ops *ops; /* NULL: there is none */
	void *self;
};

/* --- life ------------------------------------------------------------------- */

/* What a new rollout is.  Texts are copied; those too long: ATOM_ELIMIT. */
struct rollout_new {
	const char *id;
	const char *agent;
	int64_t from;
	int64_t to;
	const char *from_hash;
	const char *to_hash; /* equal to from_hash: jumps to the end */
	const char *strategy;
	const char *judge; /* NULL or "": none */
	uint64_t salt;
	int64_t wall_ms;
	/* Steps and judge are skipped: `reload --now`. */
	bool full;
	/* Both are there already, as after a promotion: all weight is on `to`
	 * with the first look, whose orders are urgent, and `from` is what is
	 * kept warm, for so long. */
	bool swap;
	int64_t warm_ms;
	const char *reason; /* first words, may be NULL */
};

atom_status rollout_begin(struct rollout *rollout_r,
			  const struct rollout_new *settings,
			  struct atom_error *err);

/* One look.  Never fails: what goes wrong is in the state.  The judge is
 * asked first and its `worse` goes before all else; then what a person asked,
 * then the strategy. */
void rollout_advance(struct rollout *rollout,
		     const struct rollout_settings *settings,
		     const struct rollout_seen *seen,
		     const struct rollout_strategy *strategy,
		     const struct rollout_judge *judge,
		     struct rollout_orders *orders_r);

/* What a person asks (ATOM_PERSON_*), acted on by the next look.  ABORT of a
 * promoted one whose old revision is warm is the undo.  ATOM_ESTATE: not
 * possible where it is, with a sentence; ATOM_EINVAL: no such order. */
atom_status rollout_ask(struct rollout *rollout, int32_t person,
			struct atom_error *err);

/* Aborted: begins again at its first step, with a new salt.  ATOM_ESTATE
 * else. */
atom_status rollout_retry(struct rollout *rollout, uint64_t salt,
			  int64_t wall_ms, struct atom_error *err);

/* All weight at the end, where that is a step of its own. */
#define ROLLOUT_STEP_LAST INT32_MAX
/* The step that is on, where steps are gated; -1: none. */
int32_t rollout_step_to_clear(const struct rollout *rollout);

/* A newer revision takes its place: over, the stable one is what it was (`to`
 * where it had been promoted, and `from` is not kept warm any longer).
 * Begin the newer one's rollout after it. */
void rollout_supersede(struct rollout *rollout);

/* --- as bytes ---------------------------------------------------------------- */

/* JSON with a version, appended.  ATOM_ENOMEM. */
atom_status rollout_encode(const struct rollout *rollout, struct buffer *out);

/* ATOM_EDATALOSS with what was wrong; `rollout_r` is then undefined.  Another
 * version: ATOM_ENOTSUP. */
atom_status rollout_decode(struct rollout *rollout_r, const char *text,
			   size_t length, struct atom_error *err);

/* --- told to people ---------------------------------------------------------- */

/* ATOM_PHASE_* of the rollout. */
int32_t rollout_phase(const struct rollout *rollout);
/* "Healthy", "Progressing", "Paused", "Degraded". */
const char *rollout_phase_word(int32_t phase);
/* "", "Successful", "Failed", "Error", "Inconclusive"; running and undecided
 * is "Running". */
const char *rollout_analysis_word(const struct rollout *rollout);
/* "open", "promoted", "aborted", "superseded". */
const char *rollout_outcome_word(int32_t outcome);
/* Calls of the new one that the judge has seen. */
int64_t rollout_samples(const struct rollout *rollout);
/* "error", "slower_than", ...: the kinds of bad event. */
const char *rollout_bad_word(int32_t kind);

#endif
