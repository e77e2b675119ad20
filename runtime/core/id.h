/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_ID_H
#define CORE_ID_H

/*
 * Names for things that come and go.  [any]
 */

#include <stddef.h>
#include <stdint.h>

#define ID_MAX 40

/* `prefix` (at most 7 bytes) + 26 characters of lower-case base32: 48 bits of
 * time in ms, 80 random ones (as a ULID).  Unique, not secret. */
void id_new(const char *prefix, char out[ID_MAX]);
/* A fast random number for sampling and splitting; not for keys. */
uint64_t id_random(void);

#endif
