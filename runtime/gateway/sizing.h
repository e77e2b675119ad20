/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SIZING_H
#define GATEWAY_SIZING_H

/*
 * `sizing=1` of an agent: its load of the last week is read from the history,
 * so that what is suggested does not begin anew with the daemon.
 */

#include "agent/agents.h"

struct control_call;

/* [control] `answer` once, at once or later, with what the history has of the
 * agent that the call names; `past` lives during it. */
void sizing_read(struct control_call *call,
		 void (*answer)(struct control_call *call,
				const struct agents_past *past));

#endif
