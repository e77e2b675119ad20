/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_CALLS_H
#define MONITOR_CALLS_H

/*
 * Calls that have ended, for monitors that trace (atomd/calls.h): a ring that
 * is there while somebody watches.
 */

#include <stdbool.h>

#include <atomd/calls.h>

#define CALLS_KEPT 4096

/* Before components are configured. [control] */
atom_status calls_register(void);
/* [any] One atomic load. */
bool calls_watched(void);
/* [any] The texts are copied. */
void calls_add(const struct atom_ended_call *call);
/* After the last thread. */
void calls_fini(void);

#endif
