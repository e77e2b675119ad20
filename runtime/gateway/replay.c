/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/health.h"
#include "core/id.h"
#include "core/log.h"
#include "core/json.h"
#include "core/memory.h"
#include "gateway/messages.h"
#include "gateway/replay_priv.h"
#include "gateway/rubric.h"

#define PARALLEL 4
#define LOOK_MS	 50
/* A slot that is not free is asked for again, so often. */
#define RETRY_MS  100
#define TRIES_MAX 300

static struct replay *replays;

/* --- inputs ------------------------------------------------------------------ */

static bool messages_valid(const json_t *messages, char *why, size_t why_size)
{
	char *text = json_write(messages, JSON_COMPACT | JSON_ENCODE_ANY);
	struct json_scan_error error = { 0, "" };
	struct message_list list;
	struct json_span span;
	bool valid = text != NULL &&
		     json_scan_value(text, strlen(text), JSON_SCAN_DEPTH_MAX,
				     &span, &error) == ATOM_OK &&
		     messages_read(&span, &list, why, why_size) == ATOM_OK;

	free(text);
	return valid;
}

bool replay_inputs_valid(const json_t *inputs, char *why, size_t why_size)
{
	char what[160] = "expected an array of messages";
	size_t i;
	json_t *row;

	if (!json_is_array(inputs) || json_array_size(inputs) < 1 ||
	    json_array_size(inputs) > REPLAY_INPUTS_MAX) {
		(void)snprintf(why, why_size,
			       "replay: expected an array of 1 to %d inputs",
			       REPLAY_INPUTS_MAX);
		return false;
	}
	json_array_foreach(inputs, i, row)
	{
		const json_t *messages = json_object_get(row, "messages");
		bool input = json_object_get(row, "input") != NULL;

		if (input == (messages != NULL)) {
			(void)snprintf(why, why_size,
				       "replay[%zu]: expected an object with "
				       "\"input\" or \"messages\"",
				       i);
			return false;
		}
		if (messages != NULL &&
		    !messages_valid(messages, what, sizeof(what))) {
			(void)snprintf(why, why_size, "replay[%zu]: %s", i,
				       what);
			return false;
		}
	}
	return true;
}

static bool take_input(struct replay_input *input, const json_t *row)
{
	const json_t *messages = json_object_get(row, "messages");
	char *text = json_write(
		messages != NULL ? messages : json_object_get(row, "input"),
		JSON_COMPACT | JSON_ENCODE_ANY);

	input->is_messages = messages != NULL;
	input->text = text != NULL ? mem_strdup(text) : NULL;
	free(text);
	return input->text != NULL;
}

/* --- life --------------------------------------------------------------------- */

static void run_free(struct replay_run *run)
{
	struct replay_run **at = &run->replay->runs;

	while (*at != NULL && *at != run)
		at = &(*at)->following;
	if (*at != NULL)
		*at = run->following;
	for (int i = 0; i < 2; i++)
		buffer_fini(&run->of[i].text);
	timer_stop(&run->retry);
	mem_free(run);
}

static void replay_free(struct replay *replay)
{
	struct replay **at = &replays;

	while (*at != NULL && *at != replay)
		at = &(*at)->following;
	if (*at != NULL)
		*at = replay->following;
	timer_stop(&replay->timer);
	for (size_t i = 0; i < replay->count; i++)
		mem_free(replay->inputs[i].text);
	mem_free(replay->inputs);
	mem_free(replay->order.grader_agent);
	mem_free(replay->order.grader_criteria);
	mem_free(replay);
}

void replays_fini(void)
{
	while (replays != NULL) {
		/* That waited to ask once more. */
		while (replays->runs != NULL)
			run_free(replays->runs);
		replay_free(replays);
	}
}

static void go_on(struct replay *replay);
static void ask(struct replay_run *run, int which);
static void grade(struct replay_run *run);
static void compare(struct replay_run *run);

static void run_end(struct replay_run *run)
{
	struct replay *replay = run->replay;

	run_free(run);
	replay->running--;
	replay->done++;
	go_on(replay);
}

/* --- the grader ---------------------------------------------------------------- */

static void on_again(struct timer *timer)
{
	struct replay_run *run = CONTAINER_OF(timer, struct replay_run, retry);

	grade(run);
}

/* It gives no scores for this one. */
static void ungraded(struct replay_run *run)
{
	run->replay->ungraded++;
	run_end(run);
}

static bool try_again(struct replay_run *run, void (*fire)(struct timer *))
{
	if (++run->tries > TRIES_MAX || health_is_stopping() ||
	    replaying_ready(run->replay->id) == ATOM_ESTATE)
		return false;
	run->retry.fire = fire;
	return timer_set(loop_control(), &run->retry, RETRY_MS) == ATOM_OK;
}

/* Which of the two is A. */
static int first_of(const struct replay_run *run)
{
	return run->graded == 0 ? run->first : !run->first;
}

static void on_graded(struct question *q)
{
	struct replay_run *run = q->argument;
	double *scores = run->scores[run->graded];
	double a = 0, b = 0;
	struct answer said;
	bool read;

	run->replay->grader_tokens += q->tokens;
	if (q->busy) {
		if (!try_again(run, on_again))
			ungraded(run);
		return;
	}
	read = answer_read(&q->completion, SAID_MAX, &said) &&
	       q->status == ATOM_OK &&
	       rubric_read_pair(said.text.bytes, said.text.length, &a, &b);
	answer_fini(&said);
	if (!read) {
		ungraded(run);
		return;
	}
	scores[first_of(run)] = a;
	scores[!first_of(run)] = b;
	run->tries = 0;
	if (++run->graded < 2) {
		grade(run);
		return;
	}
	replay_count_scores(run->replay, run->scores);
	run_end(run);
}

static atom_status compose(const struct replay_run *run, struct question *q)
{
	struct buffer text = BUFFER_INIT(RUBRIC_MAX);
	const char *asked_at = run->input->text;
	struct rubric_text asked = rubric_tail(asked_at, strlen(asked_at));
	struct rubric_text of[2];
	char mark[RUBRIC_MARK_MAX];
	atom_status status;

	for (int i = 0; i < 2; i++)
		of[i] = rubric_head(run->of[i].text.bytes,
				    run->of[i].text.length, false);
	rubric_mark(mark);
	status = rubric_pair(&text, run->replay->order.grader.criteria, mark,
			     &asked, &of[first_of(run)], &of[!first_of(run)]);
	if (status == ATOM_OK)
		status = question_put_json_chat(q, text.bytes, text.length);
	buffer_fini(&text);
	return status;
}

static void grade(struct replay_run *run)
{
	const struct replay *replay = run->replay;
	const struct config_grader *grader = &replay->order.grader;
	int64_t left = grader->tokens_per_hour - replay->grader_tokens;
	struct question *q = NULL;

	/* All that are under way could take as much at once. */
	if (grader->tokens_per_hour == 0 || left >= GRADED_TOKENS)
		q = question_new(grader->agent);
	if (q == NULL || compose(run, q) != ATOM_OK) {
		question_free(&q);
		ungraded(run);
		return;
	}
	(void)snprintf(q->user, sizeof(q->user), "grader:%s",
		       replay->order.agent);
	q->max_tokens = RUBRIC_ANSWER_TOKENS;
	q->timeout_ms = (int32_t)grader->timeout_ms;
	q->answer_max = SAID_MAX;
	q->spare = true;
	q->done = on_graded;
	q->argument = run;
	question_ask(q);
}

/* --- both answers ----------------------------------------------------------------- */

static void compare(struct replay_run *run)
{
	struct replay *replay = run->replay;

	if (run->of[0].busy || run->of[1].busy) {
		replay->unanswered++;
		run_end(run);
		return;
	}
	switch (replay_count_answers(replay, run->of)) {
	case REPLAY_DECIDED:
		run_end(run);
		return;
	case REPLAY_TO_GRADE:
		run->first = (int)(id_random() % 2);
		run->tries = 0;
		grade(run);
		return;
	}
}

static void on_ask_again(struct timer *timer)
{
	struct replay_run *run = CONTAINER_OF(timer, struct replay_run, retry);

	for (int i = 0; i < 2; i++)
		if (run->of[i].busy)
			ask(run, i);
	if (run->asked == 0)
		compare(run);
}

static void on_answered(struct question *q)
{
	struct replay_said *said = q->argument;
	struct replay_run *run = said->run;
	struct answer answer;
	bool read = answer_read(&q->completion, REPLAY_ANSWER_MAX, &answer);

	said->busy = q->busy || q->status == ATOM_ESTATE;
	said->failed = !said->busy && (q->status != ATOM_OK || !read);
	said->ns = q->duration_ns;
	said->tokens = q->tokens;
	buffer_fini(&said->text);
	said->text = answer.text;
	buffer_init(&answer.text, 1);
	answer_fini(&answer);
	if (--run->asked > 0)
		return;
	if ((run->of[0].busy || run->of[1].busy) &&
	    try_again(run, on_ask_again))
		return;
	compare(run);
}

static atom_status put(struct question *q, const struct replay_input *input)
{
	struct json_scan_error error;
	struct json_span span;

	if (json_scan_value(input->text, strlen(input->text),
			    JSON_SCAN_DEPTH_MAX, &span, &error) != ATOM_OK)
		return ATOM_EINVAL;
	return input->is_messages ? question_put_messages(q, &span)
				  : question_put_input(q, &span);
}

static void ask(struct replay_run *run, int which)
{
	const struct replay_order *order = &run->replay->order;
	struct question *q = question_new(order->agent);

	run->of[which].busy = true;
	if (q == NULL || put(q, run->input) != ATOM_OK) {
		question_free(&q);
		return;
	}
	run->asked++;
	(void)snprintf(q->user, sizeof(q->user), "replay:%s", order->agent);
	(void)snprintf(q->wanted, sizeof(q->wanted), "%lld",
		       (long long)(which == 0 ? order->from : order->to));
	q->flags = ATOM_CALL_DRY_RUN;
	q->spare = q->unseen = true;
	q->answer_max = REPLAY_ANSWER_MAX;
	q->done = on_answered;
	q->argument = &run->of[which];
	question_ask(q);
}

static bool run_begin(struct replay *replay)
{
	struct replay_run *run = mem_zalloc(sizeof(*run));

	if (run == NULL)
		return false;
	run->replay = replay;
	run->following = replay->runs;
	replay->runs = run;
	run->input = &replay->inputs[replay->next++];
	for (int i = 0; i < 2; i++) {
		run->of[i].run = run;
		buffer_init(&run->of[i].text, 1);
	}
	replay->running++;
	ask(run, 0);
	ask(run, 1);
	if (run->asked == 0) {
		/* No memory; nothing comes back. */
		replay->running--;
		replay->next--;
		run_free(run);
		return false;
	}
	return true;
}

/* --- from the first to the last ----------------------------------------------------- */

static void finish(struct replay *replay)
{
	char reason[240];
	const char *cause;
	bool pause;

	replay_conclude(replay, &cause, &pause, reason, sizeof(reason));
	replaying_progress(replay->id, replay_report(replay, true));
	replaying_end(replay->id, cause, pause, reason);
	replay_free(replay);
}

static void go_on(struct replay *replay)
{
	if (health_is_stopping() ||
	    replaying_ready(replay->id) == ATOM_ESTATE) {
		/* The rollout has ended, or goes on without it. */
		if (replay->running == 0)
			replay_free(replay);
		return;
	}
	while (replay->running < PARALLEL && replay->next < replay->count)
		if (!run_begin(replay))
			break;
	replaying_progress(replay->id, replay_report(replay, false));
	if (replay->running > 0)
		return;
	if (replay->next == replay->count)
		finish(replay);
	else
		(void)timer_set(loop_control(), &replay->timer, LOOK_MS);
}

static void on_timer(struct timer *timer)
{
	struct replay *replay = CONTAINER_OF(timer, struct replay, timer);

	if (replaying_ready(replay->id) == ATOM_EBUSY)
		(void)timer_set(loop_control(), &replay->timer, LOOK_MS);
	else
		go_on(replay);
}

static struct replay *replay_new(const char *id, const json_t *inputs)
{
	size_t count = json_array_size(inputs);
	struct replay *replay = mem_zalloc(sizeof(*replay));

	if (replay == NULL)
		return NULL;
	(void)snprintf(replay->id, sizeof(replay->id), "%s", id);
	replay->timer.fire = on_timer;
	replay->inputs = mem_array(count, sizeof(*replay->inputs));
	if (replay->inputs == NULL ||
	    replaying_order(id, &replay->order) != ATOM_OK) {
		replay_free(replay);
		return NULL;
	}
	for (; replay->count < count; replay->count++)
		if (!take_input(&replay->inputs[replay->count],
				json_array_get(inputs, replay->count))) {
			replay_free(replay);
			return NULL;
		}
	return replay;
}

void replay_begin(const char *id, const json_t *inputs)
{
	struct replay *replay = replay_new(id, inputs);

	if (replay == NULL) {
		replaying_end(id, "replay_failed", false,
			      "no memory for a replay");
		return;
	}
	replay->following = replays;
	replays = replay;
	on_timer(&replay->timer);
}
