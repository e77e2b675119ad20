/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors raise, as others see it. */
#include <criterion/criterion.h>

#include <string.h>

#include "core/buffer.h"
#include "core/metric.h"
#include "monitor/monitors.h"
#include "plugin/host.h"

static const struct atom_host *host;
static const struct atom_monitor_host *monitor;

static void set_up(void)
{
	const struct config config = { .monitoring_enabled = false };
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(metric_init(1), ATOM_OK);
	metric_attach(0);
	cr_assert_eq(host_register_basic(), ATOM_OK);
	cr_assert_eq(monitors_register(), ATOM_OK);
	cr_assert_eq(monitors_start(&config, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(host_for_tests("watcher", &host), ATOM_OK);
	monitor = atom_service(host, ATOM_MONITOR_HOST);
	cr_assert_not_null(monitor);
}

static void tear_down(void)
{
	host_for_tests_free(&host);
	monitors_fini();
	metric_fini();
}

TestSuite(monitors, .init = set_up, .fini = tear_down);

static void tell(const char *agent, const char *severity, bool firing)
{
	const struct atom_alert alert = {
		.struct_size = sizeof(alert),
		.firing = firing,
		.name = "too_slow",
		.severity = severity,
		.agent = agent,
		.message = "it is",
	};

	monitor->alert(host, &alert);
}

/* The line of the gauge is there. */
static bool shown(const char *severity, int count)
{
	struct buffer out = BUFFER_INIT(1000000);
	char line[128];
	bool found;

	(void)snprintf(line, sizeof(line),
		       "\natomd_alerts_firing{alert=\"too_slow\",severity="
		       "\"%s\"} %d\n",
		       severity, count);
	cr_assert_eq(metric_render(&out), ATOM_OK);
	cr_assert_eq(buffer_append_char(&out, '\0'), ATOM_OK);
	found = strstr(out.bytes, line) != NULL;
	buffer_fini(&out);
	return found;
}

Test(monitors, what_fires_is_counted_by_name_and_severity)
{
	tell("one", "warning", true);
	tell("two", "warning", true);
	tell("one", "warning", true);
	cr_assert(shown("warning", 2));
	tell("one", "warning", false);
	cr_assert(shown("warning", 1));
	tell("one", "warning", false);
	tell("nobody", "warning", false);
	cr_assert(shown("warning", 1));
}

Test(monitors, one_that_gets_graver_moves)
{
	tell("one", "warning", true);
	tell("one", "critical", true);
	cr_assert(shown("warning", 0));
	cr_assert(shown("critical", 1));
}

Test(monitors, one_that_ends_at_another_severity_is_gone)
{
	tell("one", "critical", true);
	tell("one", "warning", false);
	cr_assert(shown("critical", 0));
	cr_assert(shown("warning", 0));
}
