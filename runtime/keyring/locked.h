/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_LOCKED_H
#define KEYRING_LOCKED_H

/*
 * Memory for keys: one small area of the process that no core dump holds
 * (MADV_DONTDUMP) and that is not swapped out where the process may lock
 * memory (mlock; systemd's LimitMEMLOCK).  Not OpenSSL's secure heap: that one
 * is the whole process's, and handshakes would fail once it is full. [any]
 */

#include <stdint.h>

#define LOCKED_BYTES 32
/* Keys that there may be at once, all keyrings together. */
#define LOCKED_COUNT 512

/* LOCKED_BYTES zeroed bytes; NULL: no memory, or LOCKED_COUNT are in use. */
uint8_t *locked_new(void);
/* Overwritten, then free again.  NULL is fine. */
void locked_free(uint8_t **key);

#endif
