/* SPDX-License-Identifier: Apache-2.0 */

/* The first four steps of a workflow: each says what it has found. */

#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/directory.h"
#include "agent/records.h"
#include "agent/workflow_priv.h"
#include "config/value.h"
#include "core/health.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "monitor/history.h"
#include "monitor/monitors.h"
#include "plugin/host.h"
#include "plugin/registry.h"
#include "security/principal.h"
#include "security/role.h"

/* Shorter ones stand in any text by chance. */
#define SECRET_LENGTH_MIN 8
/* A sampler that has left out so many has stopped. */
#define SAMPLES_MISSED 3

/* --- system_initialization -------------------------------------------------------- */

static enum workflow_verdict initialization(struct workflow *w)
{
	const struct live *live = w->live;
	const struct revision *to = live->to;
	const struct pool *pool = &to->pool;
	const struct component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	long long ready = (long long)atomic_load(&pool->ready);

	if (!agent_has_record(live->agent, to->number)) {
		workflow_say(w,
			     "revision %lld has no record: it could not be "
			     "made again",
			     (long long)to->number);
		return STEP_FAILS;
	}
	if (registry_component("backend", to->agent->backend, &component,
			       &err) != ATOM_OK) {
		workflow_say(w, "%.200s", err.message);
		return STEP_FAILS;
	}
	if (!live->published || live->done.new_instances < 1) {
		workflow_say(w, "no instance has been asked for yet");
		return STEP_GOES_ON;
	}
	if (ready < 1) {
		workflow_say(w, "no instance is ready%s%.180s",
			     pool->start_error[0] != '\0' ? ": " : "",
			     pool->start_error);
		return STEP_GOES_ON;
	}
	workflow_say(w, "revision %lld has started", (long long)to->number);
	workflow_evidence(w, "revision %lld is recorded, sha256 %.16s...",
			  (long long)to->number, live->state->to_hash);
	workflow_evidence(w, "backend/%.64s is loaded", component->name);
	workflow_evidence(w, "%lld instances are ready", ready);
	return STEP_IS_DONE;
}

/* --- security_setup ----------------------------------------------------------------- */

struct secrets {
	const char *const *names; /* of secret options; NULL-ended */
	const char *shown;	  /* what people see of the revision */
	size_t count;
	const char *leaked; /* the name of one that shows */
};

static bool named(const char *const *names, const char *name)
{
	while (*names != NULL && (name == NULL || strcmp(*names, name) != 0))
		names++;
	return *names != NULL;
}

static void look_for_secrets(struct secrets *s, const struct setting *setting)
{
	for (size_t i = 0; i < setting->member_count; i++)
		look_for_secrets(s, setting->members[i]);
	if (setting->type != SETTING_STRING ||
	    (!setting->secret && !named(s->names, setting->name)) ||
	    setting->text == NULL || setting->text[0] == '\0')
		return;
	s->count++;
	if (strlen(setting->text) >= SECRET_LENGTH_MIN &&
	    strstr(s->shown, setting->text) != NULL)
		s->leaked = setting->name != NULL ? setting->name : "(unnamed)";
}

static enum workflow_verdict check_secrets(struct workflow *w,
					   struct secrets *s)
{
	const struct setting *setting = w->live->to->agent->setting;
	struct buffer shown = BUFFER_INIT(STATE_VALUE_MAX);
	const char **names = NULL;
	enum workflow_verdict verdict = STEP_FAILS;

	if (!record_secret_names(setting, &names) ||
	    setting_print(setting, 0, names, &shown) != ATOM_OK) {
		workflow_say(w, "which of its options are secret cannot be "
				"told");
		goto out;
	}
	s->names = names;
	s->shown = shown.bytes;
	look_for_secrets(s, setting);
	verdict = s->leaked == NULL ? STEP_IS_DONE : STEP_FAILS;
	if (s->leaked != NULL)
		workflow_say(w,
			     "the secret `%.60s` can be read in what is "
			     "shown of the revision",
			     s->leaked);
	else
		workflow_evidence(w,
				  "%zu secrets have a value, none stands "
				  "in what is shown of the revision",
				  s->count);
out:
	mem_free(names);
	buffer_fini(&shown);
	return verdict;
}

/* A secret that travels in clear, or to whom nobody has verified. */
static enum workflow_verdict check_upstream(struct workflow *w,
					    const struct secrets *s)
{
	const struct setting *options = w->live->to->agent->backend_options;
	const struct setting *url = setting_member(options, "base_url");
	const struct setting *verify = setting_member(options, "verify_tls");
	const char *text = url != NULL ? value_to_text(url) : NULL;
	bool unverified = verify != NULL && verify->type == SETTING_BOOL &&
			  verify->integer == 0;
	const char *wrong = NULL;

	if (text == NULL) {
		workflow_evidence(w, "the backend names no upstream");
		return STEP_IS_DONE;
	}
	if (text_is_loopback_url(text)) {
		workflow_evidence(w, "its upstream is this machine");
		return STEP_IS_DONE;
	}
	if (strncmp(text, "https://", 8) != 0)
		wrong = "its upstream is reached in clear";
	else if (unverified)
		wrong = "its upstream's certificate is not verified";
	if (wrong == NULL) {
		workflow_evidence(w, "its upstream is reached by verified TLS");
		return STEP_IS_DONE;
	}
	if (s->count == 0 || workflow_demand(w) == CONFIG_COMPLIANCE_NONE) {
		workflow_evidence(w, "%s", wrong);
		return STEP_IS_DONE;
	}
	workflow_say(w, "%s, and it is sent secrets", wrong);
	return STEP_FAILS;
}

static void tell_callers(struct workflow *w)
{
	const struct config *config = workflow_outside->config();
	static const char *const built_in[] = { "admin", "operator",
						"read_only", "caller" };
	char roles[RESULT_MAX] = "";
	size_t length = 0;

	for (size_t i = 0; i < ARRAY_SIZE(built_in) + config->role_count; i++) {
		const char *role =
			i < ARRAY_SIZE(built_in)
				? built_in[i]
				: config->roles[i - ARRAY_SIZE(built_in)].name;
		int n;

		if ((role_permissions(role) & PERMISSION_INVOKE_AGENT) == 0)
			continue;
		n = snprintf(roles + length, sizeof(roles) - length, "%s%.64s",
			     length > 0 ? ", " : "", role);
		length += n > 0 && (size_t)n < sizeof(roles) - length
				  ? (size_t)n
				  : 0;
	}
	workflow_evidence(w, "roles that may call it: %s", roles);
	if (config->anonymous_role[0] != '\0')
		workflow_evidence(w,
				  "callers without a key have the role "
				  "%.64s",
				  config->anonymous_role);
}

static enum workflow_verdict security(struct workflow *w)
{
	struct secrets s = { .leaked = NULL };
	enum workflow_verdict verdict = check_secrets(w, &s);

	if (verdict == STEP_IS_DONE)
		verdict = check_upstream(w, &s);
	if (verdict != STEP_IS_DONE)
		return verdict;
	if (workflow_outside != NULL)
		tell_callers(w);
	workflow_say(w, "%zu secrets, none readable in the record", s.count);
	return STEP_IS_DONE;
}

/* --- monitoring_activation ---------------------------------------------------------- */

struct series {
	const char *agent;
	const char *revision;
	unsigned int count;
};

static void count_series(void *argument, const struct metric_view *view)
{
	struct series *s = argument;
	bool agent = false, revision = false;

	for (size_t i = 0; i < view->label_count; i++) {
		const char *value = view->label_values[i];

		agent |= strcmp(view->label_names[i], "agent") == 0 &&
			 strcmp(value, s->agent) == 0;
		revision |= strcmp(view->label_names[i], "revision") == 0 &&
			    strcmp(value, s->revision) == 0;
	}
	s->count += agent && revision;
}

static bool history_stopped(int64_t *age_ms_r)
{
	struct atom_history_extent extent = { .struct_size = sizeof(extent) };

	history_extent(&extent);
	*age_ms_r = extent.last_ms > 0 ? os.realtime_ms() - extent.last_ms : -1;
	return *age_ms_r > (int64_t)SAMPLES_MISSED * HISTORY_RAW_MS;
}

/* An event of its own; what it is, is in no way special to a monitor. */
static void send_event(struct workflow *w)
{
	char text[160];
	int length = snprintf(text, sizeof(text),
			      "{\"id\":\"%s\",\"revision\":%lld}", w->live->id,
			      (long long)w->live->state->to);

	host_publish("workflow.monitoring", w->live->agent->name,
		     &(struct atom_span){ text, (size_t)length });
	w->event = monitors_told();
}

static enum workflow_verdict monitoring(struct workflow *w)
{
	struct revision *to = w->live->to;
	struct series s = { w->live->agent->name, revision_label(to), 0 };
	unsigned int taking = 0, behind;
	int64_t age_ms;

	if (w->event == 0)
		send_event(w);
	/* As each scrape and each sample does it. */
	revision_measure(to, false);
	metric_visit(count_series, &s);
	if (s.count == 0) {
		workflow_say(w, "no series of revision %s is in the registry",
			     s.revision);
		return STEP_FAILS;
	}
	if (history_stopped(&age_ms)) {
		workflow_say(w, "the history's last sample is %lld s old",
			     (long long)age_ms / 1000);
		return STEP_GOES_ON;
	}
	behind = monitors_behind(w->event, &taking);
	if (behind > 0) {
		workflow_say(w,
			     "%u of %u monitors have not heard the event of "
			     "this step",
			     behind, taking);
		return STEP_GOES_ON;
	}
	workflow_evidence(w, "%u series of revision %s are in the registry",
			  s.count, s.revision);
	if (age_ms >= 0)
		workflow_evidence(w, "the history's last sample is %lld ms old",
				  (long long)age_ms);
	workflow_evidence(w, "%u monitors have heard event %llu", taking,
			  (unsigned long long)w->event);
	workflow_say(w, "%u series, %u monitors", s.count, taking);
	return STEP_IS_DONE;
}

/* --- health_verification -------------------------------------------------------------- */

static void on_previewed(void *argument, const struct workflow_previewed *p)
{
	struct workflow_question *question = argument;
	struct workflow_answer *a = workflow_place(question);

	question->workflow->preview = NULL;
	if (a != NULL) {
		a->status = p->status;
		(void)snprintf(a->message, sizeof(a->message), "%s",
			       p->message);
		a->duration_ms = p->duration_ms;
		a->tokens = p->tokens;
		a->output_bytes = p->output_bytes;
	}
	workflow_answered(question);
}

static enum workflow_verdict put_probe(struct workflow *w)
{
	const struct revision *to = w->live->to;
	struct workflow_question *question;
	const struct workflow_preview preview = {
		.agent = w->live->agent->name,
		.revision = revision_label(to),
		.input = config_probe(to->agent),
		.timeout_ms = workflow_timeout_ms(w),
	};

	if (workflow_outside == NULL) {
		workflow_say(w, "nothing here can make the probe's call");
		return STEP_FAILS;
	}
	question = workflow_ask(w, SLOT_PREVIEW);
	if (question == NULL)
		return STEP_GOES_ON;
	workflow_say(w, "the probe has not been answered");
	w->preview =
		workflow_outside->preview(&preview, on_previewed, question);
	return STEP_GOES_ON;
}

/* Against what the agent's `bad_events` call bad. */
static enum workflow_verdict judge_probe(struct workflow *w,
					 const struct workflow_answer *a)
{
	const struct config_bad_events *bad = &w->live->settings->bad_events;

	if (a->status != ATOM_OK) {
		workflow_say(w, "the probe failed: %.200s", a->message);
		return STEP_FAILS;
	}
	if (a->output_bytes == 0) {
		workflow_say(w, "the probe was answered by nothing");
		return STEP_FAILS;
	}
	if (bad->slower_than_ms > 0 && a->duration_ms > bad->slower_than_ms) {
		workflow_say(w,
			     "the probe took %lld ms, and bad_events call "
			     "more than %lld ms bad",
			     (long long)a->duration_ms,
			     (long long)bad->slower_than_ms);
		return STEP_FAILS;
	}
	if (bad->tokens_above > 0 && a->tokens > bad->tokens_above) {
		workflow_say(w,
			     "the probe took %lld tokens, and bad_events "
			     "call more than %lld bad",
			     (long long)a->tokens,
			     (long long)bad->tokens_above);
		return STEP_FAILS;
	}
	workflow_say(w, "the probe was answered in %lld ms",
		     (long long)a->duration_ms);
	workflow_evidence(w, "%lld bytes, %lld tokens, through revision %s",
			  (long long)a->output_bytes, (long long)a->tokens,
			  revision_label(w->live->to));
	return STEP_IS_DONE;
}

static enum workflow_verdict health(struct workflow *w)
{
	const struct pool *pool = &w->live->to->pool;
	const struct workflow_answer *a = &w->answers[SLOT_PREVIEW];
	long long ready = (long long)atomic_load(&pool->ready);
	int32_t wanted = w->live->orders.new_instances;

	if (a->there)
		return judge_probe(w, a);
	if (a->put)
		return STEP_GOES_ON;
	if (config_probe(w->live->to->agent) != NULL)
		return put_probe(w);
	workflow_say(w,
		     "no probe is configured; %lld of %d instances are "
		     "ready",
		     ready, wanted);
	if (ready < 1 || ready < wanted || atomic_load(&pool->unhealthy))
		return STEP_GOES_ON;
	return STEP_IS_DONE;
}

const struct workflow_kind workflow_kinds[WORKFLOW_STEPS] = {
	{ "system_initialization", initialization },
	{ "security_setup", security },
	{ "monitoring_activation", monitoring },
	{ "health_verification", health },
	{ "production_readiness", workflow_readiness },
};
