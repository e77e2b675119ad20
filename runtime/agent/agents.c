/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agents.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/directory.h"
#include "agent/grading.h"
#include "agent/directory_priv.h"
#include "agent/freeze.h"
#include "agent/recent.h"
#include "agent/rollouts_priv.h"
#include "agent/session.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/registry.h"

/*
 * A changed agent gets a new revision beside the old one, its candidate, which
 * comes in by a rollout (rollouts.h).  When it cannot start, the old one
 * serves on and the log says why.
 */

#define WATCH_MS 20

struct table agents_table = TABLE_INIT;
bool agents_lacking;

static struct timer watch_timer;
static void (*started_callback)(void *argument);
static void *started_argument;
static int64_t started_until_ms;

struct agent *agents_find(const char *name)
{
	return table_get_text(&agents_table, name);
}

int64_t agent_desired(const struct agent *agent,
		      const struct revision *revision)
{
	const struct config_instances *bounds = &revision->agent->instances;
	int64_t desired = agent->scaler->desired;

	if (agent->pinned >= 0)
		return agent->pinned;
	if (agent->scaler->strategy == NULL || desired < bounds->min)
		return bounds->min;
	return desired > bounds->max ? bounds->max : desired;
}

/* What is no part of a revision may have changed since it was made. */
const struct setting *agent_setting(const struct agent *agent)
{
	const struct config_agent *serves = agent->stable->agent;
	const struct config_agent *now = agent->scaler->settings;

	return now != NULL && memcmp(now->text_hash, serves->text_hash,
				     sizeof(now->text_hash)) == 0
		       ? now->setting
		       : serves->setting;
}

atom_status agents_init(struct atom_error *err)
{
	atom_status status = revision_metrics_init(err);

	if (status == ATOM_OK)
		status = agent_limits_init(err);
	if (status == ATOM_OK)
		status = host_backend_register();
	if (status == ATOM_OK)
		status = recent_init(err);
	if (status == ATOM_OK)
		status = rollouts_init(err);
	if (status == ATOM_OK)
		status = scalers_init(err);
	return status;
}

static void split_of(const struct agent *agent, struct split *split_r)
{
	if (agent->rollout != NULL)
		live_split(agent->rollout, split_r);
	else
		*split_r = (struct split){ .stable = agent->stable };
}

atom_status agents_publish(void)
{
	struct split *list = mem_array(agents_table.count + 1, sizeof(*list));
	size_t n = 0, at = 0;
	struct agent *agent;
	atom_status status;

	if (list == NULL)
		return ATOM_ENOMEM;
	while ((agent = table_next(&agents_table, &at)) != NULL)
		if (agent->stable != NULL)
			split_of(agent, &list[n++]);
	status = directory_publish(list, n);
	mem_free(list);
	return status;
}

/* --- candidates ------------------------------------------------------------- */

/* The candidate becomes what serves; in force once the snapshot that names it
 * is published. */
static void swap_in(struct agent *agent)
{
	agent->replaced = agent->stable;
	agent->stable = TAKE(agent->candidate);
	agent->swapped = true;
}

static void swap_back(struct agent *agent)
{
	agent->candidate = agent->stable;
	agent->stable = TAKE(agent->replaced);
	agent->swapped = false;
}

static void swap_done(struct agent *agent)
{
	agent->swapped = false;
	/* What it was brought in by would go on from where it stood. */
	rollouts_forget(agent);
	agent_count_slots(agent);
	session_limits(agent->name, &agent->stable->agent->memory);
	/* A start tells how many; ten thousand lines would push others out of a
	 * pipe that is read slowly. */
	log_line(health_is_started() ? ATOM_LOG_INFO : ATOM_LOG_DEBUG,
		 "revision_serving", "a revision serves its agent's calls",
		 LOG_TEXT("agent", agent->name),
		 LOG_NUMBER("revision", agent->stable->number));
	if (agent->replaced == NULL)
		return;
	pool_retire(&agent->replaced->pool);
	revision_unref(TAKE(agent->replaced));
	agent_size(agent);
	/* The next start need not roll it out again. */
	agent_keep_soon(agent);
}

/* A candidate beside a stable revision comes in by a rollout; one that cannot
 * even begin is given up. */
static void roll_out(struct agent *agent)
{
	static const struct rollout_start by_file = { .who = "", .why = "" };
	struct atom_error err = ATOM_ERROR_INIT;

	if (rollouts_busy(agent) ||
	    rollouts_begin(agent, &by_file, &err) == ATOM_OK)
		return;
	log_line(ATOM_LOG_ERROR, "revision_failed", err.message,
		 LOG_TEXT("agent", agent->name),
		 LOG_NUMBER("revision", agent->candidate->number));
	pool_retire(&agent->candidate->pool);
	revision_unref(TAKE(agent->candidate));
}

/* Every candidate that has nobody to take over from serves from now on, and
 * queues, all by one snapshot; `now`: any candidate.  The others' rollouts
 * begin. */
static atom_status take_over(bool now)
{
	struct agent *agent;
	size_t count = 0;
	atom_status status = ATOM_OK;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->candidate != NULL &&
		    (now || agent->stable == NULL)) {
			swap_in(agent);
			count++;
		}
	if (count > 0)
		status = agents_publish();
	for (size_t at = 0;
	     count > 0 && (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->swapped && status == ATOM_OK)
			swap_done(agent);
		else if (agent->swapped)
			swap_back(agent);
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->candidate != NULL && agent->stable != NULL)
			roll_out(agent);
	return status;
}

atom_status agents_take_over(void)
{
	return take_over(false);
}

bool agents_ready(void)
{
	struct agent *agent;

	if (agents_lacking)
		return false;
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->stable == NULL ||
		    atomic_load(&agent->stable->pool.ready) <
			    (agent_desired(agent, agent->stable) > 0))
			return false;
	return true;
}

/* Ready, or failing so that waiting longer tells nothing new. */
static bool agents_settled(void)
{
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->stable == NULL
			    ? agent->error[0] == '\0'
			    : atomic_load(&agent->stable->pool.ready) <
					      (agent_desired(agent,
							     agent->stable) >
					       0) &&
				      !atomic_load(
					      &agent->stable->pool.failing))
			return false;
	return true;
}

static void on_watch(struct timer *timer)
{
	bool again = take_over(false) != ATOM_OK;

	if (started_callback != NULL) {
		if (agents_settled() ||
		    loop_now_ms(loop_control()) >= started_until_ms)
			TAKE(started_callback)(started_argument);
		else
			again = true;
	}
	if (again)
		(void)timer_set(loop_control(), timer, WATCH_MS);
}

void agents_watch(void)
{
	watch_timer.fire = on_watch;
	(void)timer_set(loop_control(), &watch_timer, 0);
}

void agents_when_started(int64_t deadline_ms, void (*ready)(void *argument),
			 void *argument)
{
	started_callback = ready;
	started_argument = argument;
	started_until_ms = loop_now_ms(loop_control()) + deadline_ms;
	agents_watch();
}

/* --- configurations ---------------------------------------------------------- */

static void check_memory_optimized(const struct config_agent *agent,
				   const struct component *component,
				   const char *const *ignored,
				   struct buffer *errors)
{
	const struct setting *over = agent->instances.memory_optimized;
	struct options *options = NULL;
	struct setting *group;

	if (over == NULL)
		return;
	if (component->ops->flags &
	    (ATOM_BACKEND_SHARED | ATOM_BACKEND_BLOCKING)) {
		config_complain(errors, over,
				"`memory_optimized` needs a backend with "
				"instances of its own; \"%s\" has none",
				agent->backend);
		return;
	}
	group = setting_overlay(agent->backend_options, over);
	if (group == NULL)
		config_complain(errors, over, "out of memory");
	else
		(void)options_fill(component->declared, group, ignored,
				   &options, errors);
	options_free(&options);
	setting_free(&group);
}

static void check_backend(const struct config_agent *agent,
			  struct buffer *errors)
{
	static const char *const ignored[] = { "plugin", NULL };
	const struct component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	struct options *options = NULL;

	if (registry_component("backend", agent->backend, &component, &err) !=
	    ATOM_OK) {
		config_complain(errors, agent->backend_options, "%s",
				err.message);
		return;
	}
	if (options_fill(component->declared, agent->backend_options, ignored,
			 &options, errors) == ATOM_OK)
		check_memory_optimized(agent, component, ignored, errors);
	options_free(&options);
}

atom_status agents_check(const struct config *config, struct buffer *errors)
{
	size_t before = errors->length;

	for (size_t i = 0; i < config->agent_count; i++) {
		check_backend(&config->agents[i], errors);
		scaler_check(&config->agents[i], errors);
		rollouts_check(&config->agents[i], errors);
	}
	grading_check(config, errors);
	return errors->length > before || errors->failed ? ATOM_EINVAL
							 : ATOM_OK;
}

struct applied {
	json_t *added;
	json_t *changed;
	json_t *removed;
	json_t *failed;
	json_int_t unchanged;
};

static bool scaling_differs(const struct config_agent *now,
			    const struct config_agent *next)
{
	struct buffer a = BUFFER_INIT((size_t)4 << 20);
	struct buffer b = BUFFER_INIT((size_t)4 << 20);
	bool differs;

	if (now->scaling.options != NULL)
		(void)setting_canonical(now->scaling.options, &a);
	if (next->scaling.options != NULL)
		(void)setting_canonical(next->scaling.options, &b);
	differs = a.failed || b.failed || a.length != b.length ||
		  (a.length > 0 && memcmp(a.bytes, b.bytes, a.length) != 0);
	buffer_fini(&a);
	buffer_fini(&b);
	return differs;
}

static bool file_is_unchanged(const struct agent *agent,
			      const struct config_agent *from)
{
	return agent->owner == AGENT_OF_FILE &&
	       memcmp(agent->file_hash, from->text_hash,
		      sizeof(agent->file_hash)) == 0;
}

/* The file's text is what shall serve: nothing new when it serves already. */
static atom_status take_file(struct agent *agent, struct config *config,
			     const struct config_agent *from,
			     struct atom_error *err)
{
	bool same = agent->current > 0 && agent->owner != AGENT_OF_NOBODY &&
		    memcmp(agent->text_hash, from->text_hash,
			   sizeof(agent->text_hash)) == 0;
	int64_t number = same ? agent->current : agent->number + 1;
	struct revision *newest = agent_newest(agent);
	atom_status status = ATOM_OK;

	if (!same || newest == NULL || newest->number != number)
		status = agent_make_revision(agent, config, from, number, err);
	if (status != ATOM_OK ||
	    (file_is_unchanged(agent, from) && agent_follows_file(agent) &&
	     agent_has_record(agent, number)))
		return status; /* it is kept like this already */
	if (number > agent->number)
		agent->number = number;
	agent->owner = AGENT_OF_FILE;
	memcpy(agent->file_hash, from->text_hash, sizeof(agent->file_hash));
	agent_remember(agent, number, from, config->directory);
	agent->current = number;
	memcpy(agent->text_hash, from->text_hash, sizeof(agent->text_hash));
	return ATOM_OK;
}

static void count_unchanged(struct agent *agent,
			    const struct config_agent *from,
			    struct applied *applied)
{
	if (!agent_follows_file(agent) || agent->scaler->settings == NULL ||
	    !scaling_differs(agent->scaler->settings, from))
		applied->unchanged++;
	else
		json_array_append_new(applied->changed,
				      json_string(from->name));
}

static atom_status apply_one(struct config *config,
			     const struct config_agent *from,
			     struct applied *applied, struct atom_error *err)
{
	struct agent *agent = agents_find(from->name);
	bool added = agent == NULL;
	atom_status status = ATOM_EINVAL;

	if (!added && agent->stable != NULL && file_is_unchanged(agent, from)) {
		count_unchanged(agent, from, applied);
		return ATOM_OK;
	}
	if (added)
		agent = agent_new(from->name, true);
	if (agent == NULL) {
		agents_lacking = true;
		return atom_fail(err, ATOM_ENOMEM, "no memory for agent %s",
				 from->name);
	}
	/* What the API made of it stays over a restart.  Where that cannot be
	 * had any more, the file's text serves, as a new revision. */
	if (added && file_is_unchanged(agent, from) &&
	    !agent_follows_file(agent))
		status = agent_revive(agent, config, err);
	if (status != ATOM_OK)
		status = take_file(agent, config, from, err);
	agent->error[0] = '\0';
	if (status == ATOM_OK)
		json_array_append_new(added ? applied->added : applied->changed,
				      json_string(from->name));
	else if (agent->stable == NULL)
		(void)snprintf(agent->error, sizeof(agent->error), "%.230s",
			       err->message);
	return status;
}

void agent_apply_limits(struct agent *agent, const struct config_agent *from,
			const struct config *config)
{
	struct config_limits limits =
		limits_of(&from->rate_limits, &config->agent_limits);

	limiter_set(&agent->limits->limiter, &limits, os.monotonic_ns());
}

/* Not part of a revision: in force at once. */
static void apply_limits(const struct config *config)
{
	struct agent *agent;

	for (size_t i = 0; i < config->agent_count; i++) {
		const struct config_agent *from = &config->agents[i];

		agent = agents_find(from->name);
		if (agent != NULL && agent_follows_file(agent))
			agent_apply_limits(agent, from, config);
	}
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (!agent_follows_file(agent) &&
		    agent->scaler->settings != NULL)
			agent_apply_limits(agent, agent->scaler->settings,
					   config);
}

/* No part of a revision either: another strategy takes over at once. */
static void apply_scaling(struct config *config, struct applied *applied)
{
	struct atom_error err = ATOM_ERROR_INIT;

	for (size_t i = 0; i < config->agent_count; i++) {
		const struct config_agent *from = &config->agents[i];
		struct agent *agent = agents_find(from->name);

		if (agent == NULL || !agent_follows_file(agent))
			continue;
		if (scaler_configure(agent->scaler, config, from, &err) !=
		    ATOM_OK) {
			log_line(ATOM_LOG_ERROR, "scaling_failed", err.message,
				 LOG_TEXT("agent", from->name));
			json_object_set_new(applied->failed, from->name,
					    json_string(err.message));
		}
		agent_size(agent);
	}
}

static bool config_names(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->agent_count; i++)
		if (strcmp(config->agents[i].name, name) == 0)
			return true;
	return false;
}

static void remove_gone(const struct config *config, struct applied *applied)
{
	struct table names = TABLE_INIT;
	struct agent *agent;
	bool known = true;

	for (size_t i = 0; i < config->agent_count; i++)
		known &= table_set(&names, config->agents[i].name,
				   strlen(config->agents[i].name),
				   (void *)(uintptr_t)config->agents[i].name,
				   NULL) == ATOM_OK;
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		if (agent->owner == AGENT_OF_API ||
		    (known ? table_get_text(&names, agent->name) != NULL
			   : config_names(config, agent->name)))
			continue;
		json_array_append_new(applied->removed,
				      json_string(agent->name));
		session_limits(agent->name, NULL);
		log_line(ATOM_LOG_INFO, "agent_removed",
			 "an agent is gone from the configuration and drains",
			 LOG_TEXT("agent", agent->name));
		agent_remove(agent);
	}
	table_fini(&names);
}

static void on_revived(void *argument, const char *name,
		       const struct atom_error *why)
{
	struct applied *applied = argument;

	if (why == NULL)
		json_array_append_new(applied->added, json_string(name));
	else
		json_object_set_new(applied->failed, name,
				    json_string(why->message));
}

atom_status agents_apply(struct config *config, bool now, json_t **result_r,
			 struct atom_error *err)
{
	static bool started;
	bool first_time = !started, lacked = agents_lacking;
	struct applied applied = { json_array(), json_array(), json_array(),
				   json_object(), 0 };
	atom_status status = ATOM_OK, first = ATOM_OK;
	struct atom_error one = ATOM_ERROR_INIT;

	agents_lacking = false;
	if (first_time)
		freeze_recall();
	freeze_apply(config);
	revision_set_token_limit(config->token_limit);
	agents_set_history(config->revision_history);
	pool_set_bounds(config->max_agents,
			config->memory_limit_mib > 0
				? config->memory_limit_mib * 1024 * 1024
				: INT64_MAX);
	agents_keep_at_once(now);
	for (size_t i = 0; i < config->agent_count; i++) {
		status = apply_one(config, &config->agents[i], &applied, &one);
		if (status == ATOM_OK)
			continue;
		log_line(ATOM_LOG_ERROR, "agent_failed", one.message,
			 LOG_TEXT("agent", config->agents[i].name));
		json_object_set_new(applied.failed, config->agents[i].name,
				    json_string(one.message));
		if (first == ATOM_OK)
			*err = one;
		first = first != ATOM_OK ? first : status;
	}
	if (first_time || lacked)
		agents_revive(config, on_revived, &applied);
	started = true;
	apply_limits(config);
	apply_scaling(config, &applied);
	agents_remember_flush();
	agents_keep_at_once(false);
	remove_gone(config, &applied);
	if (first_time)
		rollouts_resume(config);
	status = take_over(now && !first_time);
	if (status == ATOM_OK)
		status = agents_publish();
	agents_watch();
	if (result_r != NULL)
		*result_r = json_pack("{s:o,s:o,s:o,s:o,s:I}", "failed",
				      applied.failed, "changed",
				      applied.changed, "added", applied.added,
				      "removed", applied.removed, "unchanged",
				      applied.unchanged);
	if (result_r == NULL) {
		json_decref(applied.changed);
		json_decref(applied.added);
		json_decref(applied.removed);
		json_decref(applied.failed);
	}
	return first != ATOM_OK ? first : status;
}
