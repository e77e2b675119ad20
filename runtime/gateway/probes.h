/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PROBES_H
#define GATEWAY_PROBES_H

/*
 * Synthetic calls of agents on a schedule (an agent's `probe`): a real call of
 * its stable revision, through its waiting room and its instances, that takes
 * nothing of limits and counts in no statistics but these:
 *
 *	atomd_probe_success{agent}		1 or 0, of the last one
 *	atomd_probe_calls_total{agent,result}	`ok`, `failed`
 *	atomd_probe_duration_seconds{agent}	of the last one
 *
 * A failed one is repeated after 15 s, however seldom they are, so that one
 * failure does not look like an outage.  One at a time for an agent.  All of it
 * [control].
 */

#include <atomd/plugin.h>

/* Declares the metrics. */
atom_status probes_init(struct atom_error *err);
/* Once a second: begins those that are due. */
void probes_tick(void);
/* After the last thread. */
void probes_fini(void);

#endif
