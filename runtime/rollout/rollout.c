/* SPDX-License-Identifier: Apache-2.0 */

/* A rollout's life: how it begins, what people ask of it, how it ends. */

#include "rollout/rollout_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

void rollout_settings_default(struct rollout_settings *settings_r)
{
	*settings_r = (struct rollout_settings){
		.progress_deadline_ms = 600000,
		.rollback_window_ms = 600000,
		.failed_starts = 3,
		.on_undecided = ROLLOUT_END_PROMOTE,
		.on_no_data = ROLLOUT_END_PROMOTE,
		.min_samples = 1,
	};
}

/* --- how it goes on --------------------------------------------------------- */

static void say(struct rollout *rollout, const char *cause, const char *format,
		va_list arguments)
{
	struct rollout_position *at = &rollout->at;

	(void)snprintf(at->cause, sizeof(at->cause), "%s", cause);
	(void)vsnprintf(at->reason, sizeof(at->reason), format, arguments);
	text_make_printable(at->reason, sizeof(at->reason));
}

void rollout_say(struct rollout *rollout, const char *cause, const char *format,
		 ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(rollout, cause, format, arguments);
	va_end(arguments);
}

static void stop_pausing(struct rollout_position *at)
{
	at->paused = ROLLOUT_NOT_PAUSED;
	at->pause_until_person = 0;
	at->paused_by_person = 0;
}

void rollout_abort(struct rollout *rollout, const char *cause,
		   const char *format, ...)
{
	struct rollout_position *at = &rollout->at;
	va_list arguments;

	if (at->stage == ROLLOUT_RETURNING || at->stage == ROLLOUT_OVER)
		return;
	va_start(arguments, format);
	say(rollout, cause, format, arguments);
	va_end(arguments);
	at->stage = ROLLOUT_RETURNING;
	at->outcome = ROLLOUT_ABORTED;
	at->weight_asked = 0;
	at->weight_reached = 0;
	at->old_asked = ROLLOUT_SCALED;
	at->mirror_asked = 0;
	at->hold = 0;
	stop_pausing(at);
	rollout->times.ended_ms = rollout->times.now_ms;
}

void rollout_finish(struct rollout *rollout)
{
	struct rollout_position *at = &rollout->at;

	if (at->stage != ROLLOUT_STEPS)
		return;
	at->stage = ROLLOUT_FINISHING;
	at->mirror_asked = 0;
	at->paused = ROLLOUT_NOT_PAUSED;
	at->pause_until_person = 0;
	rollout->times.stalled_ms = 0;
}

void rollout_unpause(struct rollout *rollout)
{
	struct rollout_position *at = &rollout->at;
	bool at_end = at->paused == ROLLOUT_PAUSED_AT_END;

	if (at->paused == ROLLOUT_NOT_PAUSED)
		return;
	at->paused = ROLLOUT_NOT_PAUSED;
	at->pause_until_person = 0;
	at->pauses++;
	rollout->times.pause_left_ms = 0;
	if (!at_end)
		return;
	/* A person has seen the numbers: they are not asked again. */
	at->analysing = ROLLOUT_ANALYSED;
	rollout_finish(rollout);
}

/* --- life ------------------------------------------------------------------- */

void rollout_reset(struct rollout *rollout, int64_t wall_ms)
{
	int32_t attempt = rollout->at.attempt;

	rollout->at = (struct rollout_position){
		.attempt = attempt + 1,
		.old_asked = ROLLOUT_SCALED,
		.old_in_force = ROLLOUT_SCALED,
	};
	rollout->times = (struct rollout_times){
		.now_ms = wall_ms,
		.began_ms = wall_ms,
		.step_began_ms = wall_ms,
		.wall_ms = wall_ms,
	};
	rollout->strategy_state.size = 0;
	rollout->judge_state.size = 0;
	rollout->counted.count = 0;
	rollout->analysed.count = 0;
	rollout->before.count = 0;
	rollout->compared = rollout->compared_before =
		(struct atom_comparison){ .struct_size =
						  sizeof(rollout->compared) };
	rollout->mirror_tokens = 0;
	memset(&rollout->judged, 0, sizeof(rollout->judged));
	rollout->looked = false;
	rollout->kept_ms = wall_ms;
	rollout->kept_calls = 0;
	rollout->failed_before = 0;
	rollout->ready_most = 0;
	if (strcmp(rollout->from_hash, rollout->to_hash) != 0)
		return;
	rollout->at.full = 1;
	rollout_say(rollout, "same_content",
		    "the content is the stable revision's: no steps");
	rollout_finish(rollout);
}

static bool copy(char *to, size_t size, const char *from)
{
	int length = snprintf(to, size, "%s", from ? from : "");

	return length >= 0 && (size_t)length < size;
}

#define COPY(to, from) copy(to, sizeof(to), from)

static void begin_swapped(struct rollout *rollout,
			  const struct rollout_new *settings)
{
	struct rollout_position *at = &rollout->at;

	at->stage = ROLLOUT_WARM;
	at->outcome = ROLLOUT_PROMOTED;
	at->full = 1;
	at->weight_asked = at->weight_reached = at->weight = ATOM_WEIGHT_ALL;
	rollout->times.ended_ms = settings->wall_ms;
	rollout->times.warm_left_ms = settings->warm_ms;
	rollout_say(rollout, "undo", "back to revision %lld by one swap%s%s",
		    (long long)rollout->to, settings->reason ? ": " : "",
		    settings->reason ? settings->reason : "");
}

atom_status rollout_begin(struct rollout *rollout,
			  const struct rollout_new *settings,
			  struct atom_error *err)
{
	memset(rollout, 0, sizeof(*rollout));
	if (settings->from < 1 || settings->to < 1 ||
	    settings->from == settings->to)
		return atom_fail(err, ATOM_EINVAL,
				 "a rollout goes from one revision to another; "
				 "found %lld and %lld",
				 (long long)settings->from,
				 (long long)settings->to);
	if (!COPY(rollout->id, settings->id) ||
	    !COPY(rollout->agent, settings->agent) ||
	    !COPY(rollout->from_hash, settings->from_hash) ||
	    !COPY(rollout->to_hash, settings->to_hash) ||
	    !COPY(rollout->strategy, settings->strategy) ||
	    !COPY(rollout->judge, settings->judge))
		return atom_fail(err, ATOM_ELIMIT,
				 "a name of the rollout of '%.60s' is too long",
				 settings->agent);
	rollout->from = settings->from;
	rollout->to = settings->to;
	rollout->salt = settings->salt;
	rollout_reset(rollout, settings->wall_ms);
	if (settings->swap)
		begin_swapped(rollout, settings);
	if (rollout->at.stage != ROLLOUT_STEPS)
		return ATOM_OK;
	if (settings->full) {
		rollout->at.full = 1;
		rollout_finish(rollout);
	}
	rollout_say(rollout, settings->full ? "full" : "", "%s",
		    settings->reason ? settings->reason : "it begins");
	return ATOM_OK;
}

atom_status rollout_retry(struct rollout *rollout, uint64_t salt,
			  int64_t wall_ms, struct atom_error *err)
{
	if (rollout->at.outcome != ROLLOUT_ABORTED ||
	    rollout->at.stage != ROLLOUT_OVER)
		return atom_fail(err, ATOM_ESTATE,
				 "only an aborted rollout can be tried again; "
				 "this one is %s",
				 rollout_outcome_word(rollout->at.outcome));
	rollout->salt = salt;
	rollout_reset(rollout, wall_ms);
	if (rollout->at.stage == ROLLOUT_STEPS)
		rollout_say(rollout, "", "it begins again");
	return ATOM_OK;
}

int32_t rollout_step_to_clear(const struct rollout *rollout)
{
	const struct rollout_position *at = &rollout->at;

	if (at->full)
		return -1;
	if (at->stage == ROLLOUT_STEPS)
		return at->step;
	return at->stage == ROLLOUT_FINISHING &&
			       at->weight_reached < ATOM_WEIGHT_ALL
		       ? ROLLOUT_STEP_LAST
		       : -1;
}

void rollout_supersede(struct rollout *rollout)
{
	if (rollout->at.outcome == ROLLOUT_OPEN) {
		rollout_abort(rollout, "superseded",
			      "a newer revision took its place");
		rollout->at.outcome = ROLLOUT_SUPERSEDED;
	}
	/* One that was promoted stays so; its old revision is not kept warm. */
	rollout->at.weight =
		rollout->at.outcome == ROLLOUT_PROMOTED ? ATOM_WEIGHT_ALL : 0;
	rollout->at.stage = ROLLOUT_OVER;
}

/* --- what people ask -------------------------------------------------------- */

static bool moves(const struct rollout_position *at)
{
	return at->stage == ROLLOUT_STEPS || at->stage == ROLLOUT_FINISHING;
}

/* NULL: it is possible; else what stands in its way. */
static const char *hinders(const struct rollout *rollout, int32_t person)
{
	const struct rollout_position *at = &rollout->at;
	bool paused = at->paused != ROLLOUT_NOT_PAUSED || at->paused_by_person;

	if (person == ATOM_PERSON_ABORT) {
		if (at->stage == ROLLOUT_OVER || at->stage == ROLLOUT_RETURNING)
			return "it is over already; `undo` goes back to an "
			       "earlier revision";
		return NULL;
	}
	if (!moves(at))
		return "it is over already";
	if (person == ATOM_PERSON_RESUME && !paused)
		return "it is not paused";
	if (person == ATOM_PERSON_PROMOTE && at->frozen)
		return "it is frozen for now; `promote --full` goes on as "
		       "soon as it is not";
	if (person == ATOM_PERSON_PAUSE && at->paused_by_person)
		return "it is paused already";
	return NULL;
}

atom_status rollout_ask(struct rollout *rollout, int32_t person,
			struct atom_error *err)
{
	const char *why;

	if (person < ATOM_PERSON_PROMOTE || person > ATOM_PERSON_RESUME)
		return atom_fail(err, ATOM_EINVAL,
				 "no order of a rollout has the number %d",
				 person);
	why = hinders(rollout, person);
	if (why != NULL)
		return atom_fail(
			err, ATOM_ESTATE, "rollout %s of '%s' (%s): %s",
			rollout->id, rollout->agent,
			rollout_phase_word(rollout_phase(rollout)), why);
	/* Going back is never put off for going forward. */
	if (rollout->at.person != ATOM_PERSON_ABORT)
		rollout->at.person = person;
	return ATOM_OK;
}

/* --- words ------------------------------------------------------------------ */

int32_t rollout_phase(const struct rollout *rollout)
{
	const struct rollout_position *at = &rollout->at;

	if (at->outcome == ROLLOUT_ABORTED)
		return ATOM_PHASE_DEGRADED;
	if (!moves(at))
		return ATOM_PHASE_HEALTHY;
	if (at->paused != ROLLOUT_NOT_PAUSED || at->paused_by_person ||
	    at->frozen)
		return ATOM_PHASE_PAUSED;
	return ATOM_PHASE_PROGRESSING;
}

const char *rollout_phase_word(int32_t phase)
{
	switch (phase) {
	case ATOM_PHASE_HEALTHY:
		return "Healthy";
	case ATOM_PHASE_PROGRESSING:
		return "Progressing";
	case ATOM_PHASE_PAUSED:
		return "Paused";
	case ATOM_PHASE_DEGRADED:
		return "Degraded";
	default:
		return "Unknown";
	}
}

const char *rollout_analysis_word(const struct rollout *rollout)
{
	switch (rollout->at.analysis) {
	case ATOM_ANALYSIS_SUCCESSFUL:
		return "Successful";
	case ATOM_ANALYSIS_FAILED:
		return "Failed";
	case ATOM_ANALYSIS_ERROR:
		return "Error";
	case ATOM_ANALYSIS_INCONCLUSIVE:
		return "Inconclusive";
	default:
		return rollout->at.analysing == ROLLOUT_ANALYSING ? "Running"
								  : "";
	}
}

const char *rollout_outcome_word(int32_t outcome)
{
	static const char *const words[] = {
		[ROLLOUT_OPEN] = "open",
		[ROLLOUT_PROMOTED] = "promoted",
		[ROLLOUT_ABORTED] = "aborted",
		[ROLLOUT_SUPERSEDED] = "superseded",
	};

	return outcome >= ROLLOUT_OPEN && outcome <= ROLLOUT_SUPERSEDED
		       ? words[outcome]
		       : "unknown";
}

const char *rollout_bad_word(int32_t kind)
{
	static const char *const words[ATOM_BAD_COUNT] = {
		[ATOM_BAD_ERROR] = "error",
		[ATOM_BAD_SLOW] = "slower_than",
		[ATOM_BAD_SLOW_FIRST_TOKEN] = "first_token_slower_than",
		[ATOM_BAD_TOKENS] = "tokens_above",
		[ATOM_BAD_INVALID_JSON] = "invalid_json",
		[ATOM_BAD_RATED] = "rated_below",
	};

	return kind >= 0 && kind < ATOM_BAD_COUNT ? words[kind] : "unknown";
}
