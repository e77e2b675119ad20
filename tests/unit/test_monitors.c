/* SPDX-License-Identifier: Apache-2.0 */
/* What monitors raise, as others see it. */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "core/buffer.h"
#include "core/json.h"
#include "core/metric.h"
#include "monitor/alerts.h"
#include "monitor/monitors.h"
#include "monitor/notes.h"
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
		.state = firing ? ATOM_ALERT_FIRING : ATOM_ALERT_RESOLVED,
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
	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_OK);
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

Test(monitors, one_that_is_told_anew_too_long_is_counted_no_more)
{
	static char wide[ALERT_ANNOTATIONS_MAX + 1];
	const char *notes[] = { "runbook", wide, NULL };
	struct atom_alert alert = {
		.struct_size = sizeof(alert),
		.state = ATOM_ALERT_FIRING,
		.name = "too_slow",
		.severity = "critical",
		.agent = "one",
		.message = "it is",
		.annotations = notes,
	};

	memset(wide, 'x', sizeof(wide) - 1);
	tell("one", "warning", true);
	cr_assert(shown("warning", 1));
	monitor->alert(host, &alert);
	cr_assert(shown("warning", 0));
}

static json_t *listed(const char *agent, const char *state, size_t count)
{
	json_t *list = alerts_list(agent, state);

	cr_assert_eq(json_array_size(list), count, "%zu",
		     json_array_size(list));
	return list;
}

Test(monitors, other_labels_are_another_alert)
{
	const char *first[] = { "zone", "a", NULL };
	const char *second[] = { "zone", "b", NULL };
	const char *notes[] = { "runbook", "look", NULL };
	struct atom_alert alert = {
		.struct_size = sizeof(alert),
		.state = ATOM_ALERT_PENDING,
		.name = "p99 is 2\" high",
		.severity = "warning",
		.agent = "one",
		.message = "it is",
		.value = NAN,
		.threshold = 2,
		.since_ms = 1700000000000,
		.labels = first,
		.annotations = notes,
	};
	json_t *list;
	const json_t *one;

	monitor->alert(host, &alert);
	alert.labels = second;
	alert.state = ATOM_ALERT_FIRING;
	alert.since_ms++;
	monitor->alert(host, &alert);
	list = listed("one", "", 2);
	one = json_array_get(list, 0);
	cr_assert_str_eq(json_text(one, "state", ""), "firing");
	cr_assert_str_eq(json_text(one, "since", ""),
			 "2023-11-14T22:13:20.001Z");
	cr_assert(json_is_null(json_object_get(one, "value")));
	cr_assert_str_eq(json_text(json_object_get(one, "labels"), "zone", ""),
			 "b");
	cr_assert_str_eq(
		json_text(json_object_get(one, "annotations"), "runbook", ""),
		"look");
	json_decref(list);
	json_decref(listed("two", "", 0));
	json_decref(listed("", "pending", 1));
	alert.state = ATOM_ALERT_RESOLVED;
	monitor->alert(host, &alert);
	json_decref(listed("", "firing", 0));
	alerts_forget(host);
	json_decref(listed("", "", 0));
}

Test(monitors, alerts_are_bounded_and_long_ones_are_refused)
{
	char zone[16], wide[ALERT_LABELS_MAX];
	const char *labels[] = { "zone", zone, NULL };
	struct atom_alert alert = {
		.struct_size = sizeof(alert),
		.state = ATOM_ALERT_FIRING,
		.name = "too_slow",
		.severity = "warning",
		.agent = "",
		.message = "it is",
		.labels = labels,
	};

	for (int i = 0; i < ALERTS_RAISED_MAX + 10; i++) {
		(void)snprintf(zone, sizeof(zone), "%d", i);
		monitor->alert(host, &alert);
	}
	json_decref(listed("", "", ALERTS_RAISED_MAX));
	alerts_forget(host);
	memset(wide, 'x', sizeof(wide));
	wide[sizeof(wide) - 1] = '\0';
	labels[1] = wide;
	monitor->alert(host, &alert);
	labels[1] = "not UTF-8: \xff";
	monitor->alert(host, &alert);
	labels[1] = zone;
	alert.name = "new\nline";
	monitor->alert(host, &alert);
	alert.name = "fine";
	alert.state = 3;
	monitor->alert(host, &alert);
	json_decref(listed("", "", 0));
}

/* --- notes ------------------------------------------------------------------- */

static void note(const char *agent, const char *alert, const char *text)
{
	monitor->annotate(host,
			  &(const struct atom_annotation){
				  .struct_size = sizeof(struct atom_annotation),
				  .agent = agent,
				  .alert = alert,
				  .text = text,
				  .prompt_hash = "sha256:ab",
			  });
}

static const char *member(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

Test(monitors, notes_are_kept_newest_first_by_agent_and_alert)
{
	json_t *list, *row;

	note("one", "", "first");
	note("two", "too_slow", "second");
	note("one", "too_slow", "third");
	list = notes_describe("one", 50);
	cr_assert_eq(json_array_size(list), 2);
	cr_assert_str_eq(member(json_array_get(list, 0), "text"), "third");
	cr_assert_str_eq(member(json_array_get(list, 0), "subject"),
			 "too_slow");
	cr_assert_str_eq(member(json_array_get(list, 1), "subject"), "one");
	cr_assert_str_eq(member(json_array_get(list, 1), "prompt_hash"),
			 "sha256:ab");
	json_decref(list);
	row = notes_newest("too_slow", "two", 0);
	cr_assert_str_eq(member(row, "text"), "second");
	json_decref(row);
	cr_assert_null(notes_newest("too_slow", "three", 0));
	cr_assert_null(notes_newest("too_slow", "two", INT64_MAX),
		       "it is of before");
	for (int i = 0; i < NOTES_MAX; i++)
		note("three", "", "more");
	list = notes_describe("", 100000);
	cr_assert_eq(json_array_size(list), NOTES_MAX);
	json_decref(list);
	cr_assert_null(notes_newest("too_slow", "two", 0));
}

/* What stands beside the alert of the host, or NULL. */
static bool analysed(const char *agent, int64_t since_ms)
{
	const struct atom_alert alert = {
		.struct_size = sizeof(alert),
		.state = ATOM_ALERT_FIRING,
		.name = "too_slow",
		.severity = "warning",
		.agent = agent,
		.message = "it is",
		.since_ms = since_ms,
	};
	json_t *list;
	bool found;

	monitor->alert(host, &alert);
	list = alerts_list("", "");
	cr_assert_eq(json_array_size(list), 1);
	found = member(json_object_get(json_array_get(list, 0), "annotations"),
		       "analysis") != NULL;
	json_decref(list);
	return found;
}

Test(monitors, a_note_of_another_time_stands_beside_no_alert)
{
	note("one", "too_slow", "it is slow");
	cr_assert(analysed("one", 1));
	cr_assert_not(analysed("one", INT64_C(4102444800000)));
}

Test(monitors, what_a_note_says_is_cut_and_made_printable)
{
	static char huge[3 * ATOM_ANNOTATION_MAX];
	json_t *list;
	const char *text;

	note(NULL, NULL, "a\x1b[31mb\r\nc\xff\xc2\x9b \xe2\x82\xac\x01");
	list = notes_describe("", 1);
	cr_assert_str_eq(member(json_array_get(list, 0), "text"),
			 "a [31mb \nc?  \xe2\x82\xac ");
	json_decref(list);
	/* A character that the end cuts is none. */
	memset(huge, 'x', sizeof(huge) - 1);
	memcpy(huge + ATOM_ANNOTATION_MAX - 1, "\xe2\x82\xac", 3);
	note("one", "", huge);
	list = notes_describe("", 1);
	text = member(json_array_get(list, 0), "text");
	cr_assert_eq(strlen(text), ATOM_ANNOTATION_MAX);
	cr_assert_eq(text[ATOM_ANNOTATION_MAX - 1], '?');
	json_decref(list);
	note("one", "", NULL);
	list = notes_describe("", 1);
	cr_assert_str_eq(member(json_array_get(list, 0), "text"), "");
	json_decref(list);
}
