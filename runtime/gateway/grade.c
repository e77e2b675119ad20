/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/grade.h"

#include <stdio.h>

#include "agent/grading.h"
#include "agent/recent.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/exchange_priv.h"
#include "gateway/question.h"
#include "gateway/rubric.h"
#include "gateway/said.h"

struct grade {
	struct message message; /* to its own loop: the next turn */
	struct recent_rating rating;
	struct trial *trial; /* a reference */
	struct grading *of;  /* its */
	struct loop *loop;
	char agent[64];
	int64_t revision;
	bool is_new;
	bool counts;
	struct buffer asked; /* the end of it, JSON */
	struct completion completion;
	bool cut;
	bool asked_cut;
	int64_t tokens;
	bool given_back;
	enum graded_result result;
};

static int64_t now_ms(void)
{
	return os.monotonic_ns() / 1000000;
}

/* Before its result is told: who sees that finds its place free. */
static void give_back(struct grade *g)
{
	if (g->given_back)
		return;
	g->given_back = true;
	grading_give_back(g->of, g->tokens, now_ms());
}

void grade_free(struct grade **at)
{
	struct grade *g = *at;

	if (g == NULL)
		return;
	*at = NULL;
	give_back(g);
	completion_fini(&g->completion);
	buffer_fini(&g->asked);
	trial_unref(g->trial);
	mem_free(g);
}

/* It comes to no score. */
static void give_up(struct grade *g, enum graded_result result)
{
	give_back(g);
	grading_note(g->of, g->agent, g->revision, result);
	grade_free(&g);
}

/* --- with the caller's call --------------------------------------------------- */

void grade_expect(struct exchange *x)
{
	const char *agent = revision_agent(x->revision);
	int64_t revision = revision_number(x->revision);
	struct grading *of;
	struct grade *g;

	if (!x->assignment.graded)
		return;
	of = trial_grading(x->assignment.trial);
	if (!grading_take(of, agent, revision, now_ms()))
		return;
	g = mem_zalloc(sizeof(*g));
	if (g == NULL) {
		grading_give_back(of, 0, now_ms());
		grading_note(of, agent, revision, GRADED_NO_MEMORY);
		return;
	}
	(void)snprintf(g->agent, sizeof(g->agent), "%s", agent);
	g->of = of;
	g->trial = x->assignment.trial;
	trial_ref(g->trial);
	g->revision = revision;
	g->is_new = x->assignment.is_new;
	g->loop = x->loop;
	buffer_init(&g->asked, GRADED_TEXT_MAX);
	completion_init(&g->completion);
	x->grade = g;
}

/* What no longer fits is cut off; what was heard before stays. */
void grade_hear(struct exchange *x, int32_t kind, const char *bytes,
		size_t length)
{
	struct grade *g = x->grade;

	/* The whole answer is put together anyway, and taken over later. */
	if (g == NULL || !x->stream || g->cut)
		return;
	/* The piece that goes beyond the bound is heard whole: it may be all
	 * there is. */
	g->cut = g->completion.bytes >= SAID_MAX ||
		 completion_add(&g->completion, kind, false, bytes, length) !=
			 ATOM_OK;
}

void grade_counted(struct exchange *x, int status, bool counts)
{
	if (x->grade != NULL)
		x->grade->counts = counts && status < 400;
}

/* --- the grader --------------------------------------------------------------- */

static void on_rated(struct recent_rating *rating)
{
	struct grade *g = CONTAINER_OF(rating, struct grade, rating);

	if (!rating->found || rating->kept) {
		give_up(g, GRADED_RATED);
		return;
	}
	give_back(g);
	grading_scored(g->of, g->agent, g->revision, g->is_new, rating->score);
	grade_free(&g);
}

static enum graded_result read_answer(struct question *q, double *score_r)
{
	struct answer said;
	bool read;

	if (q->status != ATOM_OK && q->busy)
		return GRADED_BUSY;
	if (q->status == ATOM_ETIMEOUT ||
	    q->call.cancel_reason == ATOM_CANCEL_DEADLINE)
		return GRADED_TIMEOUT;
	if (q->status != ATOM_OK)
		return GRADED_ERROR;
	read = answer_read(&q->completion, SAID_MAX, &said) &&
	       rubric_read_one(said.text.bytes, said.text.length, score_r);
	answer_fini(&said);
	return read ? GRADED_SCORED : GRADED_NO_SCORE;
}

static void on_answered(struct question *q)
{
	struct grade *g = q->argument;
	enum graded_result result = read_answer(q, &g->rating.score);

	g->tokens = q->tokens;
	if (log_enabled(ATOM_LOG_DEBUG))
		log_line(ATOM_LOG_DEBUG, "graded_call", grading_word(result),
			 LOG_TEXT("agent", g->agent),
			 LOG_NUMBER("revision", g->revision),
			 LOG_TEXT("grader", g->of->agent),
			 LOG_TEXT("error", q->error.message));
	if (result != GRADED_SCORED) {
		give_up(g, result);
		return;
	}
	/* Nobody rates any more: its loop may have ended. */
	if (!loops_running()) {
		give_up(g, GRADED_ERROR);
		return;
	}
	g->rating.by_grader = true;
	g->rating.done = on_rated;
	recent_rate_on(&g->rating, g->loop);
}

static atom_status compose(struct grade *g, struct question *q)
{
	struct buffer text = BUFFER_INIT(RUBRIC_MAX);
	struct rubric_text asked = { g->asked.bytes, g->asked.length,
				     g->asked_cut };
	struct rubric_text answer;
	struct answer said;
	char mark[RUBRIC_MARK_MAX];
	atom_status status = ATOM_EPROTO;

	if (answer_read(&g->completion, COMPLETION_BYTES_MAX, &said)) {
		rubric_mark(mark);
		answer = rubric_head(said.text.bytes, said.text.length, g->cut);
		status = rubric_one(&text, g->of->criteria, mark, &asked,
				    &answer);
	}
	if (status == ATOM_OK)
		status = question_put_json_chat(q, text.bytes, text.length);
	answer_fini(&said);
	buffer_fini(&text);
	return status;
}

static void on_turn(struct loop *loop, struct message *message)
{
	struct grade *g = CONTAINER_OF(message, struct grade, message);
	struct question *q = question_new(g->of->agent);

	(void)loop;
	if (q == NULL || compose(g, q) != ATOM_OK) {
		question_free(&q);
		give_up(g, GRADED_NO_MEMORY);
		return;
	}
	completion_clear(&g->completion, 0);
	buffer_fini(&g->asked);
	(void)snprintf(q->user, sizeof(q->user), "grader:%s", g->agent);
	q->max_tokens = RUBRIC_ANSWER_TOKENS;
	q->timeout_ms = g->of->timeout_ms;
	q->answer_max = SAID_MAX;
	q->spare = true;
	q->done = on_answered;
	q->argument = g;
	question_ask(q);
}

void grade_begin(struct exchange *x)
{
	struct grade *g = x->grade;
	struct rubric_text asked;

	if (g == NULL)
		return;
	x->grade = NULL;
	if (!g->counts) {
		grade_free(&g);
		return;
	}
	/* A graded call is no mirrored one: nobody else needs its answer. */
	if (!x->stream) {
		g->completion = x->completion;
		completion_init(&x->completion);
	}
	asked = rubric_tail(x->asked.at, x->asked.length);
	g->asked_cut = asked.cut;
	(void)buffer_append(&g->asked, asked.bytes, asked.length);
	recent_key(x->request_id, x->user, g->rating.key);
	g->message.deliver = on_turn;
	loop_post(g->loop, &g->message);
}
