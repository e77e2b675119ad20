/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_SCAN_PRIV_H
#define CONFIG_SCAN_PRIV_H

/*
 * A look at a text before libconfig gets it, for what libconfig 1.5 does
 * badly: a bad @include ends the process, integers wrap, deep nesting and
 * groups of very many members take its stack and its time, `\x00` and open
 * comments vanish, and a syntax error is told as just that and loses the
 * memory of the string before it.  What passes here is in libconfig's
 * grammar; a key twice in a group and an array of mixed types are left to
 * libconfig.
 */

#include "core/buffer.h"

/* `text` has a NUL behind it.  Adds "FILE:LINE: ..." for the first fault and
 * returns ATOM_EINVAL. */
atom_status scan_check(const char *text, size_t length, const char *file,
		       struct buffer *errors);

#endif
