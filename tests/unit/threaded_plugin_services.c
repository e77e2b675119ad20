/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's services that a component asks: metrics, log, secrets, events,
 * a scan beside it, and state.
 */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/buffer.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metric.h"
#include "core/os.h"
#include "one_record_store.h"
#include "plugin/host_priv.h"
#include "plugin/registry.h"
#include "sample_component.h"

/* --- metric, log, secret, event ------------------------------------------- */

static void metrics_are_declared_and_counted(void)
{
	const struct atom_metric *metric = service(ATOM_METRIC);
	static const char *const labels[] = { "way", NULL };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "sample_things_total",
		.help = "Things.",
		.unit = "",
		.label_names = labels,
	};
	const char *const values[] = { "in", NULL };
	const char *const none[] = { NULL };
	const struct atom_host *host = configured_host(one);
	struct buffer page = BUFFER_INIT(1024 * 1024);
	uint32_t family, again, series;

	CHECK(metric->declare(host, &spec, &family, NULL) == ATOM_OK);
	CHECK(metric->declare(host, &spec, &again, NULL) == ATOM_OK);
	CHECK(family == again);
	CHECK(metric->series(host, family, none, &series, NULL) == ATOM_ELIMIT);
	CHECK(metric->series(host, 2047, values, &series, NULL) == ATOM_ELIMIT);
	CHECK(metric->series(host, family, values, &series, NULL) == ATOM_OK);
	metric->update(host, series, 2);
	metric->update(host, series, -1);
	metric->update(host, 0, 1);
	CHECK(metric_render(&page, METRIC_TEXT) == ATOM_OK);
	CHECK(strstr(page.bytes, "\nsample_things_total{way=\"in\"} 2\n"));
	buffer_fini(&page);
	next_step();
}

static int64_t (*real_ns)(void);
static _Atomic int64_t stands_at_ns; /* 0: it does not */

static int64_t clock_ns(void)
{
	int64_t now = atomic_load(&stands_at_ns);

	return now != 0 ? now : real_ns();
}

static void a_slow_call_is_counted_with_its_name(void)
{
	struct buffer page = BUFFER_INIT(1024 * 1024);
	int64_t began;

	atomic_store(&stands_at_ns, real_ns());
	began = host_call_begin();
	atomic_fetch_add(&stands_at_ns, 40 * 1000000);
	host_call_end(began, &sample, "evaluate");
	atomic_fetch_add(&stands_at_ns, 20 * 1000000);
	host_call_end(began, &sample, "evaluate");
	atomic_store(&stands_at_ns, 0);
	CHECK(metric_render(&page, METRIC_TEXT) == ATOM_OK);
	CHECK(strstr(page.bytes,
		     "\natomd_plugin_slow_calls_total{plugin=\"scaling/sample"
		     "\",function=\"evaluate\"} 1\n"));
	buffer_fini(&page);
	next_step();
}

struct lines {
	int count;
	bool named;
};

static bool count_line(void *argument, const struct log_kept *line)
{
	struct lines *lines = argument;

	lines->count += strstr(line->json, "\"event\":\"chatter\"") != NULL;
	if (strstr(line->json, "\"component\":\"scaling/sample\"") &&
	    strstr(line->json, "\"agent\":\"chat\"") &&
	    strstr(line->json, "\"n\":5"))
		lines->named = true;
	return true;
}

static void a_flood_of_lines_is_cut(void)
{
	const struct atom_log *log = service(ATOM_LOG);
	const struct atom_log_field field = { "n", NULL, 5 };
	struct lines lines = { 0, false };
	uint64_t begin = log_visit(0, count_line, &lines);
	int64_t second = os.monotonic_ns() / 1000000000;

	lines = (struct lines){ 0, false };
	for (int i = 0; i < 1500; i++)
		log->write(configured_host(one), ATOM_LOG_INFO, "chatter",
			   "words", &field, 1);
	(void)log_visit(begin, count_line, &lines);
	CHECK(lines.named);
	/* Unless the clock passed into the next second meanwhile. */
	if (os.monotonic_ns() / 1000000000 == second)
		CHECK(lines.count == 1000);
	CHECK(lines.count < 1500 || os.monotonic_ns() / 1000000000 != second);
	next_step();
}

static void secrets_are_hidden_and_randomness_is_random(void)
{
	const struct atom_secret *secret = service(ATOM_SECRET);
	char text[] = "key=correct-horse;", a[16] = { 0 }, b[16] = { 0 };

	CHECK(log_add_secret("correct-horse") == ATOM_OK);
	CHECK(secret->redact(configured_host(one), text) == 1);
	CHECK(strcmp(text, "key=***;") == 0);
	CHECK(secret->random(a, sizeof(a), NULL) == ATOM_OK);
	CHECK(secret->random(b, sizeof(b), NULL) == ATOM_OK);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	secret->wipe(a, sizeof(a));
	CHECK(a[0] == 0 && a[15] == 0);
	next_step();
}

static int events;

static void sink(const char *name, const char *agent,
		 const struct atom_span *json)
{
	CHECK(strcmp(name, "thing.done") == 0 && strcmp(agent, "chat") == 0);
	CHECK(json->length == 7 && memcmp(json->bytes, "{\"a\":1}", 7) == 0);
	events++;
}

static int events_logged;

static bool count_events(void *argument, const struct log_kept *line)
{
	(void)argument;
	events_logged +=
		strstr(line->json, "\"event\":\"plugin_event\"") &&
		strstr(line->json, "\"message\":\"thing.done\"") &&
		strstr(line->json, "\"component\":\"scaling/sample\"") &&
		strstr(line->json, "\"agent\":\"chat\"");
	return true;
}

static void only_sound_events_reach_the_monitors(void)
{
	const struct atom_event *event = service(ATOM_EVENT);
	const struct atom_span good = { "{\"a\":1}", 7 };
	const struct atom_span list = { "[1]", 3 };
	const struct atom_span cut = { "{\"a\":", 5 };

	uint64_t begin = log_visit(0, count_events, NULL);
	int64_t second = os.monotonic_ns() / 1000000000;

	/* A flood's second, if there was one, is over. */
	while (os.monotonic_ns() / 1000000000 == second)
		(void)usleep(1000);
	events_logged = 0;
	host_set_event_sink(sink);
	event->publish(configured_host(one), "thing.done", NULL, &good);
	event->publish(configured_host(one), "thing.done", NULL, &list);
	event->publish(configured_host(one), "thing.done", NULL, &cut);
	event->publish(configured_host(one), "Not A Word", NULL, &good);
	event->publish(configured_host(one), NULL, NULL, &good);
	event->publish(configured_host(one), "thing.done", NULL, NULL);
	/* The host's own, which has a line of its own where it comes from. */
	host_publish("thing.done", "chat", &good);
	host_set_event_sink(NULL);
	CHECK(events == 2);
	(void)log_visit(begin, count_events, NULL);
	CHECK(events_logged == 1);
	next_step();
}

/* --- a scan beside the control thread ------------------------------------- */

static void scanned(void *argument, atom_status status)
{
	json_t *rows = registry_list();

	CHECK(argument == &one && status == ATOM_OK && loop_is_control());
	CHECK(json_array_size(rows) == 0);
	json_decref(rows);
	registry_fini();
	next_step();
}

static void a_scan_runs_beside_the_control_thread_one_at_a_time(void)
{
	static const char *const folders[] = { "/nowhere/at/all", NULL };

	CHECK(registry_init(NULL, false, NULL) == ATOM_OK);
	CHECK(registry_scan_start(folders, scanned, &one, NULL) == ATOM_OK);
	CHECK(registry_scan_start(folders, scanned, &one, NULL) == ATOM_EBUSY);
	CHECK(registry_scan(folders, NULL) == ATOM_EBUSY);
}

/* --- state ---------------------------------------------------------------- */

static void got_nothing(void *argument, atom_status status,
			const struct atom_span *value, uint64_t version)
{
	(void)argument;
	CHECK(status == ATOM_ENOENT && value->bytes == NULL && version == 0);
	next_step();
}

static void got_value(void *argument, atom_status status,
		      const struct atom_span *value, uint64_t version)
{
	const struct atom_state *state = service(ATOM_STATE);

	(void)argument;
	CHECK(status == ATOM_OK && version == 1 && value->length == 5);
	CHECK(memcmp(value->bytes, "value", 5) == 0);
	CHECK(strcmp(one_record_key, "scaling.sample/chat/key") == 0);
	CHECK(state->get(configured_host(one), "other", got_nothing, NULL,
			 NULL) == ATOM_OK);
}

static void lost(void *argument, atom_status status, uint64_t version)
{
	const struct atom_state *state = service(ATOM_STATE);

	(void)argument;
	CHECK(status == ATOM_ECONFLICT && version == 0);
	CHECK(state->get(configured_host(one), "key", got_value, NULL, NULL) ==
	      ATOM_OK);
}

static const struct atom_span value = { "value", 5 };

static void written(void *argument, atom_status status, uint64_t version)
{
	const struct atom_state *state = service(ATOM_STATE);

	(void)argument;
	CHECK(status == ATOM_OK && version == 1 && loop_is_control());
	CHECK(state->put(configured_host(one), "key", &value, 0, lost, NULL,
			 NULL) == ATOM_OK);
}

static void state_is_kept_under_the_component_and_its_agent(void)
{
	const struct atom_state *state = service(ATOM_STATE);
	char longest[ATOM_STATE_KEY_MAX + 2];

	memset(longest, 'k', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CHECK(state->get(configured_host(one), "", got_nothing, NULL, NULL) ==
	      ATOM_EINVAL);
	CHECK(state->get(configured_host(one), longest, got_nothing, NULL,
			 NULL) == ATOM_EINVAL);
	CHECK(state->put(configured_host(one), "key", &value, 0, written, NULL,
			 NULL) == ATOM_OK);
}

static const struct tap_test steps[] = {
	TAP_TEST(metrics_are_declared_and_counted),
	TAP_TEST(a_slow_call_is_counted_with_its_name),
	TAP_TEST(a_flood_of_lines_is_cut),
	TAP_TEST(secrets_are_hidden_and_randomness_is_random),
	TAP_TEST(only_sound_events_reach_the_monitors),
	TAP_TEST(a_scan_runs_beside_the_control_thread_one_at_a_time),
	TAP_TEST(state_is_kept_under_the_component_and_its_agent),
};

int main(void)
{
	real_ns = os.monotonic_ns;
	os.monotonic_ns = clock_ns;
	return run_steps(steps, (int)(sizeof(steps) / sizeof(steps[0])));
}
