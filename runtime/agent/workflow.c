/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/workflow.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/workflow_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/host.h"

#define EVIDENCE_MAX 12

static struct workflow_outside given;
const struct workflow_outside *workflow_outside;

static const char *const words[] = { "running", "success", "partial",
				     "skipped" };
static const char *const step_words[] = { "pending", "running", "success",
					  "failed", "skipped" };

void workflow_set_outside(const struct workflow_outside *outside)
{
	given = *outside;
	workflow_outside = &given;
}

/* --- questions and answers -------------------------------------------------------- */

static void unref(struct workflow *w)
{
	if (w == NULL || --w->refs > 0)
		return;
	for (int i = 0; i < WORKFLOW_STEPS; i++)
		json_decref(w->steps[i].evidence);
	mem_free(w);
}

struct workflow_question *workflow_ask(struct workflow *w,
				       enum workflow_slot slot)
{
	struct workflow_question *question = mem_zalloc(sizeof(*question));

	if (question == NULL)
		return NULL;
	w->refs++;
	w->answers[slot].put = true;
	question->workflow = w;
	question->turn = w->turn;
	question->slot = slot;
	return question;
}

struct workflow_answer *workflow_place(struct workflow_question *question)
{
	struct workflow *w = question->workflow;

	if (w->live == NULL || w->state != WORKFLOW_RUNNING ||
	    w->turn != question->turn)
		return NULL;
	w->answers[question->slot].there = true;
	return &w->answers[question->slot];
}

void workflow_answered(struct workflow_question *question)
{
	struct workflow *w = question->workflow;

	if (w->live != NULL)
		live_look_after(w->live, 0);
	unref(w);
	mem_free(question);
}

void workflow_say(struct workflow *w, const char *format, ...)
{
	struct workflow_step *step = &w->steps[w->step];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(step->result, sizeof(step->result), format, arguments);
	va_end(arguments);
	text_make_printable(step->result, sizeof(step->result));
}

void workflow_evidence(struct workflow *w, const char *format, ...)
{
	struct workflow_step *step = &w->steps[w->step];
	char text[RESULT_MAX];
	va_list arguments;

	if (step->evidence == NULL)
		step->evidence = json_array();
	if (json_array_size(step->evidence) >= EVIDENCE_MAX)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	text_make_printable(text, sizeof(text));
	json_array_append_new(step->evidence, json_string(text));
}

int64_t workflow_timeout_ms(const struct workflow *w)
{
	return w->live->settings->deployment.step_timeout_ms;
}

enum config_compliance workflow_demand(const struct workflow *w)
{
	const struct config *config = w->live->config;
	enum config_compliance demand =
		(enum config_compliance)
			w->live->settings->deployment.compliance;

	if (demand != CONFIG_COMPLIANCE_ENVIRONMENT)
		return demand;
	return config->environment_said &&
			       strcmp(config->environment, "production") == 0
		       ? CONFIG_COMPLIANCE_CRITICAL
		       : CONFIG_COMPLIANCE_NONE;
}

/* Its call would be waited for when the daemon stops. */
static void cancel_preview(struct workflow *w)
{
	if (w->preview != NULL)
		workflow_outside->cancel(TAKE(w->preview));
}

/* --- life --------------------------------------------------------------------------- */

void workflow_end(struct live *live)
{
	if (live->workflow == NULL)
		return;
	cancel_preview(live->workflow);
	live->workflow->live = NULL;
}

void workflow_free(struct live *live)
{
	workflow_end(live);
	unref(TAKE(live->workflow));
}

atom_status workflow_new(struct live *live)
{
	struct workflow *w = mem_zalloc(sizeof(*w));

	workflow_free(live);
	if (w == NULL)
		return ATOM_ENOMEM;
	w->refs = 1;
	w->live = live;
	live->workflow = w;
	return ATOM_OK;
}

static int word_at(const char *const *list, int count, const char *word)
{
	for (int i = 0; i < count; i++)
		if (strcmp(list[i], word) == 0)
			return i;
	return -1;
}

static void recall_step(struct workflow_step *step, const json_t *kept)
{
	const json_t *evidence = json_object_get(kept, "evidence");
	int state = word_at(step_words, ARRAY_SIZE(step_words),
			    json_text(kept, "status", ""));

	step->state = state < 0 ? STEP_PENDING : state;
	step->duration_ms =
		json_integer_value(json_object_get(kept, "duration_ms"));
	(void)snprintf(step->result, sizeof(step->result), "%s",
		       json_text(kept, "result", ""));
	if (json_is_array(evidence))
		step->evidence = json_deep_copy(evidence);
}

atom_status workflow_recall(struct live *live, const json_t *kept)
{
	const struct rollout_position *at = &live->state->at;
	int state = word_at(words, ARRAY_SIZE(words),
			    json_text(kept, "status", ""));
	struct workflow *w;

	if (workflow_new(live) != ATOM_OK)
		return ATOM_ENOMEM;
	w = live->workflow;
	/* One of a daemon that had none: what has weight has passed. */
	if (kept == NULL &&
	    (at->weight_reached > 0 || at->outcome != ROLLOUT_OPEN))
		state = WORKFLOW_SKIPPED;
	if (state < 0 || state == WORKFLOW_RUNNING)
		return ATOM_OK;
	w->state = state;
	w->step = WORKFLOW_STEPS;
	for (size_t i = 0; i < WORKFLOW_STEPS; i++) {
		w->steps[i].state = STEP_SKIPPED;
		if (kept != NULL)
			recall_step(&w->steps[i],
				    json_array_get(
					    json_object_get(kept, "steps"), i));
	}
	return ATOM_OK;
}

/* --- told --------------------------------------------------------------------------- */

static int successes(const struct workflow *w)
{
	int n = 0;

	for (int i = 0; i < WORKFLOW_STEPS; i++)
		n += w->steps[i].state == STEP_SUCCESS;
	return n;
}

json_t *workflow_describe(const struct live *live)
{
	const struct workflow *w = live->workflow;
	json_t *steps = json_array();

	for (int i = 0; w != NULL && i < WORKFLOW_STEPS; i++) {
		const struct workflow_step *step = &w->steps[i];

		json_array_append_new(
			steps,
			json_pack("{s:s,s:s,s:s,s:I,s:o}", "name",
				  workflow_kinds[i].name, "status",
				  step_words[step->state], "result",
				  step->result, "duration_ms",
				  (json_int_t)step->duration_ms, "evidence",
				  step->evidence != NULL
					  ? json_deep_copy(step->evidence)
					  : json_array()));
	}
	if (w == NULL) {
		json_decref(steps);
		return NULL;
	}
	return json_pack("{s:s,s:i,s:i,s:o}", "status", words[w->state],
			 "successful_steps", successes(w), "total_steps",
			 WORKFLOW_STEPS, "steps", steps);
}

static void tell_step(const struct workflow *w)
{
	const struct workflow_step *step = &w->steps[w->step];
	const struct live *live = w->live;
	bool failed = step->state == STEP_FAILED;
	json_t *json = json_pack(
		"{s:s,s:s,s:I,s:s,s:s,s:s}", "id", live->id, "agent",
		live->agent->name, "revision", (json_int_t)live->state->to,
		"step", workflow_kinds[w->step].name, "status",
		step_words[step->state], "result", step->result);
	char *text = json != NULL ? json_write(json, JSON_COMPACT) : NULL;

	log_line(failed ? ATOM_LOG_WARN : ATOM_LOG_INFO, "workflow_step",
		 step->result, LOG_TEXT("agent", live->agent->name),
		 LOG_TEXT("rollout", live->id),
		 LOG_TEXT("step", workflow_kinds[w->step].name),
		 LOG_TEXT("status", step_words[step->state]),
		 LOG_NUMBER("revision", live->state->to),
		 LOG_NUMBER("duration_ms", step->duration_ms));
	if (text != NULL)
		host_publish("workflow", live->agent->name,
			     &(struct atom_span){ text, strlen(text) });
	free(text);
	json_decref(json);
}

/* --- going on ------------------------------------------------------------------------ */

static void begin_step(struct workflow *w)
{
	w->turn++;
	w->looked_ns = 0;
	w->event = 0;
	memset(w->answers, 0, sizeof(w->answers));
	w->steps[w->step].state = STEP_RUNNING;
}

static void end_step(struct workflow *w, bool well)
{
	struct workflow_step *step = &w->steps[w->step];

	step->state = well ? STEP_SUCCESS : STEP_FAILED;
	tell_step(w);
	/* Kept, so that it is shown also after a restart. */
	w->live->store_again = true;
	cancel_preview(w);
	if (!well) {
		w->state = WORKFLOW_PARTIAL;
		return;
	}
	if (++w->step == WORKFLOW_STEPS)
		w->state = WORKFLOW_SUCCESS;
}

/* Time of the step; none passes while the rollout stands. */
static void pass_time(struct workflow *w)
{
	int64_t now = os.monotonic_ns();

	if (w->looked_ns != 0 && now > w->looked_ns)
		w->steps[w->step].duration_ms +=
			(now - w->looked_ns + 500000) / 1000000;
	w->looked_ns = now;
}

static bool timed_out(struct workflow *w)
{
	struct workflow_step *step = &w->steps[w->step];
	int64_t limit = workflow_timeout_ms(w);
	char found[RESULT_MAX];

	if (limit <= 0 || step->duration_ms < limit)
		return false;
	(void)snprintf(found, sizeof(found), "%s", step->result);
	workflow_say(w, "not done within %lld ms%s%.160s", (long long)limit,
		     found[0] != '\0' ? ": " : "", found);
	return true;
}

static void go_on(struct workflow *w)
{
	while (w->state == WORKFLOW_RUNNING) {
		enum workflow_verdict verdict;

		if (w->steps[w->step].state == STEP_PENDING)
			begin_step(w);
		pass_time(w);
		verdict = workflow_kinds[w->step].look(w);
		if (verdict == STEP_GOES_ON && !timed_out(w))
			return;
		end_step(w, verdict == STEP_IS_DONE);
	}
}

static bool stands(const struct live *live, const struct rollout_seen *seen)
{
	return seen->frozen != NULL || live->state->at.paused_by_person != 0;
}

static bool moves(const struct live *live)
{
	return live->state->at.outcome == ROLLOUT_OPEN && !live->state->at.full;
}

bool workflow_runs(const struct live *live)
{
	return live->workflow != NULL &&
	       live->workflow->state == WORKFLOW_RUNNING;
}

void workflow_look(struct live *live, struct rollout_seen *seen)
{
	struct workflow *w = live->workflow;

	if (w == NULL || !moves(live))
		return;
	if (w->state == WORKFLOW_RUNNING && stands(live, seen))
		w->looked_ns = 0;
	else
		go_on(w);
	if (w->state == WORKFLOW_RUNNING) {
		seen->gate = ROLLOUT_GATE_CLOSED;
	} else if (w->state == WORKFLOW_PARTIAL) {
		seen->gate = ROLLOUT_GATE_FAILED;
		seen->gate_cause = "workflow";
		(void)snprintf(live->gate_reason, sizeof(live->gate_reason),
			       "%s: %.200s", workflow_kinds[w->step].name,
			       w->steps[w->step].result);
		seen->gate_reason = live->gate_reason;
	}
}

void workflow_follow(struct live *live)
{
	struct workflow *w = live->workflow;
	const struct rollout_position *at = &live->state->at;

	if (w == NULL || w->state != WORKFLOW_RUNNING || moves(live))
		return;
	if (at->full && at->outcome != ROLLOUT_ABORTED &&
	    at->outcome != ROLLOUT_SUPERSEDED) {
		w->state = WORKFLOW_SKIPPED;
		for (int i = w->step; i < WORKFLOW_STEPS; i++)
			w->steps[i].state = STEP_SKIPPED;
	} else {
		w->state = WORKFLOW_PARTIAL;
		w->steps[w->step].state = STEP_FAILED;
		workflow_say(w, "%.230s", at->reason);
	}
	cancel_preview(w);
	live->store_again = true;
}
