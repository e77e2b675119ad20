/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_AUDIT_FIXTURE_H
#define TESTS_UNIT_AUDIT_FIXTURE_H

/*
 * Audit sinks in memory that do what a test says: fail, hang, lie.  Two of
 * them, "first" and "second".  What a sink has outlasts audit_stop(), as a
 * disk would.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/audit.h>

#include "audit/audit_priv.h"

struct stage_line {
	uint64_t sequence;
	int64_t time_ms;
	uint8_t hash[32];
	char *json;
};

struct stage {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct stage_line *lines;
	size_t count, room;
	size_t synced;	/* lines that a failure leaves */
	uint64_t first; /* sequence of lines[0], after a prune */
	struct atom_audit_position position;
	char note[8192];
	char verifier[256];
	unsigned int heads, writes, syncs;
	/* --- what the test says --- */
	_Atomic int fail_creates; /* so many */
	_Atomic int fail_writes;
	_Atomic int fail_syncs;
	_Atomic bool lossy;	       /* sync: it cannot know */
	_Atomic int retry_after_ms;    /* what a failed write says */
	void (*tried)(void);	       /* at each open and write */
	void (*_Atomic closing)(void); /* runs in destroy, once; or NULL */
	bool open;		       /* one at a time; [lock] */
	bool hang;		       /* in write, until it is false; [lock] */
};

extern struct stage stages[2];

/* A state folder of its own; the configuration's sinks are `sinks`, libconfig
 * text: `{ plugin = "first"; }`.  Ends the program when it cannot. */
struct config *audit_fixture_config(const char *sinks);
const char *audit_fixture_folder(void);
void audit_fixture_begin(void);
void audit_fixture_end(void);
void stage_hang(struct stage *stage, bool hang);
/* Waits until the sink has that many lines synced. */
void stage_wait(struct stage *stage, size_t count);
/* Waits until that many writes have begun. */
void stage_wait_writes(struct stage *stage, unsigned int count);
/* Waits until nobody has it open. */
void stage_wait_closed(struct stage *stage);
void stage_clear(struct stage *stage);

/* Checks chain, numbers and the last signed head of what the sink has. */
void stage_verify(struct stage *stage);

#endif
