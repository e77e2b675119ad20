/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_LOCKOUT_AUDIT_H
#define SECURITY_LOCKOUT_AUDIT_H

/*
 * Lock-outs in the audit log, `address.locked`: the first ten a second each
 * with its address and for how long, the rest of the second in one record
 * with their number, so that a crowd of addresses fills no log.  The daemon
 * decides a lock-out by itself: it acts first and waits for no record.
 */

#include <stdint.h>

#define LOCKOUT_AUDIT_EACH_SECOND 10

/* [any] This address was locked out just now. */
void lockout_audit(const char *address, int64_t locked_ms, int64_t now_ms);
/* [control] Once a second: tells of what was counted. */
void lockout_audit_tick(void);

#endif
