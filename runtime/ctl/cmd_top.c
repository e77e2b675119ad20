/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents at work, once a second.
 *
 * Rates are differences of two readings over the time between them, so the
 * first picture has none; without a terminal the two readings make one
 * snapshot.
 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REFRESH_MS 1000
#define HEAD_LINES 4

/* One reading of the daemon, and what was counted since the one before. */
struct reading {
	json_t *agents; /* array */
	json_t *status;
	json_t *calls; /* {name: calls_total}, of the agents */
	int64_t time_ms;
};

struct row {
	const json_t *agent;
	double rate; /* calls a second; negative: not known yet */
};

struct top {
	struct ctl *ctl;
	struct reading now;
	struct reading before;
	int interrupts;
	bool quit;
};

static int64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void reading_fini(struct reading *reading)
{
	json_decref(reading->agents);
	json_decref(reading->status);
	json_decref(reading->calls);
	*reading = (struct reading){ 0 };
}

static int take_reading(struct top *top)
{
	struct reading next = { .calls = json_object() };
	size_t index;
	json_t *agent;
	int code = next.calls ? CTL_DONE : ctl_fail_memory(top->ctl);
	if (code == CTL_DONE)
		code = ctl_get_list(top->ctl, "/admin/v1/agents", "agents",
				    &next.agents);
	next.time_ms = monotonic_ms();
	if (code == CTL_DONE)
		code = ctl_get(top->ctl, "/admin/v1/status", &next.status);
	if (code != CTL_DONE) {
		reading_fini(&next);
		return code;
	}
	json_array_foreach(next.agents, index, agent)
	{
		const char *name = member_string(agent, "name");
		json_t *calls = json_object_get(agent, "calls_total");
		if (name && calls)
			json_object_set(next.calls, name, calls);
	}
	reading_fini(&top->before);
	top->before = top->now;
	top->now = next;
	return CTL_DONE;
}

static double rate_of(const struct top *top, const json_t *agent)
{
	const char *name = member_string(agent, "name");
	int64_t elapsed_ms = top->now.time_ms - top->before.time_ms;
	if (!top->before.calls || elapsed_ms <= 0 || !name ||
	    !json_object_get(top->before.calls, name))
		return -1;
	double calls = member_real(agent, "calls_total", 0) -
		       member_real(top->before.calls, name, 0);
	/* Counters begin anew when the daemon does. */
	return calls < 0 ? -1 : calls * 1000 / (double)elapsed_ms;
}

static int busier(const void *left, const void *right)
{
	const struct row *a = left;
	const struct row *b = right;
	if (a->rate != b->rate)
		return a->rate < b->rate ? 1 : -1;
	const char *a_name = member_string(a->agent, "name");
	const char *b_name = member_string(b->agent, "name");
	return strcmp(a_name ? a_name : "", b_name ? b_name : "");
}

/* The rows, busiest first; the caller frees. NULL: no memory. */
static struct row *rows_of(const struct top *top, size_t *count_r)
{
	size_t count = json_array_size(top->now.agents);
	struct row *rows = calloc(count ? count : 1, sizeof(*rows));
	for (size_t i = 0; rows && i < count; i++) {
		rows[i].agent = json_array_get(top->now.agents, i);
		rows[i].rate = rate_of(top, rows[i].agent);
	}
	if (rows)
		qsort(rows, count, sizeof(*rows), busier);
	*count_r = count;
	return rows;
}

static void add_duration(struct table *table, const json_t *agent,
			 const char *member)
{
	char text[AGE_TEXT_MAX];
	double duration_ms = member_real(agent, member, -1);
	if (duration_ms >= 0)
		age_format_duration(text, duration_ms);
	table_add(table, duration_ms >= 0 ? text : NULL);
}

static void add_row(struct table *table, const struct row *row)
{
	const json_t *agent = row->agent;
	const json_t *instances = json_object_get(agent, "instances");
	long long errors = member_integer(agent, "errors_total");
	long long queued = member_integer(agent, "queued");
	long long ready = member_integer(instances, "ready");
	long long desired = member_integer(instances, "desired");
	char text[64];
	table_add(table, member_string(agent, "name"));
	snprintf(text, sizeof(text), "%.1f", row->rate);
	table_add(table, row->rate >= 0 ? text : NULL);
	table_add_number(table, member_integer(agent, "in_flight"));
	snprintf(text, sizeof(text), "%lld", queued);
	table_add_coloured(table, text, queued ? TABLE_YELLOW : TABLE_PLAIN);
	add_duration(table, agent, "p50_ms");
	add_duration(table, agent, "p95_ms");
	snprintf(text, sizeof(text), "%lld", errors);
	table_add_coloured(table, text, errors ? TABLE_RED : TABLE_PLAIN);
	snprintf(text, sizeof(text), "%lld/%lld", ready, desired);
	table_add_coloured(table, text,
			   ready < desired ? TABLE_YELLOW : TABLE_PLAIN);
}

static void print_sums(const struct top *top, const struct row *rows,
		       size_t count, const char *line_end)
{
	const json_t *configuration =
		json_object_get(top->now.status, "configuration");
	const char *status = member_string(top->now.status, "system_status");
	const char *environment = member_string(configuration, "environment");
	double rate = 0;
	long long in_flight = 0;
	long long queued = 0;
	long long ready = 0;
	for (size_t i = 0; i < count; i++) {
		const json_t *agent = rows[i].agent;
		rate += rows[i].rate > 0 ? rows[i].rate : 0;
		in_flight += member_integer(agent, "in_flight");
		queued += member_integer(agent, "queued");
		ready += member_integer(json_object_get(agent, "instances"),
					"ready");
	}
	struct text line = TEXT_INIT(4096);
	text_append_format(
		&line, "atomd %s, %s, %zu agent%s", status ? status : "?",
		environment ? environment : "?", count, count == 1 ? "" : "s");
	terminal_write(stdout, text_string(&line), line.length, false);
	text_fini(&line);
	printf("%s%.1f calls/s, %lld in flight, %lld queued, %lld of %lld "
	       "instances%s%s",
	       line_end, rate, in_flight, queued, ready,
	       member_integer(configuration, "max_agents"), line_end, line_end);
}

/* `columns`, `lines`: the room there is, 0 for any. */
static int print_picture(const struct top *top, int columns, int lines,
			 const char *line_end)
{
	static const char *const titles[] = {
		"AGENT", ">CALLS/S", ">IN FLIGHT", ">QUEUED", ">P50",
		">P95",	 ">ERRORS",  ">INSTANCES", NULL
	};
	struct table table;
	size_t count;
	struct row *rows = rows_of(top, &count);
	if (!rows)
		return ctl_fail_memory(top->ctl);
	size_t shown = count;
	if (lines > HEAD_LINES + 1 && shown > (size_t)(lines - HEAD_LINES - 1))
		shown = (size_t)(lines - HEAD_LINES - 1);
	print_sums(top, rows, count, line_end);
	table_init(&table, titles);
	for (size_t i = 0; i < shown; i++)
		add_row(&table, &rows[i]);
	bool whole = table_print(&table, stdout, top->ctl->terminal.colour,
				 columns, 0, line_end);
	table_discard(&table);
	free(rows);
	return whole ? CTL_DONE : ctl_fail_memory(top->ctl);
}

/* Waits a refresh's time for a key, a signal or a new size. */
static void wait_for_person(struct top *top, int timeout_ms)
{
	struct pollfd waits[] = {
		{ .fd = top->interrupts, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	bool person = top->ctl->terminal.keys_on;
	if (poll(waits, person ? 2 : 1, timeout_ms) <= 0)
		return;
	if (waits[0].revents) {
		int number = interrupt_take(top->interrupts);
		top->quit |= number == SIGINT || number == SIGTERM;
	}
	if (person && waits[1].revents) {
		char key;
		ssize_t length = read(STDIN_FILENO, &key, 1);
		top->quit |= length <= 0 || key == 'q' || key == 'Q';
	}
}

static int snapshot(struct top *top)
{
	int code = take_reading(top);
	if (code == CTL_DONE)
		wait_for_person(top, REFRESH_MS);
	if (code == CTL_DONE && !top->quit)
		code = take_reading(top);
	if (code == CTL_DONE && ctl_has(top->ctl, OPTION_JSON))
		return ctl_print_json(top->ctl, top->now.agents);
	return code == CTL_DONE ? print_picture(top, 0, 0, "\n") : code;
}

static int watch(struct top *top)
{
	int code = CTL_DONE;
	client_set_wakes(top->ctl->client, top->interrupts, STDIN_FILENO);
	int64_t next_ms = monotonic_ms();
	while (code == CTL_DONE && !top->quit) {
		if (monotonic_ms() >= next_ms) {
			code = take_reading(top);
			next_ms = monotonic_ms() + REFRESH_MS;
		}
		/* A key pressed during the call ended the call. */
		struct pollfd key = { .fd = STDIN_FILENO, .events = POLLIN };
		struct pollfd interrupt = { .fd = top->interrupts,
					    .events = POLLIN };
		if (code != CTL_DONE &&
		    (poll(&key, 1, 0) > 0 || poll(&interrupt, 1, 0) > 0))
			code = CTL_DONE;
		if (code == CTL_DONE && top->now.agents) {
			int columns;
			int lines;
			terminal_size(&columns, &lines);
			fputs("\033[H", stdout);
			code = print_picture(top, columns, lines, "\033[K\n");
			fputs("\033[J", stdout);
			fflush(stdout);
		}
		int64_t left_ms = next_ms - monotonic_ms();
		if (code == CTL_DONE)
			wait_for_person(top, left_ms > 0 ? (int)left_ms : 0);
	}
	client_set_wakes(top->ctl->client, -1, -1);
	return code;
}

int cmd_top(struct ctl *ctl)
{
	struct top top = { .ctl = ctl };
	top.interrupts = interrupt_open(true);
	if (top.interrupts < 0)
		return ctl_fail(ctl, CTL_FAILED, "signalfd: %s",
				strerror(errno));
	int code;
	if (ctl_has(ctl, OPTION_JSON) || !terminal_keys_on(&ctl->terminal)) {
		code = snapshot(&top);
	} else {
		code = watch(&top);
		terminal_keys_off(&ctl->terminal);
	}
	reading_fini(&top.now);
	reading_fini(&top.before);
	close(top.interrupts);
	return code;
}
