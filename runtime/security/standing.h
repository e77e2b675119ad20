/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_STANDING_H
#define SECURITY_STANDING_H

/*
 * Whether who was let in for a stream is still let in: an API key may be
 * revoked, or expire, while something is written to its holder without end.
 * One look-up without a lock.
 */

#include <stdbool.h>

/* False once the key behind a principal's name ("key:ID") is revoked or
 * expired.  Names of other kinds stand: nothing here takes them back. [loop] */
bool standing_holds(const char *principal);

#endif
