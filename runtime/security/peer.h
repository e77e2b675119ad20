/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_PEER_H
#define SECURITY_PEER_H

/*
 * May the process at the other end of an admin socket administer the daemon?
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"

struct http_request;

#define PEER_GROUPS_MAX 16

/* The groups of `admin_group` listeners, by number. */
struct peer_groups {
	size_t count;
	uint32_t gids[PEER_GROUPS_MAX];
};

/* [control] Looks the configuration's groups up; changes nothing.
 * ATOM_EINVAL, ATOM_ELIMIT. */
atom_status peer_groups_read(const struct config *config,
			     struct peer_groups *groups_r,
			     struct atom_error *err);
/* [control] From now on their members are admins, and no others.  Copies;
 * cannot fail: once nothing else of the configuration can. */
void peer_groups_apply(const struct peer_groups *groups);
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
