/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_ALERTS_H
#define MONITOR_ALERTS_H

/*
 * The alerts that monitors raise: what is pending and what fires, of all of
 * them.  One alert is a monitor's component, a name and a label set.  Shown as
 * atomd_alerts_firing{alert,severity}; each that begins to fire, or no longer
 * does, is an event for all monitors (`alert.firing`, `alert.resolved`).  The
 * functions may be called on any thread.
 */

#include <stdbool.h>

#include <jansson.h>

#include <atomd/monitor.h>

#include "core/id.h"

#define ALERTS_RAISED_MAX 2000
/* JSON bytes of one alert's labels, and of its annotations. */
#define ALERT_LABELS_MAX      4096
#define ALERT_ANNOTATIONS_MAX 8192

/* Declares the gauge. */
atom_status alerts_init(struct atom_error *err);
/* After the last thread. */
void alerts_fini(void);

/* What a plugin says (atom.monitor-host/1).  One that is wrong is dropped, and
 * logged with the component's name. */
void alerts_take(const struct atom_host *host, const struct atom_alert *given);
/* Is it silenced?  Then the silence's id is in id_r. */
bool alerts_silenced(const struct atom_alert *given,
		     char id_r[ATOM_SILENCE_ID_MAX]);
/* What this component has raised is no more: it has ended. */
void alerts_forget(const struct atom_host *host);
/* The newest first; of one agent, and in one state ("firing", "pending"),
 * where those are not "": [{"name","severity","state","value","threshold",
 * "message","since","agent","labels","annotations","monitor","silenced"}] and
 * the silence's id where it is.  New; NULL: no memory. */
json_t *alerts_list(const char *agent, const char *state);

#endif
