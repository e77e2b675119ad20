/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

/*
 * The service manager's side of the daemon: sd_notify(3)'s datagrams and
 * inherited sockets (sd_listen_fds(3)), spoken directly; without a manager
 * every call does nothing.  [control]
 */

#include <stdbool.h>
#include <stdint.h>

/* "READY=1" and a status text. */
void notify_ready(const char *status);
/* RELOADING=1 with MONOTONIC_USEC; notify_ready() ends it. */
void notify_reloading(void);
void notify_stopping(void);
void notify_status(const char *status);
void notify_watchdog(void); /* "WATCHDOG=1" */
/* Half of WATCHDOG_USEC in ms, 0 when no watchdog was asked for. */
int64_t notify_watchdog_ms(void);

/* Sockets handed over by socket activation: how many, and each descriptor
 * (close-on-exec set).  Reads and clears LISTEN_* once; call before threads
 * start. */
unsigned int notify_listen_fds(int *first_fd_r);

#endif
