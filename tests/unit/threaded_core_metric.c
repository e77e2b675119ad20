/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics updated by loops and other threads at once: the sums are exact, and
 * reading disturbs nobody.
 */
#include "core/metric.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/os.h"
#include "tap.h"

#define LOOPS	3
#define THREADS 3
#define UPDATES 50000

static metric_id counter, gauge, histogram, set_gauge;
static uint32_t churned;
static _Atomic unsigned int left;

static void update_all(void)
{
	for (int i = 0; i < UPDATES; i++) {
		metric_inc(counter);
		metric_add(gauge, i % 2 ? -1 : 2);
		metric_observe(histogram, (i % 10) * 0.1);
		metric_set(set_gauge, i);
	}
}

static void update_on_loop(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)message;
	update_all();
	if (atomic_fetch_sub(&left, 1) == 1)
		loops_stop();
}

static void *update_on_thread(void *argument)
{
	(void)argument;
	update_all();
	if (atomic_fetch_sub(&left, 1) == 1)
		loops_stop();
	return NULL;
}

/* Meanwhile: renders, and makes and removes series. */
static void *read_on_thread(void *argument)
{
	struct buffer text = BUFFER_INIT(1024 * 1024);
	const char *values[] = { "a" };
	double before = 0;

	(void)argument;
	while (atomic_load(&left)) {
		double now = metric_value(counter);

		CHECK(now >= before);
		before = now;
		buffer_clear(&text);
		CHECK(metric_render(&text, METRIC_TEXT) == ATOM_OK);
		metric_inc(metric_series(churned, values));
	}
	buffer_fini(&text);
	return NULL;
}

static void churn(struct loop *loop, struct message *message)
{
	const char *values[] = { "a" };

	metric_remove(churned, values);
	if (atomic_load(&left))
		loop_post(loop, message);
}

static void sums_over_all_threads_are_exact(void)
{
	static const char *const labels[] = { "name", NULL };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "test_churned_total",
		.help = "comes and goes",
		.label_names = labels,
	};
	const double total = (LOOPS + THREADS) * UPDATES;
	struct message messages[LOOPS + 1];
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t threads[THREADS + 1];

	CHECK(loops_init(LOOPS, &err) == ATOM_OK);
	CHECK(metric_init(LOOPS) == ATOM_OK);
	counter = metric_single(ATOM_METRIC_COUNTER, "test_total", "a counter");
	gauge = metric_single(ATOM_METRIC_GAUGE, "test_gauge", "added to");
	set_gauge = metric_single(ATOM_METRIC_GAUGE, "test_set", "set");
	histogram = metric_single(ATOM_METRIC_HISTOGRAM, "test_seconds",
				  "a histogram");
	CHECK(counter && gauge && set_gauge && histogram);
	CHECK(metric_declare(&spec, &churned, &err) == ATOM_OK);

	left = LOOPS + THREADS;
	CHECK(loops_start(&err) == ATOM_OK);
	for (unsigned int i = 0; i < LOOPS; i++) {
		messages[i].deliver = update_on_loop;
		loop_post(loops_get(i), &messages[i]);
	}
	messages[LOOPS].deliver = churn;
	loop_post(loop_control(), &messages[LOOPS]);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, update_on_thread,
				     NULL) == 0);
	CHECK(pthread_create(&threads[THREADS], NULL, read_on_thread, NULL) ==
	      0);
	loops_run_control();
	for (int i = 0; i <= THREADS; i++)
		pthread_join(threads[i], NULL);

	CHECK(metric_value(counter) == total);
	CHECK(metric_value(gauge) == total / 2);
	CHECK(metric_count(histogram) == (LOOPS + THREADS) * UPDATES);
	CHECK(metric_value(histogram) > total * 0.4499 &&
	      metric_value(histogram) < total * 0.4501);
	/* Only setters: whoever came last had the same last value. */
	CHECK(metric_value(set_gauge) >= 0 &&
	      metric_value(set_gauge) < UPDATES);
	loops_fini();
	metric_fini();
}

static void set_here(struct loop *loop, struct message *message)
{
	(void)message;
	/* Whatever other threads have added or set before. */
	metric_set(gauge, 10 + loop_index(loop));
	CHECK(metric_value(gauge) == 10 + loop_index(loop));
	metric_add(gauge, 1);
	CHECK(metric_value(gauge) == 11 + loop_index(loop));
	if (loop_is_control())
		loops_stop();
	else
		loop_post(loop_index(loop) + 1 < loops_serving()
				  ? loops_get(loop_index(loop) + 1)
				  : loop_control(),
			  message);
}

static void setting_a_gauge_beats_what_others_added(void)
{
	struct message message = { .deliver = set_here };
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(loops_init(LOOPS, &err) == ATOM_OK);
	CHECK(metric_init(LOOPS) == ATOM_OK);
	gauge = metric_single(ATOM_METRIC_GAUGE, "test_gauge", "both");
	CHECK(loops_start(&err) == ATOM_OK);
	loop_post(loops_get(0), &message);
	loops_run_control();
	CHECK(metric_value(gauge) == 11 + LOOPS);
	loops_fini();
	metric_fini();
}

/* --- exemplars ------------------------------------------------------------- */

#define CALLS 20000

static int64_t ticking_ms(void)
{
	static _Atomic int64_t now = 1700000000000;

	/* Every call may be an exemplar. */
	return atomic_fetch_add(&now, 1000);
}

static void *observe_calls(void *argument)
{
	const char letter = *(const char *)argument;
	char trace_id[33] = "", request_id[33] = "";
	const struct metric_call call = { trace_id, request_id };

	memset(trace_id, letter, 32);
	memset(request_id, letter, 32);
	for (int i = 0; i < CALLS; i++)
		metric_observe_call(histogram, letter, &call);
	atomic_fetch_sub(&left, 1);
	return NULL;
}

/* Trace, request and value are one call's. */
static void check_exemplar(const char *at)
{
	char letter, expected[160];

	at += strlen(" # {trace_id=\"");
	letter = *at;
	(void)snprintf(expected, sizeof(expected),
		       "%.*s\",request_id=\"%.*s\"} %d ", 32, at, 32, at,
		       letter);
	CHECK(letter >= 'a' && letter < 'a' + THREADS);
	CHECK(strspn(at, (const char[]){ letter, '\0' }) == 32);
	CHECK(strncmp(at, expected, strlen(expected)) == 0);
}

static void an_exemplar_is_of_one_call_whoever_writes(void)
{
	static char letters[THREADS];
	struct buffer text = BUFFER_INIT(1024 * 1024);
	int64_t (*const before)(void) = os.realtime_coarse_ms;
	pthread_t threads[THREADS];
	const char *at;
	bool last;

	CHECK(metric_init(LOOPS) == ATOM_OK);
	histogram = metric_single(ATOM_METRIC_HISTOGRAM, "test_seconds",
				  "a histogram");
	os.realtime_coarse_ms = ticking_ms;
	atomic_store(&left, THREADS);
	for (int i = 0; i < THREADS; i++) {
		letters[i] = (char)('a' + i);
		CHECK(pthread_create(&threads[i], NULL, observe_calls,
				     &letters[i]) == 0);
	}
	do {
		last = atomic_load(&left) == 0;
		buffer_clear(&text);
		CHECK(metric_render(&text, METRIC_OPENMETRICS) == ATOM_OK);
		at = strstr(text.bytes, " # {");
		if (at != NULL)
			check_exemplar(at);
	} while (!last);
	CHECK(at != NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(metric_count(histogram) == (uint64_t)THREADS * CALLS);
	os.realtime_coarse_ms = before;
	buffer_fini(&text);
	metric_fini();
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(sums_over_all_threads_are_exact),
		TAP_TEST(setting_a_gauge_beats_what_others_added),
		TAP_TEST(an_exemplar_is_of_one_call_whoever_writes),
	};

	log_set_descriptor(-1);
	return tap_main(tests, ARRAY_SIZE(tests));
}
