/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "replay.h"

#include "core/memory.h"
#include "rollout.h"
#include "simulate.h"
#include "table.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define INPUTS_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define WATCH_MS	 100

/* --- inputs -------------------------------------------------------------- */

static json_t *read_line(struct ctl *ctl, const char *path, const char *line,
			 size_t length, unsigned number)
{
	json_error_t error;
	json_t *row = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	json_t *input = json_object_get(row, "input");
	json_t *messages = json_object_get(row, "messages");
	json_t *made = NULL;
	if (!row)
		ctl_fail(ctl, CTL_FAILED, "%s:%u: %s", path, number,
			 error.text);
	else if (!input == !messages)
		ctl_fail(ctl, CTL_FAILED,
			 "%s:%u: expected an object with \"input\" or "
			 "\"messages\"",
			 path, number);
	else
		made = json_pack("{s:O}", input ? "input" : "messages",
				 input ? input : messages);
	json_decref(row);
	return made;
}

static bool is_blank(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!strchr(" \t\r", line[i]))
			return false;
	return true;
}

json_t *replay_read_inputs(struct ctl *ctl, const char *path)
{
	size_t length, at = 0;
	char *text = simulate_read_file(ctl, "--replay", path, INPUTS_MAX_BYTES,
					&length);
	json_t *inputs = text ? json_array() : NULL;
	for (unsigned number = 1; inputs && at < length; number++) {
		const char *line = text + at;
		const char *end = memchr(line, '\n', length - at);
		size_t size = end ? (size_t)(end - line) : length - at;
		at += size + 1;
		if (is_blank(line, size))
			continue;
		json_t *row = read_line(ctl, path, line, size, number);
		if (!row || json_array_append_new(inputs, row)) {
			json_decref(inputs);
			inputs = NULL;
		}
	}
	mem_free(text);
	if (inputs && !json_array_size(inputs)) {
		ctl_fail(ctl, CTL_FAILED, "%s: there is no input in it", path);
		json_decref(inputs);
		inputs = NULL;
	}
	return inputs;
}

/* --- what it came to ------------------------------------------------------- */

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static void add_text(struct table *table, const json_t *side, const char *name,
		     const char *format, double scale)
{
	char text[32];
	if (!json_is_number(json_object_get(side, name))) {
		table_add(table, NULL);
		return;
	}
	snprintf(text, sizeof(text), format, number_of(side, name) * scale);
	table_add(table, text);
}

static void add_side(struct table *table, const json_t *report,
		     const char *which, const char *wins)
{
	const json_t *side = json_object_get(report, which);
	table_add(table, which);
	table_add_number(table, member_integer(report, wins));
	add_text(table, side, "score", "%.3f", 1);
	table_add_number(table, member_integer(side, "answered"));
	table_add_number(table, member_integer(side, "errors"));
	add_text(table, side, "seconds", "%.1f", 1000);
	add_text(table, side, "slowest_seconds", "%.1f", 1000);
	table_add_number(table, member_integer(side, "tokens"));
}

static int print_report(struct ctl *ctl, const json_t *replay)
{
	static const char *const titles[] = { "REVISION", ">WON",    ">SCORE",
					      ">ANSWERS", ">ERRORS", ">MEAN MS",
					      ">MAX MS",  ">TOKENS", NULL };
	const json_t *report = json_object_get(replay, "report");
	const char *grader = member_string(report, "grader");
	struct table table;
	table_init(&table, titles);
	add_side(&table, report, "old", "losses");
	add_side(&table, report, "new", "wins");
	int code = ctl_print_table(ctl, &table);
	if (code != CTL_DONE)
		return code;
	printf("%lld inputs: %lld ties, %lld of them with equal answers; %lld "
	       "ungraded, %lld unanswered\n",
	       member_integer(report, "inputs"), member_integer(report, "ties"),
	       member_integer(report, "identical"),
	       member_integer(report, "ungraded"),
	       member_integer(report, "unanswered"));
	if (json_is_number(json_object_get(report, "likeness")))
		printf("the answers are alike by %.2f\n",
		       number_of(report, "likeness"));
	if (grader)
		ctl_say(ctl, "graded by %s, which used %lld tokens\n", grader,
			member_integer(report, "grader_tokens"));
	else
		puts("no grader: errors, likeness and times say nothing about "
		     "the quality of answers");
	ctl_say(ctl, "verdict: %s (worse: p %.3g; not worse: e %.3g of 20)\n",
		member_string(report, "verdict"), number_of(report, "p_worse"),
		number_of(report, "e_not_worse"));
	return CTL_DONE;
}

static bool is_pending(const json_t *status)
{
	const json_t *replay = json_object_get(status, "replay");
	const char *state = member_string(replay, "state");
	const char *outcome = member_string(status, "outcome");
	return state && !strcmp(state, "pending") && outcome &&
	       !strcmp(outcome, "open");
}

static void show(struct ctl *ctl, const json_t *status, unsigned elapsed_s)
{
	const json_t *report =
		json_object_get(json_object_get(status, "replay"), "report");
	char words[80];
	snprintf(words, sizeof(words), "replaying: %lld of %lld inputs",
		 member_integer(report, "done"),
		 member_integer(report, "inputs"));
	if (ctl->terminal.error)
		terminal_progress(&ctl->terminal, words, elapsed_s);
}

int replay_watch(struct ctl *ctl, json_t **status_r)
{
	const struct timespec pause = { .tv_nsec = WATCH_MS * 1000000L };
	const char *id = member_string(*status_r, "id");
	time_t began = time(NULL);
	int code = CTL_DONE;
	char name[64];
	snprintf(name, sizeof(name), "%s", id ? id : ctl->words[0]);
	while (code == CTL_DONE && is_pending(*status_r)) {
		nanosleep(&pause, NULL);
		json_decref(*status_r);
		*status_r = NULL;
		code = rollout_get(ctl, name, status_r);
		if (code == CTL_DONE)
			show(ctl, *status_r, (unsigned)(time(NULL) - began));
	}
	terminal_progress_end(&ctl->terminal);
	if (code != CTL_DONE)
		return code;
	const json_t *replay = json_object_get(*status_r, "replay");
	const char *state = member_string(replay, "state");
	const char *reason = member_string(replay, "reason");
	if (!ctl_has(ctl, OPTION_JSON) &&
	    json_is_object(json_object_get(replay, "report")))
		code = print_report(ctl, replay);
	if (code == CTL_DONE && state && !strcmp(state, "failed"))
		code = ctl_fail(ctl, CTL_FAILED, "%.230s",
				reason ? reason : "the replay failed");
	return code;
}
