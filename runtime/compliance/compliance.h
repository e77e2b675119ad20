/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMPLIANCE_COMPLIANCE_H
#define COMPLIANCE_COMPLIANCE_H

/*
 * The compliance report: about thirty checks of what an auditor asks for,
 * each answered by a probe of the running daemon and not by reading a setting
 * back.  A run makes a key, uses it, looks for it in the files of the state
 * folder, revokes it and sees it refused; it speaks TLS to the listeners,
 * asks every route without a credential, and looks at its own process and its
 * workers.
 *
 *	[control] begin: the probe key is made
 *	[pool]    requests, handshakes, files, processes
 *	[control] the key is revoked
 *	[pool]    it is refused
 *	[control] configuration, keys, records; the report
 *
 * One run at a time; who asks meanwhile gets the report of the run under way.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"

#define COMPLIANCE_PATH_MAX 256

/* A route of the API as the probes ask it. */
struct compliance_route {
	const char *method; /* static */
	char path[COMPLIANCE_PATH_MAX];
	bool is_public;
	bool caller_may; /* the built-in role `caller` opens it */
};

/* What a run looks at; copied, but for the configuration, of which a
 * reference is taken. */
struct compliance_subject {
	struct config *config;
	const char *const *addresses; /* bound ones, NULL-ended */
	const struct compliance_route *routes;
	size_t route_count;
};

/* [control] `report` is the document of `atomctl compliance`, NULL unless
 * status is ATOM_OK; it lives during the call. */
typedef void (*compliance_done)(void *argument, atom_status status,
				json_t *report, const struct atom_error *err);

/* [control] Runs all checks; `done` comes once, after this has returned or
 * within it when nothing could be begun. */
void compliance_run(const struct compliance_subject *subject,
		    compliance_done done, void *argument);

/* An operator's word that a failed check may pass. */
struct compliance_acceptance {
	const char *id; /* of the check */
	const char *reason;
	const char *user;
	int64_t expires_ms; /* Unix time */
};

/* [control] Stored when `done` says ATOM_OK, and counted from the next run
 * on.  ATOM_ENOENT: no such check (`err` names the nearest);
 * ATOM_EINVAL: one that cannot be accepted; else the store's. */
void compliance_accept(const struct compliance_acceptance *acceptance,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_error *err),
		       void *argument);

/* Is there a check of that id?  For messages. [any] */
bool compliance_has(const char *id);

#endif
