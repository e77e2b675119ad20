/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_CONTROL_H
#define SCALING_CONTROL_H

/*
 * What the host makes of a strategy's advice: how many instances shall be in
 * force.  The same for every strategy, in the daemon and in `atomctl
 * simulate scaling`: no clock, no I/O, no thread; time comes in.
 *
 * The words are those of Kubernetes' HorizontalPodAutoscaler v2
 * (`behavior.scaleUp`, `behavior.scaleDown`), and so are the two algorithms:
 *
 *	stabilisation	going up, the lowest of the numbers advised within
 *			the window; going down, the highest
 *	policies	each allows so many instances, or so many percent of
 *			those at the period's start, to be added (removed)
 *			within its period; `select` takes the policy that
 *			allows most (Max), least (Min), or none (Disabled)
 *
 * One decision, in this order: is the advice sound - tolerance - missing
 * measurements never scale down - min and max - stabilisation - policies -
 * cooldowns - to zero only from one - at least one while a call waits - what
 * the limits over all agents leave.  A decision is put in force by whoever
 * asked, who passes it back as `desired` the next time.
 *
 * Times are milliseconds of a clock that never goes back ("steady").  When it
 * leaps (a machine that slept) or the wall clock steps, that decision changes
 * nothing and the stabilisation of going down begins anew: what was advised
 * on the strength of such a time is not trusted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/scaling.h>

#include "scaling/history.h"

/* More than this is no advice but a fault. */
#define SCALING_WANTED_MAX 100000
/* A tick comes each 2 s, and at once (but not more often than each 100 ms)
 * when a call waits and nothing is free. */
#define SCALING_TICK_MS	  2000
#define SCALING_URGENT_MS 100
/* A strategy that takes longer for one evaluation is taken for failed. */
#define SCALING_TOO_LONG_MS 250
/* The stabilisation window of going down when nobody says one: strategies
 * say theirs (`hold_ms`), configurations theirs (scale_down). */
#define SCALING_HOLD_MS 60000

enum scaling_policy_type {
	SCALING_POLICY_COUNT,
	SCALING_POLICY_PERCENT
};

struct scaling_policy {
	int type;	   /* enum scaling_policy_type */
	int32_t value;	   /* instances or percent, 1 and more */
	int64_t period_ms; /* up to SCALING_PERIOD_MAX_MS */
};

enum scaling_select {
	SCALING_SELECT_MAX,
	SCALING_SELECT_MIN,
	SCALING_SELECT_DISABLED
};

#define SCALING_POLICIES_MAX  8
#define SCALING_PERIOD_MAX_MS 1800000

/* One direction's rules. */
struct scaling_rules {
	int64_t stabilization_ms; /* negative: the strategy's, else default */
	int64_t cooldown_ms;	  /* see scaling_settings */
	double tolerance;    /* share of `desired` that is not worth a change */
	int select;	     /* enum scaling_select */
	size_t policy_count; /* 0: as many as wanted */
	struct scaling_policy policies[SCALING_POLICIES_MAX];
};

struct scaling_settings {
	struct scaling_rules up;   /* cooldown: after scaling up */
	struct scaling_rules down; /* cooldown: after scaling up or down */
	bool dry_run;		   /* decide, tell, change nothing */
};

/* Defaults that suit agents: up at once and as far as advised, for a model's
 * answer takes seconds and its caller waits; down after the strategy's own
 * window, with no policy, no cooldown and no tolerance: those would only
 * hold what the strategy says is not needed. */
void scaling_settings_default(struct scaling_settings *settings_r);

/* What holds now. */
struct scaling_situation {
	int64_t now_ms;	 /* steady */
	int64_t wall_ms; /* Unix time */
	int32_t min;
	int32_t max;
	int32_t desired; /* in force; starting instances are among them */
	int64_t waiting; /* calls */
	/* Instances that the limits over all agents allow beyond those in
	 * force; which limit that is, "max_agents" or "memory_limit". */
	int32_t room;
	const char *room_limit;
	/* False: measurements are missing (a sample late, none yet). */
	bool measured;
};

struct scaling_decision {
	int32_t wanted;	  /* to be in force: `desired` in a dry run */
	int32_t proposed; /* what it would be without dry_run */
	int32_t advised;  /* what the strategy wants, -1 = no opinion */
	/* Why `proposed` is not `advised`, or why it is not `desired` where
	 * the host alone decided: "min" "max" "max_agents" "memory_limit"
	 * "tolerance" "stabilization" "policy" "disabled" "cooldown"
	 * "not_measured" "clock_jump" "call_waiting" "from_one" "advice".
	 * NULL: the advice is followed as it is.  Static. */
	const char *bound;
	/* Why the advice was ignored: "failed" "too_long" "not_a_number"
	 * "out_of_range".  NULL: it was not.  Static. */
	const char *fault;
};

struct scaling_control {
	bool begun;
	int64_t last_ms;
	int64_t wall_offset_ms;
	int32_t last_good;  /* -1 = none */
	int32_t hold_ms;    /* of the last good advice */
	uint64_t faults;    /* advice ignored since the beginning */
	int64_t last_up_ms; /* INT64_MIN = never */
	int64_t last_down_ms;
	struct scaling_extremes lowest;	 /* advised, for going up */
	struct scaling_extremes highest; /* for going down */
	struct scaling_changes added;
	struct scaling_changes removed;
};

void scaling_control_init(struct scaling_control *control);

/* Empties advice, as strategies expect it. */
void scaling_advice_init(struct atom_scaling_advice *advice_r);
/* Ends its texts, and replaces in them what is no printable UTF-8. */
void scaling_advice_clean(struct atom_scaling_advice *advice);

/* One decision.  `status` and `took_ms` are of the evaluation; `advice` NULL:
 * there is no strategy, and `desired` is only bounded.  Where the decision's
 * `wanted` differs from `desired` it counts as done. */
void scaling_decide(struct scaling_control *control,
		    const struct scaling_settings *settings,
		    const struct scaling_situation *situation,
		    const struct atom_scaling_advice *advice,
		    atom_status status, int64_t took_ms,
		    struct scaling_decision *decision_r);

/* Somebody else set the number (by hand, a rollout): counts as a change. */
void scaling_note_change(struct scaling_control *control, int64_t now_ms,
			 int32_t from, int32_t to);

/* Which instance goes first when some must: the one of the lowest rank.  Idle
 * ones first, then starting ones, then the least loaded.  An idle one that
 * the rest could not spare (`spare`: more are ready than shall remain) comes
 * after the starting ones: those are no capacity yet when going down. */
int64_t scaling_victim_rank(bool starting, int32_t in_flight, bool spare);

#endif
