/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_PEER_H
#define SECURITY_PEER_H

/*
 * May the process at the other end of an admin socket administer the daemon?
 */

#include <stdbool.h>

#include <atomd/plugin.h>

#include "config/config.h"

struct http_request;

/* [control] The groups of `admin_group` listeners. */
atom_status peer_apply(const struct config *config, struct atom_error *err);
/* [loop] ATOM_OK: root, the daemon's own user, or a member of the group, and
 * neither a descendant of the daemon nor gone.  ATOM_ENOENT: not an admin by
 * its credentials.  ATOM_EINVAL: one that must not, with the sentence.
 * ATOM_EUNAVAILABLE: the daemon has no descriptor or memory to look at it. */
atom_status peer_is_admin(const struct http_request *request,
			  struct atom_error *err);
/* [loop] Is who was one still in one of the groups, or needs none?  A daemon
 * that is too short to look says so. */
bool peer_stays_admin(const struct http_request *request);

#endif
