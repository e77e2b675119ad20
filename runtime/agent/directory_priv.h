/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DIRECTORY_PRIV_H
#define AGENT_DIRECTORY_PRIV_H

/*
 * The writing side of the routing snapshot.  [control]
 */

#include <stddef.h>

#include <atomd/plugin.h>

struct revision;

/* Calls of each revision's agent go to it from now on.  The snapshot takes
 * references of its own.  ATOM_ENOMEM: the old one stays. */
atom_status directory_publish(struct revision *const *revisions, size_t count);

#endif
