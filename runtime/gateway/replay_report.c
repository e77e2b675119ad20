/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "gateway/replay_priv.h"
#include "rollout/likeness.h"

/* What a replay adds up to, told to people and to the rollout. */

static bool has_grader(const struct replay *replay)
{
	return replay->order.grader.agent[0] != '\0';
}

static void count_side(struct replay_side *side, const struct replay_said *said)
{
	side->answered++;
	side->errors += said->failed;
	side->ns += said->ns;
	if (said->ns > side->slowest_ns)
		side->slowest_ns = said->ns;
	side->tokens += said->tokens;
}

static bool are_equal(const struct buffer *a, const struct buffer *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

enum replay_next replay_count_answers(struct replay *replay,
				      const struct replay_said of[2])
{
	const struct buffer *a = &of[0].text, *b = &of[1].text;
	double likeness;

	for (int i = 0; i < 2; i++)
		count_side(&replay->sides[i], &of[i]);
	if (of[0].failed || of[1].failed) {
		if (of[0].failed == of[1].failed)
			replay->tally.ties++;
		else if (of[1].failed)
			replay->tally.losses++;
		else
			replay->tally.wins++;
		return REPLAY_DECIDED;
	}
	if (likeness_of_texts(a->bytes, a->length, b->bytes, b->length,
			      &likeness) == ATOM_OK) {
		replay->likeness += likeness;
		replay->compared++;
	}
	if (are_equal(a, b)) {
		replay->identical++;
		replay->tally.ties++;
		return REPLAY_DECIDED;
	}
	if (has_grader(replay))
		return REPLAY_TO_GRADE;
	replay->ungraded++;
	return REPLAY_DECIDED;
}

void replay_count_scores(struct replay *replay, double scores[2][2])
{
	int better = 0, worse = 0;

	for (int order = 0; order < 2; order++) {
		better += scores[order][1] > scores[order][0];
		worse += scores[order][1] < scores[order][0];
		for (int i = 0; i < 2; i++)
			replay->sides[i].score += scores[order][i] / 2;
	}
	replay->graded++;
	/* What holds in one order alone is the order's doing. */
	if (better == 2)
		replay->tally.wins++;
	else if (worse == 2)
		replay->tally.losses++;
	else
		replay->tally.ties++;
}

/* --- the verdict -------------------------------------------------------------- */

static const char *verdict_word(const struct replay *replay)
{
	switch (replay_judge(&replay->tally)) {
	case REPLAY_WORSE:
		return "worse";
	case REPLAY_NOT_WORSE:
		/* Equal answers need none. */
		if (has_grader(replay) || replay->ungraded == 0)
			return "not_worse";
		break;
	case REPLAY_UNDECIDED:
		break;
	}
	return has_grader(replay) ? "undecided" : "no_grader";
}

void replay_conclude(const struct replay *replay, const char **cause_r,
		     bool *pause_r, char *reason, size_t size)
{
	const struct replay_tally *tally = &replay->tally;
	const char *verdict = verdict_word(replay);
	bool open = strcmp(verdict, "worse") != 0 &&
		    strcmp(verdict, "not_worse") != 0;

	*cause_r = NULL;
	*pause_r = open && replay->order.on_undecided == ROLLOUT_END_PAUSE;
	if (strcmp(verdict, "worse") == 0)
		*cause_r = "replay_worse";
	else if (open && replay->order.on_undecided == ROLLOUT_END_ABORT)
		*cause_r = "replay_undecided";
	(void)snprintf(reason, size,
		       "the replay of %zu inputs says %s: %lld won, %lld lost, "
		       "%lld tied by the new revision (p %.3g, e %.3g), %lld "
		       "errors, %lld of the old one",
		       replay->count, verdict, (long long)tally->wins,
		       (long long)tally->losses, (long long)tally->ties,
		       replay_p_worse(tally), replay_e_not_worse(tally),
		       (long long)replay->sides[1].errors,
		       (long long)replay->sides[0].errors);
}

/* --- the report ---------------------------------------------------------------- */

static json_t *mean(double sum, int64_t count)
{
	return count > 0 ? json_real(sum / (double)count) : json_null();
}

static json_t *side_of(const struct replay *replay, int which)
{
	const struct replay_side *side = &replay->sides[which];

	return json_pack("{s:I,s:I,s:o,s:f,s:I,s:o}", "answered",
			 (json_int_t)side->answered, "errors",
			 (json_int_t)side->errors, "seconds",
			 mean((double)side->ns / 1e9, side->answered),
			 "slowest_seconds", (double)side->slowest_ns / 1e9,
			 "tokens", (json_int_t)side->tokens, "score",
			 mean(side->score, replay->graded));
}

json_t *replay_report(const struct replay *replay, bool ended)
{
	const struct replay_tally *tally = &replay->tally;
	json_t *json = json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:f,s:f}", "inputs",
		(json_int_t)replay->count, "done", (json_int_t)replay->done,
		"wins", (json_int_t)tally->wins, "losses",
		(json_int_t)tally->losses, "ties", (json_int_t)tally->ties,
		"identical", (json_int_t)replay->identical, "ungraded",
		(json_int_t)replay->ungraded, "unanswered",
		(json_int_t)replay->unanswered, "grader_tokens",
		(json_int_t)replay->grader_tokens, "verdict",
		ended ? verdict_word(replay) : "running", "p_worse",
		replay_p_worse(tally), "e_not_worse",
		replay_e_not_worse(tally));

	if (json == NULL)
		return NULL;
	json_object_set_new(json, "grader",
			    has_grader(replay)
				    ? json_string(replay->order.grader.agent)
				    : json_null());
	json_object_set_new(json, "likeness",
			    mean(replay->likeness, replay->compared));
	json_object_set_new(json, "old", side_of(replay, 0));
	json_object_set_new(json, "new", side_of(replay, 1));
	return json;
}
