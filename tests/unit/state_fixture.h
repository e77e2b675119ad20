/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_STATE_FIXTURE_H
#define TESTS_UNIT_STATE_FIXTURE_H

/*
 * What the tests of state share.  Each case is a process of its own: the main
 * thread is control, two loops serve, and one more thread drives the case.
 * Between state and the sqlite store stands a table of functions that can be
 * told to hold, to fail, or to refuse one key.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/loop.h"
#include "core/memory.h"
#include "state/state.h"

#define WAIT_S 30 /* for an event; none takes a tenth of it */

#define CHECK(condition)                                            \
	do {                                                        \
		if (!(condition)) {                                 \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, \
			       #condition);                         \
			(void)fflush(stdout);                       \
			_exit(1);                                   \
		}                                                   \
	} while (0)

/* One lock and one bell for everything that is waited for. */
extern pthread_mutex_t lock;
extern pthread_cond_t bell;
void ring(void);

/* Lock held. */
#define WAIT_UNTIL(condition)                                               \
	do {                                                                \
		struct timespec at_;                                        \
		(void)clock_gettime(CLOCK_REALTIME, &at_);                  \
		at_.tv_sec += WAIT_S;                                       \
		while (!(condition))                                        \
			CHECK(pthread_cond_timedwait(&bell, &lock, &at_) == \
			      0);                                           \
	} while (0)

extern struct atom_error err;

struct guarded_store {
	const struct atom_store_ops *real;
	void *self;
	char folder[64];
	bool hold; /* commits do not go on */
	bool hold_checks;
	bool fail;	/* commit and check fail */
	bool no_memory; /* the same, for want of it */
	bool damaged;	/* get and check find damage */
	size_t held;	/* commits that are held now */
	size_t commits; /* begun */
	size_t checks;
	size_t largest; /* transactions of one commit */
};

/* A write to the key "poison" is refused, alone and for good. */
extern struct guarded_store store;

/* hold, fail or damaged := value, and ring. */
void set(bool *flag, bool value);
/* Until so many commits of the store are held. */
void wait_held(size_t count);

/* Run on that loop, and wait for it. */
void on(struct loop *loop, void (*run)(void *argument), void *argument);

/* One commit of one write to bucket "b". */
struct commit {
	const char *key;
	const char *value; /* NULL: remove */
	uint64_t expected;
	struct loop *loop;
	atom_status begun;  /* what state_commit said */
	atom_status status; /* what `done` said */
	size_t answers;
	uint64_t version;
	bool on_own_loop;
	char message[ATOM_ERROR_MESSAGE_MAX];
	int32_t retry_after_ms;
};

/* With a struct commit, on its loop, by on(). */
void begin_commit(void *argument);
/* One answer, on its loop. */
void wait_answer(struct commit *c);
/* Begin one on loop 0. */
void start_commit(struct commit *c, const char *key, const char *value,
		  uint64_t expected);
/* And wait; how it ended, at once or later. */
atom_status commit(struct commit *c, const char *key, const char *value,
		   uint64_t expected);
/* Write behind; NULL removes. */
void behind(const char *key, const char *value);

/* A get by loop 1. */
struct got {
	const char *key;
	bool over;
	atom_status status;
	uint64_t version;
	char value[64];
};

struct got get(const char *key);

/* A scan by loop 0; all keys, a space after each. */
struct scanned {
	const char *prefix;
	const char *after;
	size_t limit;
	bool over;
	atom_status status;
	bool more;
	char keys[64];
};

struct scanned scan(const char *prefix, const char *after, size_t limit);

/* Does the store itself, state left aside, hold that?  "(none)": nothing. */
bool stored_is(const char *key, const char *value);
/* Until state's health is this. */
void wait_health(bool degraded);

/* Called once state is attached, before loops run; NULL: nothing. */
extern void (*when_attached)(void);

struct one_case {
	const char *name;
	void (*run)(void);
	int (*after)(void);   /* with state detached and the store open */
	atom_status detached; /* what state_detach says */
};

#define CASE(name)                         \
	{                                  \
#name, name, NULL, ATOM_OK \
	}
#define CASE_THEN(name, after)              \
	{                                   \
#name, name, after, ATOM_OK \
	}

/* Runs them all and prints TAP; what main() returns. */
int run_cases(const struct one_case *cases, size_t count);

#endif
