/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_MATCHERS_H
#define MONITOR_MATCHERS_H

/*
 * Alertmanager's matchers: label = != =~ !~ value, all of which must hold.  A
 * label that is not there is the empty text.  Immutable once made. [any]
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <atomd/plugin.h>

struct matchers;

/* From [{"name","value","regex":false,"equal":true}] of 1 to `most` items,
 * values of at most `value_max` bytes; expressions are those of pattern.h.
 * ATOM_EINVAL with a sentence. */
atom_status matchers_new(const json_t *list, size_t most, size_t value_max,
			 struct matchers **matchers_r, struct atom_error *err);
void matchers_free(struct matchers **matchers);
/* `labels`: an object of texts. */
bool matchers_hold(const struct matchers *matchers, const json_t *labels);
/* The list, with every member.  New; NULL: no memory. */
json_t *matchers_describe(const struct matchers *matchers);

#endif
