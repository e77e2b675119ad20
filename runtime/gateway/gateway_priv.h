/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GATEWAY_PRIV_H
#define GATEWAY_GATEWAY_PRIV_H

/*
 * What gateway_init() was given, for the handlers that need the daemon.
 */

#include "gateway/gateway.h"

/* [control] */
const struct gateway_hooks *gateway_hooks(void);

#endif
