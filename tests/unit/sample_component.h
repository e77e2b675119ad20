/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SAMPLE_COMPONENT_H
#define SAMPLE_COMPONENT_H

/*
 * A component without a plugin, configured on real loops: the main thread is
 * control, one loop serves, and each step of a program begins on the control
 * loop and says when it is over.
 */

#include <stdint.h>

#include <atomd/host.h>

#include "plugin/host.h"
#include "tap.h"

/* --- the component -------------------------------------------------------- */

/* Its one option; 7 is refused by create, 8 by reconfigure. */
struct sample_options {
	int64_t count;
};

extern const struct component sample;

/* What create and reconfigure were given last. */
extern const struct atom_host *given_host;
extern const struct sample_options *given_options;
extern int destroyed; /* so many times */

/* For the agent "chat"; NULL: refused. */
struct configured *configure(int64_t count, struct atom_error *err);
/* New options for `one`. */
atom_status update(int64_t count, struct atom_error *err);

/* --- steps ---------------------------------------------------------------- */

extern struct configured *one; /* the component of the present step */

/* A service of its host, which is there. */
const void *service(const char *id);

/* The present one is over, wherever it ended. */
void next_step(void);

/* Runs them one after the other, with state on a one_record_store, and prints
 * TAP; what main() returns. */
int run_steps(const struct tap_test *steps, int count);

#endif
