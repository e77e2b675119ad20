/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key's own limits: as options of `keys create`, and in the list of keys.
 */
#ifndef CTL_KEY_LIMITS_H
#define CTL_KEY_LIMITS_H

#include "ctl.h"

/* Adds --rpm, --tpm and --concurrent, where given, to a request's body. The
 * ranges are the daemon's to judge. False: the sentence is left. */
bool key_limits_add(struct ctl *ctl, json_t *body);

/* "60 rpm, no tpm"; "default" where only the configuration's hold. */
void key_limits_text(const json_t *key, struct text *out);

#endif
