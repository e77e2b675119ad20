/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_MONITORS_H
#define MONITOR_MONITORS_H

/*
 * The components of `monitors`: each is told of events and of the metrics, and
 * says what it raises (atomd/monitor.h), which alerts.h keeps.
 */

#include <atomd/monitor.h>

#include "config/config.h"
#include "core/buffer.h"

/* Before components are configured: atom.monitor_host for plugins. [control] */
atom_status monitors_register(void);
/* Are the plugins there, and are their options right?  What is wrong is added
 * to `errors`, with its line. [control] or the process that checks a file */
atom_status monitors_check(const struct config *config, struct buffer *errors);
/* At start, once.  One that does not open is logged as `monitor_failed` and
 * makes the component `monitors` degraded; the daemon serves on.  Anything but
 * ATOM_OK: a metric could not be declared. [control] */
atom_status monitors_start(const struct config *config, struct atom_error *err);
/* After a reload: monitors that are new or changed are opened, those that have
 * gone or changed end once what they are at is done.  One that does not open
 * is told as at the start, and its predecessor goes on. [control] */
void monitors_apply(const struct config *config);
/* Ends the components, while the loops run. [control] */
void monitors_stop(void);
/* After the last thread. */
void monitors_fini(void);

/* The history has a sample: monitors hear of the metrics. [control] */
void monitors_sampled(void);
/* An event of a plugin or the host.  The texts are copied; a monitor that has
 * 256 to hear yet loses this one, which is counted. [any] */
void monitors_event(const char *name, const char *agent,
		    const struct atom_span *json);
/* The number of the last event. [any] */
uint64_t monitors_told(void);
/* How many of the monitors that hear events (*taking_r) have yet to come to
 * this one, or to one after it where they have lost it. [control] */
unsigned int monitors_behind(uint64_t number, unsigned int *taking_r);

#endif
