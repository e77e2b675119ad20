/* SPDX-License-Identifier: Apache-2.0 */

/* Windows of the calendar in which deployments are frozen.  The expressions
 * are those of scaling/schedule, by its own source. */

#include <stdio.h>

#include "agent/freeze.h"
#include "agent/scaler.h"
#include "core/os.h"
#include "core/text.h"

#define MINUTE_MS INT64_C(60000)

const struct config_freeze_window *freeze_window_at(
	const struct config_freeze_windows *windows, int64_t local_ms,
	int64_t *ends_ms_r)
{
	const struct config_freeze_window *latest = NULL;

	for (size_t i = 0; i < windows->count; i++) {
		const struct config_freeze_window *window =
			&windows->windows[i];
		int64_t minute, ends_ms;

		if (local_ms < 0 ||
		    !cron_last(&window->cron, local_ms / MINUTE_MS,
			       window->duration_ms / MINUTE_MS + 1, &minute))
			continue;
		ends_ms = minute * MINUTE_MS + window->duration_ms;
		if (ends_ms <= local_ms ||
		    (latest != NULL && ends_ms <= *ends_ms_r))
			continue;
		latest = window;
		*ends_ms_r = ends_ms;
	}
	return latest;
}

const char *freeze_window_reason(const struct config_freeze_windows *windows,
				 const char *whose)
{
	static char words[480];
	int64_t now_ms = os.realtime_ms();
	int64_t offset_ms = (int64_t)scaler_utc_offset_s(now_ms) * 1000;
	const struct config_freeze_window *window;
	char until[TEXT_TIME_MAX];
	int64_t ends_ms;

	window = freeze_window_at(windows, now_ms + offset_ms, &ends_ms);
	if (window == NULL)
		return NULL;
	text_of_time(ends_ms - offset_ms, until);
	(void)snprintf(words, sizeof(words),
		       "deployments of %.63s are frozen until %s by the window "
		       "`%.100s`%s%.200s",
		       whose, until, window->text,
		       window->reason[0] != '\0' ? ": " : "", window->reason);
	return words;
}
