/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "rollout.h"

#include <string.h>
#include <time.h>

#define WATCH_MS  250
#define WORDS_MAX 400

static bool is(const json_t *object, const char *name, const char *word)
{
	const char *value = member_string(object, name);
	return value && !strcmp(value, word);
}

/* What is found out before the first weight is no person's to wait for. */
static bool goes_on(const json_t *status)
{
	return is(status, "outcome", "open") &&
	       (!is(status, "waits_for", "person") ||
		is(json_object_get(status, "workflow"), "status", "running"));
}

/* What has been told already. */
struct told {
	char words[WORDS_MAX];
	size_t steps; /* of the workflow */
};

/* "not_worse, bad 0 of 40 new, 2 of 700 old": of the event with most bad ones
 * of the new revision. */
static void judged_words(const json_t *status, char *out, size_t size)
{
	const json_t *worst = NULL;
	long long most = -1;
	size_t index;
	json_t *row;
	out[0] = '\0';
	json_array_foreach(json_object_get(status, "analysis"), index, row)
	{
		long long bad = member_integer(json_object_get(row, "evidence"),
					       "new_bad");
		if (bad > most) {
			most = bad;
			worst = row;
		}
	}
	if (!worst)
		return;
	const json_t *seen = json_object_get(worst, "evidence");
	const char *name = member_string(worst, "name");
	const char *verdict = member_string(worst, "verdict");
	snprintf(out, size,
		 "; %.32s: %lld of %lld new, %lld of %lld old, %.32s",
		 name ? name : "bad", most, member_integer(seen, "new_calls"),
		 member_integer(seen, "old_bad"),
		 member_integer(seen, "old_calls"), verdict ? verdict : "");
}

/* "; monitoring_activation, 2 of 5 done": while steps run. */
static void step_words(const json_t *status, char *out, size_t size)
{
	const json_t *workflow = json_object_get(status, "workflow");
	long long done = member_integer(workflow, "successful_steps");
	const char *name;
	out[0] = '\0';
	if (!is(workflow, "status", "running") || done < 0)
		return;
	name = member_string(json_array_get(json_object_get(workflow, "steps"),
					    (size_t)done),
			     "name");
	snprintf(out, size, "; %.40s, %lld of %lld steps done",
		 name ? name : "steps", done,
		 member_integer(workflow, "total_steps"));
}

static void words_of(const json_t *status, bool judged, char out[WORDS_MAX])
{
	const char *phase = member_string(status, "phase");
	char share[96], numbers[200] = "", steps[96] = "";
	rollout_share(status, share, sizeof(share));
	if (judged) {
		step_words(status, steps, sizeof(steps));
		judged_words(status, numbers, sizeof(numbers));
	}
	snprintf(out, WORDS_MAX, "%.20s: %s%s%s", phase ? phase : "?", share,
		 steps, numbers);
}

/* The steps of the workflow that have ended since, a line each. */
static void show_steps(struct ctl *ctl, const json_t *status, struct told *told)
{
	const json_t *workflow = json_object_get(status, "workflow");
	const json_t *steps = json_object_get(workflow, "steps");
	size_t count = json_array_size(steps);
	/* A retry has them anew. */
	if (told->steps > 0 &&
	    is(json_array_get(steps, told->steps - 1), "status", "pending"))
		told->steps = 0;
	while (told->steps < count) {
		const json_t *step = json_array_get(steps, told->steps);
		const char *name = member_string(step, "name");
		const char *result = member_string(step, "result");
		char line[WORDS_MAX];
		if (!is(step, "status", "success") &&
		    !is(step, "status", "failed"))
			return;
		snprintf(line, sizeof(line), "%zu of %zu, %.40s: %s (%.250s)",
			 ++told->steps, count, name ? name : "?",
			 is(step, "status", "success") ? "success" : "failed",
			 result ? result : "");
		terminal_progress_end(&ctl->terminal);
		terminal_write(stdout, line, strlen(line), !ctl->terminal.out);
		putchar('\n');
		fflush(stdout);
	}
}

/* What differs since the last line is told; on a terminal the line below it
 * has the numbers. */
static void show(struct ctl *ctl, const json_t *status, unsigned elapsed_s,
		 struct told *told)
{
	const char *reason = member_string(status, "reason");
	char words[WORDS_MAX];
	if (ctl->terminal.error) {
		words_of(status, true, words);
		for (char *p = words; *p; p++)
			if ((unsigned char)*p < 0x20 || *p == 0x7f)
				*p = '?';
		terminal_progress(&ctl->terminal, words, elapsed_s);
	}
	words_of(status, false, words);
	if (!ctl_has(ctl, OPTION_JSON))
		show_steps(ctl, status, told);
	if (ctl_has(ctl, OPTION_JSON) || !strcmp(words, told->words))
		return;
	memcpy(told->words, words, WORDS_MAX);
	terminal_progress_end(&ctl->terminal);
	terminal_write(stdout, words, strlen(words), !ctl->terminal.out);
	if (reason && *reason) {
		fputs(" (", stdout);
		terminal_write(stdout, reason, strlen(reason),
			       !ctl->terminal.out);
		putchar(')');
	}
	putchar('\n');
	fflush(stdout);
}

static int judge_end(struct ctl *ctl, const json_t *status)
{
	const char *outcome = member_string(status, "outcome");
	const char *reason = member_string(status, "reason");
	if (is(status, "outcome", "promoted"))
		return CTL_DONE;
	if (is(status, "outcome", "open"))
		return ctl_fail(ctl, CTL_WAITS,
				"it waits for a person: %.200s; 'atomctl "
				"rollout promote %s' or 'abort'",
				reason ? reason : "",
				member_string(status, "agent"));
	return ctl_fail(ctl, CTL_FAILED, "the rollout was %.20s: %.300s",
			outcome ? outcome : "ended", reason ? reason : "");
}

int rollout_watch(struct ctl *ctl, json_t **status_r)
{
	const struct timespec pause = { .tv_nsec = WATCH_MS * 1000000L };
	const char *id = member_string(*status_r, "id");
	time_t began = time(NULL);
	struct told told = { .words = "" };
	char name[64];
	int code = CTL_DONE;
	/* Another one of the agent may begin meanwhile. */
	snprintf(name, sizeof(name), "%s", id ? id : ctl->words[0]);
	show(ctl, *status_r, 0, &told);
	while (code == CTL_DONE && goes_on(*status_r)) {
		nanosleep(&pause, NULL);
		json_decref(*status_r);
		*status_r = NULL;
		code = rollout_get(ctl, name, status_r);
		if (code == CTL_DONE)
			show(ctl, *status_r, (unsigned)(time(NULL) - began),
			     &told);
	}
	terminal_progress_end(&ctl->terminal);
	if (code != CTL_DONE)
		return code;
	if (ctl_has(ctl, OPTION_JSON))
		(void)ctl_print_json(ctl, *status_r);
	return judge_end(ctl, *status_r);
}
