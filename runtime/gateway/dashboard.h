/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DASHBOARD_H
#define GATEWAY_DASHBOARD_H

/*
 * The dashboard's files: read once at start, then served from memory.  What
 * is not in the list of dashboard.c is not there, whatever the folder holds
 * and the path says.
 *
 * They come from $ATOMD_DASHBOARD_DIR, else from the folder that was compiled
 * in; the charts' library from where configure has found it.  A folder that
 * is missing keeps nobody from serving: `/` says so, and so does the log.
 */

#include <atomd/plugin.h>

/* [control] ATOM_ENOMEM, and nothing else. */
atom_status dashboard_init(struct atom_error *err);
void dashboard_fini(void);

#endif
