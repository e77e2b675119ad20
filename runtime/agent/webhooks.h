/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_WEBHOOKS_H
#define AGENT_WEBHOOKS_H

/*
 * Webhooks of a rollout: others are asked before anything starts and at each
 * step, and told how it ended.
 *
 *	before ──2xx──► steps: at each, no more weight until 2xx ──► after
 *	   │ refused, no answer in time, and `required`    │
 *	   └───────────────────────────────────────────────┴──► back
 *
 * Each is one POST of JSON through the host's client, which nothing waits for,
 * signed as the receivers of alerts are: X-Atomd-Timestamp (seconds) and
 * X-Atomd-Signature, v1= and the HMAC-SHA-256 of "TIMESTAMP.BODY".  Its `id` is
 * made of rollout, attempt, event and step, so that what a restart sends again
 * is the same one.  What has weight already is not asked about again.
 *
 * `after` is tried again, after 1 s and then twice as long each time up to
 * 5 min, until it is an hour old; 4xx (but 408 and 429) ends it.  A daemon that
 * ends meanwhile has given it up.  All of it [control].
 */

#include <stdbool.h>

struct live;
struct rollout_seen;

/* Before a look: asks what is to be asked, and says what stands. */
void webhooks_look(struct live *live, struct rollout_seen *seen);
/* After it: `after` once the rollout has ended. */
void webhooks_follow(struct live *live);
/* Its answers are nobody's. */
void webhooks_end(struct live *live);
/* At stop: what is still to be told is given up. */
void webhooks_stop(void);

#endif
