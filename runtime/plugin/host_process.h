/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_PROCESS_H
#define PLUGIN_HOST_PROCESS_H

/*
 * The service atom.process/1 (atomd/host.h): children with a protocol socket
 * and logs, on the calling loop.
 */

#include <stdbool.h>
#include <sys/types.h>

#include <atomd/plugin.h>

/* [control] Registers the service. */
atom_status host_process_register(struct atom_error *err);
/* [any] Is `pid` a child of this daemon, or a descendant of one?  Told by
 * /proc: the daemon is the subreaper of its descendants, so that all of them
 * have it among their parents, however often they forked.  A process that is
 * gone, or moves while one looks, counts as one: nobody can vouch for it.  So
 * does one that cannot be looked at, with errno EMFILE, ENFILE or ENOMEM then,
 * and another one else. */
bool host_process_is_descendant(pid_t pid);

#endif
