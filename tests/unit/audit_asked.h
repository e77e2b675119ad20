/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_AUDIT_ASKED_H
#define TESTS_UNIT_AUDIT_ASKED_H

/*
 * Posting to the audit log and waiting for its answer, from a thread that is
 * no loop; and the program around such tests: they run on a thread of their
 * own, the main one is the control loop.
 */

#include "audit_fixture.h"
#include "tap.h"

struct asked {
	struct audit_waiter waiter;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int answers;
	atom_status status;
};

/* The configuration in force, from audit_begin_with() to audit_end(). */
extern struct config *audit_config;

/* Told on that serving loop. */
void asked_init(struct asked *a, unsigned int loop);
/* What does that. */
void asked_answer(struct audit_waiter *waiter, atom_status status);
atom_status asked_wait(struct asked *a);
/* Some control action's intent. */
struct audit_record asked_event(const char *user);
atom_status post_and_wait(const char *user, enum audit_urgency urgency);

void audit_begin_with(const char *sinks);
void audit_end(void);
/* As if there had never been a log. */
void audit_begin_anew(void);

int audit_tests_main(const struct tap_test *tests, size_t count);

#endif
