/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

/*
 * One setting read as what a key wants: the one place that knows what may
 * stand for a boolean, a number, a duration or a size.  Used for the host's
 * own keys and for the options of plugins.
 *
 * A string that is one whole reference, or a value of -D, may stand for a
 * boolean or a number too; other strings may not.  Each function returns
 * false, and leaves *value_r alone, when the setting is of another type or
 * cannot be read so.  [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/setting.h"

bool value_to_bool(const struct setting *setting, bool *value_r);
bool value_to_int(const struct setting *setting, int64_t *value_r);
/* Takes integers as well. */
bool value_to_float(const struct setting *setting, double *value_r);
/* "250ms", "30s", "2h", or a plain number in `unit_ms`; 0: a plain number is
 * refused, for the key's name has no unit. */
bool value_to_duration(const struct setting *setting, int64_t unit_ms,
		       int64_t *ms_r);
/* "64K", "2M", or a plain number in `unit_bytes`. */
bool value_to_size(const struct setting *setting, int64_t unit_bytes,
		   int64_t *bytes_r);
/* The resolved text, or NULL when it is no string. */
const char *value_to_text(const struct setting *setting);

#define VALUE_DESCRIPTION_MAX 80
/* What was found, for messages: `the string "many"`, `the number 1.5`, `a
 * group`.  Never shows a secret; cut and made printable. */
void value_describe(const struct setting *setting,
		    char out[VALUE_DESCRIPTION_MAX]);
/* `text` in at most `out_size` bytes, control bytes as '?', cut with "...":
 * for quoting in messages what a stranger wrote. */
void value_quote(const char *text, char *out, size_t out_size);

#endif
