/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMPLIANCE_ACCEPT_H
#define COMPLIANCE_ACCEPT_H

/*
 * What operators have let pass: records of the store, one a check, each with
 * who, why and until when.
 */

#include <jansson.h>

#include <atomd/plugin.h>

/* [control] Those in force, id -> {"user","reason","time","expires"}; the
 * object lives during the call.  `done` runs once, maybe before this has
 * returned. */
void accept_read(void (*done)(void *argument, atom_status status,
			      json_t *accepted, const struct atom_error *err),
		 void *argument);

#endif
