/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of every measurement: asks a gateway, checks each byte of each
 * answer, and says as one JSON object what it saw and what a process (the
 * gateway's) used meanwhile.  Exit status 0 only when every answer was
 * right.
 *
 *     load --port P [--pid PID] [--connections 64] [--seconds 2] ...
 *     load --port P --pid PID --hold --connections 4000 --events 8 ...
 *
 * Plain: warms up, then measures for --seconds.  --hold opens one stream a
 * connection, and measures from the moment when all are open.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "callers.h"
#include "process.h"

#define SECOND 1000000000u
#define PATH   "/v1/chat/completions"
/* What a gateway may take for answers that are under way at the end. */
#define GRACE_NS ((uint64_t)10 * SECOND)

struct load {
	struct callers_plan plan;
	double warm_s;
	double seconds;
	bool hold;
	pid_t pid;
};

struct measured {
	double seconds;
	uint64_t unfinished;
	struct process_usage before; /* at the start of the window */
	struct process_usage after;
	struct process_usage idle; /* hold: without a stream */
	struct process_usage end;  /* hold: after the last one */
	bool all_open;		   /* hold: for the whole window */
	uint32_t open;		   /* hold: so many at its end */
};

/* --- command line --------------------------------------------------------- */

enum {
	OPTION_PORT = 256,
	OPTION_PATH,
	OPTION_KEY,
	OPTION_CONNECTIONS,
	OPTION_SECONDS,
	OPTION_WARM,
	OPTION_REQUEST,
	OPTION_SIZE,
	OPTION_EVENTS,
	OPTION_INTERVAL,
	OPTION_RATE,
	OPTION_PID,
	OPTION_HOLD,
	OPTION_ECHO,
};

static const struct option options[] = {
	{ "port", required_argument, NULL, OPTION_PORT },
	{ "path", required_argument, NULL, OPTION_PATH },
	{ "key", required_argument, NULL, OPTION_KEY },
	{ "connections", required_argument, NULL, OPTION_CONNECTIONS },
	{ "seconds", required_argument, NULL, OPTION_SECONDS },
	{ "warm", required_argument, NULL, OPTION_WARM },
	{ "request-bytes", required_argument, NULL, OPTION_REQUEST },
	{ "answer-bytes", required_argument, NULL, OPTION_SIZE },
	{ "events", required_argument, NULL, OPTION_EVENTS },
	{ "interval-us", required_argument, NULL, OPTION_INTERVAL },
	{ "rate", required_argument, NULL, OPTION_RATE },
	{ "pid", required_argument, NULL, OPTION_PID },
	{ "hold", no_argument, NULL, OPTION_HOLD },
	{ "echo", no_argument, NULL, OPTION_ECHO },
	{ NULL, 0, NULL, 0 },
};

static double number(const char *name, const char *text, double least,
		     double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= least && value <= most)) {
		fprintf(stderr, "load: --%s takes %g to %g, not `%s'\n", name,
			least, most, text);
		exit(2);
	}
	return value;
}

static void read_option(struct load *load, int option, const char *name,
			const char *value)
{
	struct callers_plan *plan = &load->plan;

	switch (option) {
	case OPTION_PORT:
		plan->port = (uint16_t)number(name, value, 1, 65535);
		break;
	case OPTION_PATH:
		plan->path = value;
		break;
	case OPTION_KEY:
		plan->key = value;
		break;
	case OPTION_CONNECTIONS:
		plan->connections = (uint32_t)number(name, value, 1, 100000);
		break;
	case OPTION_SECONDS:
		load->seconds = number(name, value, 0.05, 3600);
		break;
	case OPTION_WARM:
		load->warm_s = number(name, value, 0, 60);
		break;
	case OPTION_REQUEST:
		plan->request_size = (size_t)number(name, value, 256, 16e6);
		break;
	case OPTION_SIZE:
		plan->shape.size = (uint32_t)number(name, value, ANSWER_STAMP,
						    ANSWER_SIZE_MAX);
		break;
	case OPTION_EVENTS:
		plan->shape.events = (uint32_t)number(name, value, 1, 1e6);
		break;
	case OPTION_INTERVAL:
		plan->shape.interval_us = (uint32_t)number(name, value, 0, 6e7);
		break;
	case OPTION_RATE:
		plan->rate = number(name, value, 0.1, 1e7);
		break;
	case OPTION_PID:
		load->pid = (pid_t)number(name, value, 1, 1e9);
		break;
	case OPTION_HOLD:
		load->hold = plan->once = true;
		break;
	case OPTION_ECHO:
		plan->kind = CHECK_ECHO;
		break;
	default:
		exit(2);
	}
}

/* --- measuring ------------------------------------------------------------ */

static uint64_t after(double seconds)
{
	return clock_ns() + (uint64_t)(seconds * SECOND);
}

static bool none_busy(const struct callers *callers)
{
	return callers_busy(callers) == 0;
}

static uint32_t streams_wanted;

static bool all_open(const struct callers *callers)
{
	return callers_open(callers) >= streams_wanted ||
	       callers_ended(callers) > 0;
}

static bool one_ended(const struct callers *callers)
{
	return callers_ended(callers) > 0;
}

/* Counts what is done within --seconds, the gateway's share included. */
static void measure_calls(struct callers *callers, const struct load *load,
			  struct measured *m, struct callers_tally *tally_r,
			  struct check_rules *rules_r)
{
	uint64_t began;

	callers_turn(callers, after(load->warm_s), NULL);
	callers_reset(callers);
	if (load->pid > 0)
		(void)process_cpu(load->pid, &m->before);
	began = clock_ns();
	callers_turn(callers, after(load->seconds), NULL);
	m->seconds = (double)(clock_ns() - began) / SECOND;
	if (load->pid > 0)
		(void)process_usage(load->pid, &m->after);
	*tally_r = *callers_tally(callers);
	*rules_r = *callers_rules(callers);
	callers_stop(callers);
	callers_turn(callers, clock_ns() + GRACE_NS, none_busy);
}

/* Opens the streams, watches them, and reads all of them to their end. */
static void measure_streams(struct callers *callers, const struct load *load,
			    struct measured *m, struct callers_tally *tally_r,
			    struct check_rules *rules_r)
{
	const struct shape *shape = &load->plan.shape;
	uint64_t stream_ns =
		(uint64_t)shape->events * shape->interval_us * 1000;
	uint64_t began, events;

	streams_wanted = load->plan.connections;
	if (load->pid > 0)
		(void)process_usage(load->pid, &m->idle);
	callers_turn(callers, clock_ns() + stream_ns + GRACE_NS, all_open);
	/* Too late for the rest, where the first has ended already. */
	callers_stop(callers);
	events = callers_rules(callers)->events;
	if (load->pid > 0)
		(void)process_cpu(load->pid, &m->before);
	began = clock_ns();
	callers_turn(callers, after(load->seconds), one_ended);
	m->seconds = (double)(clock_ns() - began) / SECOND;
	m->open = callers_open(callers) - callers_ended(callers);
	m->all_open = m->open >= streams_wanted;
	if (load->pid > 0)
		(void)process_usage(load->pid, &m->after);
	*rules_r = *callers_rules(callers);
	rules_r->events -= events;
	callers_turn(callers, clock_ns() + stream_ns + GRACE_NS, none_busy);
	if (load->pid > 0)
		(void)process_usage(load->pid, &m->end);
	*tally_r = *callers_tally(callers);
}

/* --- the report ----------------------------------------------------------- */

static void print_times(const char *name, const struct histogram *h)
{
	printf(",\"%s\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
	       "\"p99_9\":%.1f,\"max\":%.1f}",
	       name, (double)histogram_at(h, 0.5) / 1e3,
	       (double)histogram_at(h, 0.9) / 1e3,
	       (double)histogram_at(h, 0.99) / 1e3,
	       (double)histogram_at(h, 0.999) / 1e3, (double)h->largest / 1e3);
}

static double each(uint64_t sum, uint64_t count, double unit)
{
	return count > 0 ? (double)sum / (double)count / unit : 0.0;
}

static void print_process(const struct load *load, const struct measured *m,
			  uint64_t calls, uint64_t events)
{
	uint64_t cpu = m->after.cpu_ns - m->before.cpu_ns;
	uint64_t ticks = m->after.ticks_ns - m->before.ticks_ns;

	printf(",\"process\":{\"cpu_us_per_call\":%.3f,"
	       "\"cpu_us_per_event\":%.3f,\"cpu_us_per_call_by_ticks\":%.3f,"
	       "\"cores\":%.3f,\"processes\":%u,\"threads\":%u,"
	       "\"rss_bytes\":%llu,\"pss_bytes\":%llu}",
	       each(cpu, calls, 1e3), each(cpu, events, 1e3),
	       each(ticks, calls, 1e3),
	       (double)cpu / SECOND / (m->seconds > 0 ? m->seconds : 1),
	       m->after.processes, m->after.threads,
	       (unsigned long long)m->after.rss_bytes,
	       (unsigned long long)m->after.pss_bytes);
	if (!load->hold)
		return;
	printf(",\"hold\":{\"streams\":%u,\"open\":%u,\"all_open\":%s,"
	       "\"rss_idle_bytes\":%llu,\"rss_held_bytes\":%llu,"
	       "\"rss_after_bytes\":%llu,\"rss_bytes_per_stream\":%.1f}",
	       load->plan.connections, m->open, m->all_open ? "true" : "false",
	       (unsigned long long)m->idle.rss_bytes,
	       (unsigned long long)m->after.rss_bytes,
	       (unsigned long long)m->end.rss_bytes,
	       ((double)m->after.rss_bytes - (double)m->idle.rss_bytes) /
		       (m->open > 0 ? m->open : 1));
}

static void print_text(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++)
		if (*text != '"' && *text != '\\' && (*text & 0xe0) != 0)
			putchar(*text);
	putchar('"');
}

static void print_report(const struct load *load, const struct measured *m,
			 const struct callers *callers,
			 const struct callers_tally *tally,
			 const struct check_rules *rules)
{
	const struct callers_tally *all = callers_tally(callers);

	printf("{\"calls\":%llu,\"wrong\":%llu,\"refused\":%llu,"
	       "\"broken\":%llu,\"unfinished\":%llu,\"reconnects\":%llu,"
	       "\"complaint\":",
	       (unsigned long long)tally->calls, (unsigned long long)all->wrong,
	       (unsigned long long)all->refused,
	       (unsigned long long)all->broken,
	       (unsigned long long)m->unfinished,
	       (unsigned long long)tally->reconnects);
	print_text(callers_complaint(callers));
	printf(",\"seconds\":%.3f,\"calls_per_second\":%.1f,\"events\":%llu,"
	       "\"events_per_second\":%.1f",
	       m->seconds, (double)tally->calls / m->seconds,
	       (unsigned long long)rules->events,
	       (double)rules->events / m->seconds);
	print_times("latency_us", &tally->latency);
	if (load->plan.shape.events > 0) {
		print_times("first_event_us", &tally->first);
		print_times("event_delay_us", &rules->delays);
	}
	if (load->pid > 0)
		print_process(load, m, tally->calls, rules->events);
	printf("}\n");
}

int main(int argc, char **argv)
{
	static struct callers_tally tally;
	static struct check_rules rules;
	struct load load = {
		.plan = { .path = PATH,
			  .shape = { .size = 400, .interval_us = 0 },
			  .request_size = 1024,
			  .connections = 64 },
		.warm_s = 0.2,
		.seconds = 2.0,
	};
	struct measured m = { .seconds = 1.0 };
	struct callers *callers;
	struct rlimit files;
	int option, index = 0;
	bool right;

	while ((option = getopt_long(argc, argv, "", options, &index)) != -1)
		read_option(&load, option, options[index].name, optarg);
	if (load.plan.port == 0 || optind != argc) {
		fprintf(stderr, "load: --port is needed, and no word\n");
		return 2;
	}
	if (load.hold && load.plan.shape.events == 0) {
		fprintf(stderr, "load: --hold needs --events\n");
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	callers = callers_new(&load.plan);
	if (callers == NULL)
		return 1;
	if (load.hold)
		measure_streams(callers, &load, &m, &tally, &rules);
	else
		measure_calls(callers, &load, &m, &tally, &rules);
	m.unfinished = callers_busy(callers);
	print_report(&load, &m, callers, &tally, &rules);
	right = callers_errors(callers) == 0 && m.unfinished == 0 &&
		(tally.calls > 0 || rules.events > 0);
	callers_free(&callers);
	return right ? 0 : 1;
}
