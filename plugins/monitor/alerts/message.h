/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_MESSAGE_H
#define ALERTS_MESSAGE_H

/*
 * What receivers are sent.
 *
 * webhook: {"alerts":[{"name","severity","state","value","threshold","labels",
 * "annotations","since","until"}]}, `until` of resolved ones alone.
 * alertmanager: the body of POST /api/v2/alerts of Alertmanager's API 2.
 */

#include "plugins/monitor/alerts/alert.h"

enum message_format {
	MESSAGE_WEBHOOK,
	MESSAGE_ALERTMANAGER
};

/* Those that fire or are resolved and are not silenced; only the changed ones
 * and those that were told `repeat_ms` ago where `due_only`.  `valid_ms`: how long Alertmanager
 * shall believe that one fires.  *count_r of them, of which *firing_r fire;
 * NULL: out of memory.  The caller frees it. */
char *message_make(const struct alerts *alerts, enum message_format format,
		   int64_t time_ms, bool due_only, int64_t repeat_ms,
		   int64_t valid_ms, size_t *count_r, size_t *firing_r);
/* Shall receivers hear of it now? */
bool message_is_due(const struct alert *alert, int64_t time_ms,
		    int64_t repeat_ms);

#endif
