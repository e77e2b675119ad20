/* SPDX-License-Identifier: Apache-2.0 */

#include "monitor/history.h"

#include <math.h>
#include <string.h>

#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/os.h"
#include "monitor/history_priv.h"

/* The clock was set back by more than a leap second or an NTP step. */
#define SET_BACK_MS 60000
/* A timer may fire so much before the clock is there. */
#define EARLY_MS 50

struct history history = { .lock = PTHREAD_MUTEX_INITIALIZER,
			   .every_ms = HISTORY_RAW_MS,
			   .raw.fd = -1,
			   .rolled_files.fd = -1 };

static struct timer timer;
static struct work work;
static bool sampling;
static void (*before_sample)(void);
static void (*after_sample)(void);

/* --- one sample ---------------------------------------------------------- */

/* What was sampled in a future that is none any more is forgotten. */
static void forget_future(int64_t now_ms)
{
	log_line(ATOM_LOG_WARN, "history_clock",
		 "the clock was set back: the metric history of the time after "
		 "it is forgotten",
		 LOG_NUMBER("by_ms", history.last_ms - now_ms));
	pthread_mutex_lock(&history.lock);
	while (history.chunk_count > 0)
		chunk_free(&history.chunks[--history.chunk_count]);
	history.last_ms = 0;
	if (history.rolled_last_ms > now_ms)
		history.rolled_last_ms = 0;
	pthread_mutex_unlock(&history.lock);
	history.period = 0;
	segments_end(&history.raw);
	segments_end(&history.rolled_files);
	/* A write that failed then is tried again now. */
	history.retry_ms = now_ms;
}

/* A sample that is on time stands where it was due: who asks for what was at a
 * whole multiple finds it there, and not the one before. */
static int64_t time_of_sample(int64_t now_ms)
{
	const int64_t late_ms = (now_ms + EARLY_MS) % history.every_ms;

	return late_ms <= history.every_ms / 10 ? now_ms + EARLY_MS - late_ms
						: now_ms;
}

void history_sample(void)
{
	const int64_t now_ms = time_of_sample(os.realtime_ms());
	const int64_t began_ns = os.monotonic_ns();

	if (now_ms < history.last_ms - SET_BACK_MS)
		forget_future(now_ms);
	if (now_ms <= history.last_ms)
		return;
	if (history.place.folder) {
		segments_prune(&history.raw, &history.place, now_ms);
		segments_prune(&history.rolled_files, &history.place, now_ms);
	}
	history_take_row();
	history_keep_row(now_ms);
	history_roll_row(now_ms);
	history_write_row(now_ms);
	metric_observe(history.sample_seconds,
		       (double)(os.monotonic_ns() - began_ns) / 1e9);
}

/* --- every so often ------------------------------------------------------ */

static void set_timer(void)
{
	const int64_t now_ms = os.realtime_ms();

	(void)timer_set(loop_control(), &timer,
			history.every_ms - now_ms % history.every_ms);
}

static void on_pool(struct work *w)
{
	(void)w;
	history_sample();
}

static void on_sampled(struct work *w, atom_status status)
{
	(void)w;
	sampling = false;
	if (status == ATOM_OK && after_sample)
		after_sample();
}

static void on_timer(struct timer *t)
{
	(void)t;
	set_timer();
	/* A disk that hangs holds up the next sample, and nobody else. */
	if (sampling)
		return;
	if (before_sample)
		before_sample();
	work = (struct work){ .run = on_pool, .done = on_sampled };
	sampling = work_submit(loop_control(), &work) == ATOM_OK;
}

static void stop(void *argument)
{
	(void)argument;
	timer_stop(&timer);
}

atom_status history_run(int64_t every_ms, void (*measure)(void),
			void (*sampled)(void))
{
	history.every_ms = (int32_t)every_ms;
	before_sample = measure;
	after_sample = sampled;
	timer = (struct timer){ .fire = on_timer };
	set_timer();
	return loop_at_stop(loop_control(), stop, NULL);
}

/* --- life ---------------------------------------------------------------- */

static void use_memory_alone(const char *why)
{
	log_line(ATOM_LOG_WARN, "history_in_memory", why);
	health_report("history", HEALTH_DEGRADED, false, why);
	segments_close(&history.raw);
	segments_close(&history.rolled_files);
	history.place.folder = NULL;
}

atom_status history_init(const char *folder, struct keyring *keyring,
			 struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;

	history.dropped = metric_single(
		ATOM_METRIC_COUNTER, "atomd_history_samples_dropped_total",
		"Samples of series that the history had no room for.");
	history.failures = metric_single(
		ATOM_METRIC_COUNTER, "atomd_history_write_failures_total",
		"Samples of the history that could not be written to disk.");
	history.sample_seconds = metric_single(
		ATOM_METRIC_HISTOGRAM, "atomd_history_sample_seconds",
		"Time that one sample of all metrics took, its write "
		"included.");
	history.folder = mem_strdup(folder);
	if (!history.folder)
		return atom_fail(err, ATOM_ENOMEM, "history: no memory");
	history.place = (struct segment_place){ history.folder, keyring };
	health_report("history", HEALTH_OK, false, NULL);
	if (!keyring)
		use_memory_alone("the metric history is kept in memory alone: "
				 "there is no keyring to seal it with");
	else if (history_load(&why) != ATOM_OK)
		use_memory_alone(why.message);
	history.running = true;
	return ATOM_OK;
}

void history_fini(void)
{
	if (history.folder) {
		segments_close(&history.raw);
		segments_close(&history.rolled_files);
	}
	history_sources_free();
	table_fini(&history.by_key);
	for (uint32_t i = 0; i < history.series_count; i++)
		history_series_free(history.series[i]);
	while (history.chunk_count > 0)
		chunk_free(&history.chunks[--history.chunk_count]);
	mem_free(history.totals);
	mem_free(history.row_values);
	mem_free(history.rolled);
	mem_free(history.folder);
	history = (struct history){ .lock = PTHREAD_MUTEX_INITIALIZER,
				    .every_ms = HISTORY_RAW_MS,
				    .raw.fd = -1,
				    .rolled_files.fd = -1 };
	sampling = false;
}

/* --- what there is ------------------------------------------------------- */

void history_extent(struct atom_history_extent *extent_r)
{
	struct atom_history_extent e = {
		.struct_size = sizeof(e),
		.raw_every_ms = history.every_ms,
		.rolled_every_ms = HISTORY_ROLLED_MS,
	};
	size_t count = 0;
	int64_t *starts;

	pthread_mutex_lock(&history.lock);
	e.series_count = history.series_count;
	e.last_ms = history.last_ms;
	if (history.chunk_count > 0)
		e.raw_first_ms = history.chunks[0]->times_ms[0];
	pthread_mutex_unlock(&history.lock);
	starts = segments_starts(&history.raw, &count);
	if (starts && count > 0 &&
	    (e.raw_first_ms == 0 || starts[0] < e.raw_first_ms))
		e.raw_first_ms = starts[0];
	mem_free(starts);
	starts = segments_starts(&history.rolled_files, &count);
	if (starts && count > 0)
		e.rolled_first_ms = starts[0];
	mem_free(starts);
	*extent_r = e;
}

size_t history_memory_bytes(void)
{
	size_t bytes = 0;

	pthread_mutex_lock(&history.lock);
	for (size_t i = 0; i < history.chunk_count; i++)
		bytes += chunk_bytes(history.chunks[i]);
	pthread_mutex_unlock(&history.lock);
	return bytes;
}
