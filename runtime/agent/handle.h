/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_HANDLE_H
#define AGENT_HANDLE_H

/*
 * Numbers that stand for objects towards plugins: 8 bits of loop, 24 of slot,
 * 32 of generation.  A late use of a freed one finds another generation and
 * NULL, never a dangling pointer: slots are never given back to the system.
 *
 * handle_new() and handle_free() [loop] of that loop; handle_get() [any], as
 * long as the object cannot be freed meanwhile.
 */

#include <stdint.h>

#include "core/loop.h"

uint64_t handle_new(struct loop *loop, void *object); /* 0: no memory */
void *handle_get(uint64_t handle);
void handle_free(uint64_t handle);
/* After the loops have ended. */
void handles_fini(void);

#endif
