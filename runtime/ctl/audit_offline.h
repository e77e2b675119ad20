/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands on a log in a folder share: where it is, and by which key.
 * They need no daemon.
 */
#ifndef CTL_AUDIT_OFFLINE_H
#define CTL_AUDIT_OFFLINE_H

#include "ctl.h"

#include "audit/note.h"
#include "audit/verify.h"

struct keyring;

/* The folder of the word at `index`, or else the installed daemon's. */
const char *audit_folder(const struct ctl *ctl, size_t index);

/* The key of --public-key: the text itself, or a file that holds it. `*given_r`
 * is false without the option. */
int audit_public_key(struct ctl *ctl, struct note_verifier *key_r,
		     bool *given_r);

/* The keyring of --keyring, to open sealed records with; *keyring_r is NULL
 * without the option, else the caller frees it. */
int audit_keyring(struct ctl *ctl, struct keyring **keyring_r,
		  struct verify_unsealer *unsealer_r);

#endif
