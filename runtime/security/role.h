/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_ROLE_H
#define SECURITY_ROLE_H

/*
 * Roles: names for sets of permissions.  The four built-in ones and those of
 * the configuration, in a snapshot that loops read (qsbr.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"

/* Permissions of a role, 0 when there is no such role.  [loop] [control] */
uint32_t role_permissions(const char *name);
bool role_exists(const char *name);
/* [control] Publishes the roles of a configuration. */
atom_status roles_apply(const struct config *config, struct atom_error *err);
void roles_fini(void);

#endif
