/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

/*
 * The service atom.http/1 (atomd/host.h): an HTTP client on the calling
 * loop.  Two transports, told apart by the request: a lean one for plain http://
 * (client_lean.h), and libcurl, one multi handle a loop, opened when the first
 * request needs it.  Nothing is shared between loops; names are resolved on the
 * pool and handed over, so that no loop blocks.
 */

#include <atomd/host.h>

/* [control] Registers the service and its metrics.  Per-loop parts are made
 * when a loop first uses them and end with the loop. */
atom_status http_client_register(struct atom_error *err);
/* The same table for the runtime's own use: `start` takes NULL as host. */
const struct atom_http *http_client_service(void);

#endif
