/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_JOURNAL_SOCKET_H
#define AUDIT_JOURNAL_SOCKET_H

/*
 * journald's sockets: datagrams one way, and the request that it write what
 * it has to its files.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

/* A socket towards `path`; -1 on failure. */
int journal_connect(const char *path, struct atom_error *err);
/* One entry; what is too large for a datagram goes as a sealed file in
 * memory.  ATOM_ETIMEOUT: journald takes nothing; ATOM_EIO: it is gone. */
atom_status journal_send(int fd, const char *bytes, size_t length,
			 int64_t deadline, struct atom_error *err);
/* Asks over journald's varlink socket `path` that all it has been sent be
 * written and synced (io.systemd.Journal.Synchronize, as `journalctl --sync`
 * does), and waits until it is. */
atom_status journal_synchronize(const char *path, int64_t deadline,
				struct atom_error *err);

#endif
