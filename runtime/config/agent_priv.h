/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_AGENT_PRIV_H
#define CONFIG_AGENT_PRIV_H

/*
 * What agent_keys reads into: an agent, and what is looked at once more
 * before it is one.
 */

#include "config/config.h"

struct agent_reading {
	struct config_agent agent;
	int caller_system; /* 0 keep, 1 refuse */
};

#endif
