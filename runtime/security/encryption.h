/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_ENCRYPTION_H
#define SECURITY_ENCRYPTION_H

/*
 * Encryption at rest, as the daemon does it: which key-encryption key, when a
 * keyring is made and when never, who seals by it, and what operators ask of
 * it.  The keys themselves are keyring/'s, the records state/'s.
 *
 * A keyring is made only where none can have been: no file of the name, and a
 * store that names none.  A key that does not fit, a keyring that is gone or
 * belongs to another store end the start with a sentence; nothing is
 * overwritten.
 *
 * core/health.h has it as the component `encryption`.  Metrics:
 * atomd_keyring_version, atomd_keyring_versions.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"

struct keyring;

/* [control] Reads the keys that the configuration names, for encryption_open()
 * or encryption_apply(): before privileges are dropped, for the files may be
 * root's.  A command is run (at most 10 s) where `run` says so and it is
 * another one than before. */
atom_status encryption_read_keys(const struct config *config, bool run,
				 struct atom_error *err);
/* [control, at start, after state_attach()] Opens the keyring of the state
 * folder, or makes it; state and components seal by it from then on.  Goes on
 * with a rewrap that was under way. */
atom_status encryption_open(const struct config *config,
			    struct atom_error *err);
/* [control] A reload: wraps the data keys under another key-encryption key,
 * where the keys read are another.  On failure the old one stays in force:
 * logged, and in the health. */
void encryption_apply(const struct config *config);
/* [control, after state_detach() and when no component is left] */
void encryption_close(void);

/* [control] The one that is open; NULL: none.  It lives until
 * encryption_close(). */
struct keyring *encryption_keyring(void);

/* [control] What GET /admin/v1/keyring answers; NULL without a keyring. */
json_t *encryption_status(void);

typedef void (*encryption_done)(void *argument, atom_status status,
				const struct atom_error *err);
/* [control] Another data key, at once in force.  `done` runs on control. */
void encryption_rotate(encryption_done done, void *argument);
/* [control] Begin to move all records to the current one; `retire` (0: none)
 * is a version to be given up at the end although components may have used
 * it. */
void encryption_rewrap(uint32_t retire, encryption_done done, void *argument);

#endif
