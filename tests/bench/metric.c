/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the metric registry costs: the time of an update of a counter, a gauge
 * and a histogram, without and with the call that it is of, by one serving
 * loop, by two at once, and by a thread that is no loop; and the CPU time and
 * the bytes of a scrape of 5,000 series.
 *
 *	metric [--rounds N] [--updates N]
 *
 * Each figure is the median of the rounds.  The values that a histogram gets
 * are spread over all its buckets and come in no order, so that no branch is
 * foretold.  Exit status 1 when a figure is above its budget by the least of
 * its rounds, or when the sums are not what was added.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/metric.h"
#include "rounds.h"

#define VALUES	   65536 /* a power of two; more than a processor learns */
#define AGENTS	   500
#define UPDATE_NS  30.0
#define SCRAPE_MS  20.0
#define SCRAPE_MAX ((size_t)1024 * 1024)
#define LOOPS	   2
#define NO_LOOP	   LOOPS

static int rounds = 9;
static long updates = 2000000;
static double values[VALUES];
static metric_id counter, gauge, histogram;
static int exit_status;

static void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "metric: %s: %s\n", what, why);
	exit(1);
}

/* --- an update ----------------------------------------------------------- */

enum update {
	COUNTER,
	GAUGE,
	HISTOGRAM,
	CALL, /* an observation of a call, which may become an exemplar */
	UPDATES
};

struct worker {
	pthread_t thread;
	unsigned int index; /* of a loop, or NO_LOOP */
	enum update update;
	double ns;
};

static void *run(void *argument)
{
	static const struct metric_call call = {
		.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
		.request_id = "0190a6c8-1d2e-7f00-8000-00000000002a",
	};
	struct worker *worker = argument;
	double began;

	if (worker->index != NO_LOOP)
		metric_attach(worker->index);
	began = cpu_ns();
	switch (worker->update) {
	case COUNTER:
		for (long i = 0; i < updates; i++)
			metric_inc(counter);
		break;
	case GAUGE:
		for (long i = 0; i < updates; i++)
			metric_set(gauge, values[i & (VALUES - 1)]);
		break;
	case HISTOGRAM:
		for (long i = 0; i < updates; i++)
			metric_observe(histogram, values[i & (VALUES - 1)]);
		break;
	case CALL:
		for (long i = 0; i < updates; i++)
			metric_observe_call(histogram, values[i & (VALUES - 1)],
					    &call);
		break;
	case UPDATES:
		break;
	}
	worker->ns = (cpu_ns() - began) / (double)updates;
	return NULL;
}

/* By `count` threads at once: CPU time of one update by the slowest. */
static double updating(enum update update, unsigned int first,
		       unsigned int count)
{
	struct worker workers[LOOPS] = { 0 };
	double ns = 0;

	for (unsigned int i = 0; i < count; i++) {
		workers[i].index = first + i;
		workers[i].update = update;
		if (pthread_create(&workers[i].thread, NULL, run,
				   &workers[i]) != 0)
			die("a thread", "cannot be made");
	}
	for (unsigned int i = 0; i < count; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		if (workers[i].ns > ns)
			ns = workers[i].ns;
	}
	return ns;
}

static double median_of(enum update update, unsigned int first,
			unsigned int count)
{
	double figures[ROUNDS_MAX] = { 0 }, middle;

	for (int i = 0; i < rounds; i++)
		figures[i] = updating(update, first, count);
	middle = median(figures, rounds);
	if (figures[0] > UPDATE_NS)
		exit_status = 1;
	return middle;
}

static void measure_updates(void)
{
	static const char *const names[UPDATES] = { "counter", "gauge",
						    "histogram", "call" };

	for (enum update update = COUNTER; update < UPDATES; update++) {
		const double one = median_of(update, 0, 1);
		const double two = median_of(update, 0, LOOPS);
		const double other = median_of(update, NO_LOOP, 1);

		printf("metric: an update of a %-9s %5.1f ns on a loop, %5.1f "
		       "with two at once, %5.1f on another thread (budget "
		       "%.0f)\n",
		       names[update], one, two, other, UPDATE_NS);
	}

	const double added = (double)updates * rounds * 4;

	if (metric_value(counter) < added || metric_value(counter) > added ||
	    metric_count(histogram) != 2 * (uint64_t)added) {
		printf("metric: the sums are not what was added\n");
		exit_status = 1;
	}
}

/* --- a scrape ------------------------------------------------------------ */

/* Lines of the kind that the daemon has: AGENTS agents, each with six series
 * that are one line and one histogram of four. */
static void make_series(void)
{
	static const char *const labels[] = { "agent", "revision", NULL };
	static const double bounds[] = { 1 };
	struct atom_error err = ATOM_ERROR_INIT;
	char name[64], agent[32];

	for (int kind = 0; kind < 7; kind++) {
		struct atom_metric_spec spec = {
			.struct_size = sizeof(spec),
			.type = kind == 6	? ATOM_METRIC_HISTOGRAM
				: kind % 2 != 0 ? ATOM_METRIC_GAUGE
						: ATOM_METRIC_COUNTER,
			.name = name,
			.help = "One of many.",
			.label_names = labels,
			.bounds = bounds,
			.bound_count = 1,
		};
		uint32_t family;

		(void)snprintf(name, sizeof(name), "atomd_bench_%d%s", kind,
			       spec.type == ATOM_METRIC_COUNTER ? "_total"
								: "_seconds");
		if (metric_declare(&spec, &family, &err) != ATOM_OK)
			die(name, err.message);
		for (int i = 0; i < AGENTS; i++) {
			const char *const of[] = { agent, "3" };
			metric_id id;

			(void)snprintf(agent, sizeof(agent), "agent-%03d", i);
			id = metric_series(family, of);
			if (spec.type == ATOM_METRIC_HISTOGRAM)
				metric_observe(id, values[i]);
			else
				metric_add(id, spec.type == ATOM_METRIC_GAUGE
						       ? values[i]
						       : i * 1000.0);
		}
	}
}

static size_t lines_of(const struct buffer *text)
{
	size_t count = 0;

	for (size_t i = 0; i < text->length; i++)
		count += text->bytes[i] == '\n' &&
			 (i + 1 == text->length || text->bytes[i + 1] != '#');
	return count;
}

static void measure_scrapes(void)
{
	static const char *const names[] = { "text", "OpenMetrics" };
	double figures[ROUNDS_MAX] = { 0 };

	for (int format = METRIC_TEXT; format <= METRIC_OPENMETRICS; format++) {
		struct buffer text = BUFFER_INIT((size_t)64 * 1024 * 1024);
		double ms;

		for (int i = 0; i < rounds; i++) {
			double began = cpu_ns();

			buffer_fini(&text);
			text = (struct buffer)BUFFER_INIT((size_t)64 * 1024 *
							  1024);
			if (metric_render(&text, (enum metric_format)format) !=
			    ATOM_OK)
				die("a scrape", "failed");
			figures[i] = (cpu_ns() - began) / 1e6;
		}
		ms = median(figures, rounds);
		printf("metric: a scrape of %zu series as %s: %.1f ms CPU "
		       "(budget %.0f), %zu KiB (budget %zu)\n",
		       lines_of(&text), names[format], ms, SCRAPE_MS,
		       text.length / 1024, SCRAPE_MAX / 1024);
		if (figures[0] > SCRAPE_MS || text.length > SCRAPE_MAX ||
		    lines_of(&text) < 5000)
			exit_status = 1;
		buffer_fini(&text);
	}
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (value != NULL && strcmp(argv[i], "--rounds") == 0)
			rounds = (int)strtol(value, NULL, 10);
		else if (value != NULL && strcmp(argv[i], "--updates") == 0)
			updates = strtol(value, NULL, 10);
		else
			die(argv[i], "expected --rounds N or --updates N");
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || updates < 1)
		die("--rounds, --updates", "out of range");
}

int main(int argc, char **argv)
{
	uint32_t state = 1;

	read_arguments(argc, argv);
	/* 0.1 ms to 1,000 s, as often in each decade; Numerical Recipes'
	 * linear congruence. */
	for (size_t i = 0; i < VALUES; i++) {
		double value = 1e-4;

		state = state * 1664525u + 1013904223u;
		for (uint32_t power = (state >> 16) % 7; power > 0; power--)
			value *= 10;
		values[i] = value * (1 + (double)(state >> 20 & 511) / 57);
	}
	/* Two loops, control, and the shard that all others share. */
	if (metric_init(LOOPS) != ATOM_OK)
		die("the registry", "no memory");
	counter = metric_single(ATOM_METRIC_COUNTER, "bench_total", "Counted.");
	gauge = metric_single(ATOM_METRIC_GAUGE, "bench_value", "Set.");
	histogram = metric_single(ATOM_METRIC_HISTOGRAM, "bench_seconds",
				  "Observed.");
	measure_updates();
	make_series();
	measure_scrapes();
	metric_fini();
	return exit_status;
}
