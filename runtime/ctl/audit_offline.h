/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands on a log in a folder share: where it is, and by which key.
 * With a folder they need no daemon.
 */
#ifndef CTL_AUDIT_OFFLINE_H
#define CTL_AUDIT_OFFLINE_H

#include "ctl.h"

#include "audit/note.h"
#include "audit/verify.h"

struct keyring;

/* The key of --public-key: the text itself, or a file that holds it. `*given_r`
 * is false without the option. */
int audit_public_key(struct ctl *ctl, struct note_verifier *key_r,
		     bool *given_r);

/* Where a log is, and whose key it must have. */
struct audit_place {
	struct text folder;
	struct note_verifier key;
	bool has_key; /* else that of the folder is believed */
};

/* The folder of the word at `index`. Without that word the one that the daemon
 * writes, and then, unless --public-key gives one, its key: another machine's
 * folder of the same path is not taken for it. Where no daemon is named and
 * none answers: the installed one's folder. End it with audit_place_fini,
 * whatever the result. */
int audit_place_find(struct ctl *ctl, size_t index,
		     struct audit_place *place_r);
void audit_place_fini(struct audit_place *place);

/* The keyring of --keyring, to open sealed records with; *keyring_r is NULL
 * without the option, else the caller frees it. */
int audit_keyring(struct ctl *ctl, struct keyring **keyring_r,
		  struct verify_unsealer *unsealer_r);

#endif
