/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENTS_PRIV_H
#define AGENT_AGENTS_PRIV_H

/*
 * Control's table of agents, shared by agents.c (configurations),
 * agents_operate.c (operators, stop) and agents_view.c (JSON).  [control]
 */

#include "agent/agent_limits.h"
#include "agent/pool.h"
#include "agent/records.h"
#include "agent/scaler.h"
#include "core/table.h"

/* Who made it: that one's word is the last. */
enum agent_owner {
	AGENT_OF_NOBODY,
	AGENT_OF_FILE,
	AGENT_OF_API
};

struct live;

struct agent {
	char *name;
	struct agent_limits *limits; /* a reference */
	struct revision *stable;     /* serves; a reference */
	struct revision *candidate;  /* takes over once ready; a reference */
	struct revision *replaced;   /* served until the snapshot is out */
	bool swapped;
	int64_t number;	       /* the last one used for a revision */
	int64_t current;       /* the revision in force; 0: none yet */
	uint8_t text_hash[32]; /* of its text */
	/* What of it is kept; see agents_kept.c. */
	enum agent_owner owner;
	uint8_t file_hash[32]; /* of the file's text last applied; 0: none */
	int64_t *kept;	       /* numbers of its records, rising */
	size_t kept_count;
	bool goes_back;	     /* its candidate is of an undo */
	bool changing;	     /* changes.c stores it: nobody else its row */
	uint64_t remembered; /* times that a configuration has changed it */
	int64_t pinned;	     /* instances asked by hand, -1 = none */
	int64_t slots;	     /* those of it that pool_count_slots() knows */
	struct scaler *scaler;
	struct live *rollout; /* under way, or the last one; rollouts_priv.h */
	int64_t recalled; /* at start: the one that was stable; 0: not known */
	int64_t replayed; /* the revision that a replay comes before; 0: none */
	bool replay_lost; /* its inputs are gone: a daemon ended meanwhile */
	char error[240];  /* why there is no revision at all, or "" */
};

extern struct table agents_table; /* by name, struct agent */
extern bool agents_lacking;	  /* one had no memory for its row */

/* The agent's settings as they are written now, for people. */
const struct setting *agent_setting(const struct agent *agent);
void agent_free(struct agent *agent);
struct agent *agents_find(const char *name);
/* Instances the agent should have now: by hand, else what scaling put in
 * force, else `min`. */
int64_t agent_desired(const struct agent *agent,
		      const struct revision *revision);
/* A row of the table, with what is remembered of the name, when `recall`;
 * else the caller's to agent_free().  NULL without memory. */
struct agent *agent_new(const char *name, bool recall);
/* The revision last made of it, or NULL. */
struct revision *agent_newest(const struct agent *agent);
/* A revision of these settings that does nothing yet. */
atom_status agent_prepare_revision(struct agent *agent, struct config *config,
				   const struct config_agent *from,
				   int64_t number, struct revision **revision_r,
				   struct atom_error *err);
/* How much all may ask of it: no part of a revision, in force at once. */
void agent_apply_limits(struct agent *agent, const struct config_agent *from,
			const struct config *config);
/* Makes the candidate `number` of these settings, and wants its instances. */
atom_status agent_make_revision(struct agent *agent, struct config *config,
				const struct config_agent *from, int64_t number,
				struct atom_error *err);
/* A made revision becomes the candidate, in place of another; takes it. */
void agent_set_candidate(struct agent *agent, struct revision *revision);
/* It is gone: out of the table, its instances drain. */
void agent_remove(struct agent *agent);

/* --- agents_kept.c: over restarts --- */

void agent_recall(struct agent *agent);
atom_status agent_recall_from(struct agent *agent,
			      const struct state_record *record,
			      struct atom_error *err);
/* Does the file's text serve, and not what the API made of it? */
bool agent_follows_file(const struct agent *agent);
/* Adds to a transaction what is kept of it: its row, with `current` as the
 * revision in force, whose text has this hash. */
atom_status agent_keep(const struct agent *agent, int64_t current,
		       const uint8_t text_hash[32],
		       struct state_transaction *transaction,
		       struct atom_error *err);
/* Its row as it is now, within a second: where nobody knows what a failed
 * store has kept of a change. */
void agent_keep_soon(const struct agent *agent);
/* Adds the record of a revision that is about to be made, and forgets those
 * beyond the history.  `folder`: of settings whose file has none.
 * agent_drop_record() takes it back out of the list. */
atom_status agent_keep_record(struct agent *agent, int64_t number,
			      const struct setting *setting, const char *folder,
			      const struct record_change *change,
			      struct state_transaction *transaction,
			      struct atom_error *err);
void agent_drop_record(struct agent *agent, int64_t number);
bool agent_has_record(const struct agent *agent, int64_t number);
/* `number`, of the file, is about to be the current one: the row, and the
 * record when there is none, are kept by the next flush, or when many wait for
 * it. */
void agent_remember(struct agent *agent, int64_t number,
		    const struct config_agent *from, const char *folder);
void agents_remember_flush(void);
/* What is kept from now on is in force at once, without a rollout; or is not. */
void agents_keep_at_once(bool now);
void agents_set_history(int64_t revisions);
/* Makes the revision that was in force from its record.  Of one of the API's
 * agents whose record is damaged: the newest older one that is sound. */
atom_status agent_revive(struct agent *agent, const struct config *defaults,
			 struct atom_error *err);
/* At start: every agent that the API made.  `revived` is told of each, with
 * why it could not be (NULL: it could). */
void agents_revive(const struct config *defaults,
		   void (*revived)(void *argument, const char *name,
				   const struct atom_error *why),
		   void *argument);

/* Sets how many instances its revisions have, as scaling and its rollout
 * say. */
void agent_size(struct agent *agent);
/* Slots that the stable revision is meant to have count in `max_agents`. */
void agent_count_slots(struct agent *agent);
/* Publishes the routing snapshot of all stable revisions. */
atom_status agents_publish(void);
/* Candidates that may serve do so now. */
atom_status agents_take_over(void);
/* Looks soon, and then each 20 ms while a candidate waits. */
void agents_watch(void);

#endif
