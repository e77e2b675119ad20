/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_REMOTE_PATH_H
#define AUDIT_REMOTE_PATH_H

/*
 * Paths of options.
 */

#include <atomd/host.h>

/* A relative path starts at the configuration's folder; an empty one stays
 * empty.  The caller frees it; NULL: out of memory. */
char *absolute_path(const struct atom_host *host, const char *path);

#endif
