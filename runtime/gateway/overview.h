/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_OVERVIEW_H
#define GATEWAY_OVERVIEW_H

/*
 * GET /admin/v1/overview: how everything is, in one answer; with `follow=1` a
 * stream of server-sent events (feed.h) with a new picture every second or two.
 * It is made on control, once for all who watch, and takes at most a fiftieth
 * of control's time: where there are so many agents that it takes long, it comes
 * less often.
 *
 * GET /admin/v1/me: who asks, and what they may do.
 */

/* [control] Once a second. */
void overview_tick(void);

#endif
