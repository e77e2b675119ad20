/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_KEY_LIMITS_H
#define SECURITY_KEY_LIMITS_H

/*
 * The limits of one API key: what was said when it was made, and the limiter
 * that counts.  Part of the key's record, so that it survives reloads and
 * rotations.  [control], but for what the limiter allows.
 */

#include <jansson.h>

#include "limit/limiter.h"

struct key_limits {
	struct config_limits own; /* unset: the configuration's */
	struct limiter limiter;
};

#define KEY_LIMITS_NONE                                                    \
	{                                                                  \
		CONFIG_LIMIT_UNSET, CONFIG_LIMIT_UNSET, CONFIG_LIMIT_UNSET \
	}

/* {"requests_per_minute","tokens_per_minute","concurrent"}: each a number (0 =
 * no limit), null or absent (the configuration's).  NULL and null stand for
 * none of them.  False: *wrong_r names the member that is none of it, or is
 * NULL when `value` is no object. */
bool key_limits_read(const json_t *value, struct config_limits *own_r,
		     const char **wrong_r);
/* The same, each member a number or null; null when all are unset. */
json_t *key_limits_row(const struct config_limits *own);

/* From now on `own`, and the configuration's where that is unset. */
void key_limits_set(struct key_limits *limits, const struct config_limits *own);
/* The configuration's have changed: they are kept for key_limits_set(), which
 * is then due for every key. */
void key_limits_defaults(const struct config_limits *defaults);

#endif
