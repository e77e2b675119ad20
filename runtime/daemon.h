/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DAEMON_H
#define DAEMON_H

/*
 * The daemon's life: the ordered start, reload, the graceful stop.  Knows
 * every subsystem and leaves the work to them.  [control]
 */

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

#define EXIT_CONFIG 78 /* EX_CONFIG of sysexits.h */

struct daemon_options {
	const char *config_path; /* NULL with a command */
	char *const *command;	 /* `run -- ...`, NULL-ended, else NULL */
	const struct config_override *overrides;
	size_t override_count;
};

/* `-t`: reads and checks everything, plugins included; starts nothing.
 * Messages go to standard error.  Returns the exit status. */
int daemon_check(const struct daemon_options *options);
/* Starts, serves until it is told to stop, stops.  Returns the exit
 * status. */
int daemon_serve(const struct daemon_options *options);

#endif
