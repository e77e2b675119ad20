/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_PRIV_H
#define GATEWAY_GATEWAY_PRIV_H

/*
 * What gateway_init() was given, for the handlers that need the daemon; and
 * what a rollout's workflow asks of the gateway.
 */

#include "agent/workflow.h"
#include "compliance/compliance.h"
#include "gateway/gateway.h"

/* [control] */
const struct gateway_hooks *gateway_hooks(void);
/* As struct workflow_outside has them. [control] */
void *gateway_preview(const struct workflow_preview *wanted,
		      void (*done)(void *argument,
				   const struct workflow_previewed *result),
		      void *argument);
void gateway_preview_cancel(void *preview);
void gateway_comply(compliance_done done, void *argument);

#endif
