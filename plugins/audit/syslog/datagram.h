/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_DATAGRAM_H
#define AUDIT_SYSLOG_DATAGRAM_H

/*
 * One message a UDP datagram (RFC 5426).  Nobody acknowledges; but where
 * nobody listens, the receiver's machine says so about the datagram before.
 */

#include <netdb.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

/* A socket towards one of the addresses: where nobody listened at the first,
 * the next `turn` tries the next.  -1 on failure. */
int datagram_open(const struct addrinfo *list, uint32_t turn,
		  struct atom_error *err);
/* ATOM_EUNAVAILABLE: the datagram before was refused, this one was not sent.
 */
atom_status datagram_send(int fd, const char *bytes, size_t length,
			  int64_t deadline, struct atom_error *err);
/* ATOM_EUNAVAILABLE: the last datagram was refused. */
atom_status datagram_check(int fd, struct atom_error *err);

#endif
