/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host offers to a component, on its real loops: the main thread is
 * control, one loop serves, and each step begins on the control loop.
 */
#include "one_record_store.h"
#include "tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <atomd/backend.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"
#include "plugin/registry.h"
#include "state/state.h"

/* --- a component without a plugin ----------------------------------------- */

struct sample_options {
	int64_t count;
};

static const struct atom_option sample_options[] = {
	ATOM_OPTION_INT(struct sample_options, count, "1", 0, 9,
			ATOM_RELOADABLE, "a number"),
};

static const struct atom_host *given_host;
static const struct sample_options *given_options;
static int destroyed;

static atom_status sample_create(const struct atom_host *host,
				 const void *options, void **self_r,
				 struct atom_error *err)
{
	const struct sample_options *wanted = options;

	if (wanted->count == 7)
		return atom_fail(err, ATOM_EIO, "seven is not to be had");
	given_host = host;
	given_options = wanted;
	*self_r = &destroyed;
	return ATOM_OK;
}

static void sample_destroy(void *self)
{
	CHECK(self == &destroyed);
	CHECK(loop_is_control());
	destroyed++;
}

static atom_status sample_reconfigure(void *self, const void *options,
				      struct atom_error *err)
{
	const struct sample_options *next = options;

	(void)self;
	if (next->count == 8)
		return atom_fail(err, ATOM_EINVAL, "eight is not to be had");
	/* The old struct may still be read. */
	CHECK(given_options->count < 8);
	given_options = options;
	return ATOM_OK;
}

static const struct atom_ops sample_ops = {
	.struct_size = sizeof(sample_ops),
	.create = sample_create,
	.destroy = sample_destroy,
	.reconfigure = sample_reconfigure,
};

static const struct atom_component sample_declared =
	ATOM_COMPONENT(ATOM_KIND_SCALING, "sample", "for tests", &sample_ops,
		       sample_options, struct sample_options);

static const struct component sample = {
	.declared = &sample_declared,
	.kind_word = "scaling",
	.name = "sample",
	.ops = &sample_ops,
};

static struct configured *configure(int64_t count, struct atom_error *err)
{
	struct configured_spec spec = { .component = &sample,
					.agent = "chat",
					.directory = "/etc/somewhere",
					.owner = &spec };
	struct buffer errors = BUFFER_INIT(4096);
	struct configured *configured = NULL;
	json_t *json = json_pack("{s:I}", "count", (json_int_t)count);
	struct setting *group = NULL;

	CHECK(setting_of_json(json, "options", &group, err) == ATOM_OK);
	json_decref(json);
	spec.group = group;
	(void)configured_new(&spec, &configured, &errors, err);
	setting_free(&group);
	buffer_fini(&errors);
	return configured;
}

/* --- steps ---------------------------------------------------------------- */

static struct configured *one; /* the component of the present step */
static atomic_int step;

static void next_step(void);

static const void *service(const char *id)
{
	const void *table = atom_service(configured_host(one), id);

	CHECK(table != NULL);
	return table;
}

static void a_component_knows_its_host(void)
{
	const struct atom_host *host = configured_host(one);

	CHECK(given_host == host && given_options->count == 1);
	CHECK(host->abi_major == ATOM_ABI_MAJOR);
	CHECK(strcmp(host->directory, "/etc/somewhere") == 0);
	CHECK(strcmp(host_component_name(host), "scaling/sample") == 0);
	CHECK(strcmp(host_agent(host), "chat") == 0);
	CHECK(host_configured(host) == one);
	CHECK(atom_service(host, "atom.telepathy/1") == NULL);
	next_step();
}

static void init_is_offered_less(void)
{
	struct configured *shell = NULL;

	CHECK(host_for_init("p", &shell, NULL) == ATOM_OK);
	CHECK(atom_service(&shell->host, ATOM_LOG) != NULL);
	CHECK(atom_service(&shell->host, ATOM_METRIC) != NULL);
	CHECK(atom_service(&shell->host, ATOM_TIMER) == NULL);
	CHECK(atom_service(&shell->host, ATOM_STATE) == NULL);
	configured_shell_free(&shell);
	next_step();
}

static void a_failed_create_leaves_nothing(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(configure(7, &err) == NULL);
	CHECK(strcmp(err.message, "scaling/sample: seven is not to be had") ==
	      0);
	next_step();
}

static atom_status update(int64_t count, struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT(4096);
	json_t *json = json_pack("{s:I}", "count", (json_int_t)count);
	struct setting *group = NULL;
	atom_status status;

	CHECK(setting_of_json(json, "options", &group, err) == ATOM_OK);
	json_decref(json);
	status = configured_update(one, group, &errors, err);
	setting_free(&group);
	buffer_fini(&errors);
	return status;
}

static void new_options_reach_it_or_the_old_ones_stay(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const struct sample_options *old = given_options;

	CHECK(update(2, &err) == ATOM_OK);
	CHECK(given_options->count == 2 && old->count == 1);
	CHECK(update(8, &err) == ATOM_EINVAL);
	CHECK(given_options->count == 2);
	CHECK(update(99, &err) == ATOM_EINVAL);
	CHECK(given_options->count == 2);
	for (int i = 0; i < 600; i++)
		CHECK(update(i % 3, &err) == ATOM_OK);
	next_step();
}

/* --- timer */

static struct atom_timer_handle *timer;
static int fired;

static void on_timer(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	CHECK(argument == &fired && loop_is_control());
	if (++fired < 3)
		return;
	timers->free(&timer);
	CHECK(timer == NULL);
	next_step();
}

static void a_timer_repeats_until_it_is_freed_in_its_callback(void)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	CHECK(timers->create(configured_host(one), on_timer, &fired, &timer,
			     NULL) == ATOM_OK);
	timers->set(timer, 1, 1);
}

static atomic_bool is_gone;

static void on_left(void *argument)
{
	(void)argument;
	CHECK(!atomic_load(&is_gone));
}

static struct message on_loop;

static void leave_timer_on_loop(struct loop *loop, struct message *message)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	struct atom_timer_handle *left = NULL;

	(void)message;
	CHECK(!loop_is_control() && loop == loops_get(0));
	CHECK(timers->create(configured_host(one), on_left, NULL, &left,
			     NULL) == ATOM_OK);
	timers->set(left, 1, 1);
	next_step();
}

static void a_timer_is_left_on_a_loop(void)
{
	on_loop.deliver = leave_timer_on_loop;
	loop_post(loops_get(0), &on_loop);
}

static void after_a_while(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	(void)argument;
	timers->free(&timer);
	next_step();
}

/* Were it not, it would fire twenty times before the next step. */
static void what_is_left_behind_is_ended_with_its_component(void)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	int before = destroyed;

	configured_free(&one);
	atomic_store(&is_gone, true);
	CHECK(destroyed == before + 1);
	one = configure(1, NULL);
	CHECK(one != NULL);
	CHECK(timers->create(configured_host(one), after_a_while, NULL, &timer,
			     NULL) == ATOM_OK);
	timers->set(timer, 20, 0);
}

/* --- work */

static atomic_bool ran_on_pool;

static void work_run(void *argument)
{
	CHECK(argument == &ran_on_pool);
	CHECK(loop_current() == NULL);
	atomic_store(&ran_on_pool, true);
}

static int destroyed_before;

static void after_destroy(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)message;
	CHECK(destroyed == destroyed_before + 1);
	one = configure(1, NULL);
	CHECK(one != NULL);
	next_step();
}

static struct message later;

/* Once round: the message that destroys stands between. */
static void go_round(struct loop *loop, struct message *message)
{
	message->deliver = after_destroy;
	loop_post(loop, message);
}

static void work_done(void *argument, atom_status status)
{
	CHECK(argument == &ran_on_pool && status == ATOM_OK);
	CHECK(atomic_load(&ran_on_pool) && loop_is_control());
	/* Freed meanwhile, but this still runs in a living component. */
	CHECK(destroyed == destroyed_before);
	later.deliver = go_round;
	loop_post(loop_control(), &later);
}

static void work_holds_its_component(void)
{
	const struct atom_work *work = service(ATOM_WORK);

	destroyed_before = destroyed;
	CHECK(work->submit(configured_host(one), work_run, work_done,
			   &ran_on_pool, NULL) == ATOM_OK);
	configured_free(&one);
	CHECK(destroyed == destroyed_before);
}

/* --- threads */

static const struct atom_thread *threads;
static atomic_int seen_on_thread;

static void on_thread(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	struct atom_timer_handle *none = NULL;

	CHECK(argument == &seen_on_thread);
	CHECK(!threads->is_control(configured_host(one)));
	CHECK(!threads->is_loop(configured_host(one)));
#ifndef ATOMD_DEBUG_THREADS
	CHECK(timers->create(configured_host(one), on_left, NULL, &none,
			     NULL) == ATOM_ESTATE);
#endif
	(void)timers;
	CHECK(none == NULL);
	atomic_fetch_add(&seen_on_thread, 1);
}

static void threads_of_its_own_run_and_are_joined(void)
{
	struct atom_thread_handle *started[4] = { NULL };

	threads = service(ATOM_THREAD);
	CHECK(threads->is_control(configured_host(one)));
	for (int i = 0; i < 4; i++)
		CHECK(threads->create(configured_host(one),
				      "a-long-thread-name", on_thread,
				      &seen_on_thread, &started[i],
				      NULL) == ATOM_OK);
	for (int i = 0; i < 4; i++)
		threads->join(configured_host(one), &started[i]);
	CHECK(atomic_load(&seen_on_thread) == 4 && started[3] == NULL);
	next_step();
}

/* --- metric, log, secret, event */

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

static void a_slow_call_is_counted_with_its_name(void)
{
	struct buffer page = BUFFER_INIT(1024 * 1024);
	int64_t now = host_call_begin();

	host_call_end(now, &sample, "evaluate");
	host_call_end(now - 60 * 1000000, &sample, "evaluate");
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

/* --- a scan beside the control thread */

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

/* --- state */

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

/* --- the frame ------------------------------------------------------------ */

static const struct tap_test steps[] = {
	TAP_TEST(a_component_knows_its_host),
	TAP_TEST(init_is_offered_less),
	TAP_TEST(a_failed_create_leaves_nothing),
	TAP_TEST(new_options_reach_it_or_the_old_ones_stay),
	TAP_TEST(a_timer_repeats_until_it_is_freed_in_its_callback),
	TAP_TEST(a_timer_is_left_on_a_loop),
	TAP_TEST(what_is_left_behind_is_ended_with_its_component),
	TAP_TEST(work_holds_its_component),
	TAP_TEST(threads_of_its_own_run_and_are_joined),
	TAP_TEST(metrics_are_declared_and_counted),
	TAP_TEST(a_slow_call_is_counted_with_its_name),
	TAP_TEST(a_flood_of_lines_is_cut),
	TAP_TEST(secrets_are_hidden_and_randomness_is_random),
	TAP_TEST(only_sound_events_reach_the_monitors),
	TAP_TEST(a_scan_runs_beside_the_control_thread_one_at_a_time),
	TAP_TEST(state_is_kept_under_the_component_and_its_agent),
};

#define STEPS ((int)(sizeof(steps) / sizeof(steps[0])))

static struct message begin_step;

static void run_step(struct loop *loop, struct message *message)
{
	int at = atomic_load(&step);

	(void)loop;
	(void)message;
	if (at > 0)
		printf("ok %d - %s\n", at, steps[at - 1].name);
	(void)fflush(stdout);
	if (at == STEPS)
		loops_stop();
	else
		steps[at].run();
}

/* The present one is over, wherever it ended. */
static void next_step(void)
{
	atomic_fetch_add(&step, 1);
	begin_step.deliver = run_step;
	loop_post(loop_control(), &begin_step);
}

int main(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	(void)alarm(300);
	printf("1..%d\n", STEPS);
	log_set_descriptor(-1);
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(1) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	CHECK(host_register(ATOM_LOG, &err) == ATOM_EEXIST);
	one = configure(1, &err);
	CHECK(one != NULL);
	CHECK(state_attach(&one_record_store, NULL, &err) == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
	begin_step.deliver = run_step;
	loop_post(loop_control(), &begin_step);
	loops_run_control();
	CHECK(atomic_load(&step) == STEPS);
	CHECK(state_detach(&err) == ATOM_OK);
	configured_free(&one);
	loops_fini();
	metric_fini();
	log_fini();
	return 0;
}
