/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/scaler.h"

#include <stdio.h>
#include <string.h>

#include <atomd/scaling.h>

#include "agent/agents_priv.h"
#include "agent/directory.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/options.h"
#include "plugin/registry.h"

/* How often pools are looked at while there are calls: ten times a second, so
 * that the averages of a sample are some. */
#define LOOK_MS	  100
#define SECOND_MS 1000

static const char *const host_keys[] = { "plugin",     "target_wait_ms",
					 "dry_run",    "scale_up",
					 "scale_down", NULL };

static struct timer look_timer;
static struct timer urgent_timer;
static int64_t sampled_ms;
static int64_t ticked_ms;
static metric_id ticks;
static bool stopped;

static int64_t steady_ms(void)
{
	return os.monotonic_ns() / 1000000;
}

/* --- the strategy ------------------------------------------------------------------ */

static const char *strategy_name(const struct scaler *scaler)
{
	return scaler->strategy != NULL
		       ? configured_component(scaler->strategy)->name
		       : "";
}

void scaler_check(const struct config_agent *settings, struct buffer *errors)
{
	const struct config_scaling *scaling = &settings->scaling;
	const struct component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	struct options *options = NULL;

	if (scaling->plugin == NULL)
		return;
	if (registry_component("scaling", scaling->plugin, &component, &err) !=
	    ATOM_OK)
		config_complain(errors, scaling->options, "%s", err.message);
	else
		(void)options_fill(component->declared, scaling->options,
				   host_keys, &options, errors);
	options_free(&options);
}

static void end_strategy(struct scaler *scaler)
{
	configured_free(&scaler->strategy);
	config_unref(&scaler->strategy_config);
}

static void forget_state(struct scaler *scaler)
{
	mem_free(TAKE(scaler->state));
	scaler->state_size = 0;
}

/* What the one before has said is over. */
static void forget_decision(struct scaler *scaler)
{
	memset(&scaler->advice, 0, sizeof(scaler->advice));
	scaler->decision = (struct scaling_decision){ .advised = -1 };
	scaler->told_limit = NULL;
	scaler->told_fault = NULL;
	scaler->told_proposed = -1;
}

/* Does the strategy go on, if need be with changed options? */
static bool goes_on(struct scaler *scaler, const struct component *component,
		    const struct setting *options)
{
	struct buffer errors = BUFFER_INIT(4096);
	struct atom_error err = ATOM_ERROR_INIT;
	bool on = scaler->strategy != NULL &&
		  configured_component(scaler->strategy) == component &&
		  configured_update(scaler->strategy, options, &errors, &err) ==
			  ATOM_OK;

	buffer_fini(&errors);
	return on;
}

static atom_status make_strategy(struct scaler *scaler, struct config *config,
				 const struct config_agent *settings,
				 struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT((size_t)64 * 1024);
	struct configured *strategy = NULL;
	struct configured_spec spec = {
		.group = settings->scaling.options,
		.ignored = host_keys,
		.agent = scaler->agent->name,
		.directory = config->directory,
		.owner = scaler,
	};
	atom_status status = registry_component(
		"scaling", settings->scaling.plugin, &spec.component, err);

	if (status != ATOM_OK || goes_on(scaler, spec.component, spec.group))
		goto out;
	status = configured_new(&spec, &strategy, &errors, err);
	if (status != ATOM_OK) {
		if (errors.length > 0)
			atom_fail(err, status, "%.*s", (int)errors.length,
				  errors.bytes);
		goto out;
	}
	if (scaler->strategy == NULL ||
	    strcmp(strategy_name(scaler), spec.component->name) != 0)
		forget_state(scaler);
	end_strategy(scaler);
	forget_decision(scaler);
	scaler->strategy = strategy;
	scaler->strategy_config = config_ref(config);
out:
	buffer_fini(&errors);
	return status;
}

static void set_scaled(struct scaler *scaler)
{
	struct agent *agent = scaler->agent;

	if (agent->stable != NULL)
		atomic_store(&agent->stable->pool.scaled,
			     scaler->strategy != NULL);
	if (agent->candidate != NULL)
		atomic_store(&agent->candidate->pool.scaled,
			     scaler->strategy != NULL);
}

atom_status scaler_configure(struct scaler *scaler, struct config *config,
			     const struct config_agent *settings,
			     struct atom_error *err)
{
	atom_status status = ATOM_OK;
	struct config *before = scaler->config;

	if (settings->scaling.plugin == NULL) {
		end_strategy(scaler);
		forget_state(scaler);
		forget_decision(scaler);
		mem_free(TAKE(scaler->control));
	} else {
		if (scaler->control == NULL) {
			scaler->control = mem_alloc(sizeof(*scaler->control));
			if (scaler->control == NULL)
				return atom_fail(err, ATOM_ENOMEM,
						 "no memory for scaling");
			scaling_control_init(scaler->control);
			scaler->desired = (int32_t)settings->instances.min;
		}
		status = make_strategy(scaler, config, settings, err);
	}
	scaler->config = config_ref(config);
	scaler->settings = settings;
	config_unref(&before);
	set_scaled(scaler);
	return status;
}

struct scaler *scaler_new(struct agent *agent)
{
	struct scaler *scaler = mem_zalloc(sizeof(*scaler));

	if (scaler != NULL) {
		scaler->agent = agent;
		scaler->sampled_ms = steady_ms();
		scaler->told_proposed = -1;
	}
	return scaler;
}

void scaler_free(struct scaler **scaler)
{
	struct scaler *s = *scaler;

	if (s == NULL)
		return;
	end_strategy(s);
	forget_state(s);
	mem_free(s->control);
	scaling_window_free(&s->window);
	mem_free(s->recent);
	config_unref(&s->config);
	mem_free(TAKE(*scaler));
}

/* --- asking -------------------------------------------------------------------------- */

/* Room for the state of the strategy that is asked. */
static _Alignas(16) unsigned char scratch[ATOM_SCALING_STATE_MAX];

static atom_status keep_state(struct scaler *scaler, size_t size)
{
	void *kept;

	if (size > sizeof(scratch))
		return ATOM_ELIMIT;
	if (size != scaler->state_size) {
		kept = mem_realloc(scaler->state, size > 0 ? size : 1);
		if (kept == NULL)
			return ATOM_ENOMEM;
		scaler->state = kept;
		scaler->state_size = size;
	}
	if (size > 0)
		memcpy(scaler->state, scratch, size);
	return ATOM_OK;
}

/* Its state stays as it was when the strategy fails. */
static atom_status evaluate(struct scaler *scaler, const struct atom_load *load,
			    struct atom_scaling_advice *advice_r,
			    int64_t *took_ms_r)
{
	const struct component *component =
		configured_component(scaler->strategy);
	const struct atom_scaling_ops *ops =
		(const struct atom_scaling_ops *)(const void *)component->ops;
	struct atom_error err = ATOM_ERROR_INIT;
	size_t size = scaler->state_size;
	int64_t began = host_call_begin(), began_ns = os.monotonic_ns();
	atom_status status;
	char what[256];

	(void)snprintf(what, sizeof(what),
		       "the scaling strategy %s of the agent %s",
		       component->name, scaler->agent->name);
	health_control_begins(what);
	if (size > 0)
		memcpy(scratch, scaler->state, size);
	scaling_advice_init(advice_r);
	component_count_call(component);
	status = ops->evaluate(configured_self(scaler->strategy), load, scratch,
			       &size, advice_r, &err);
	*took_ms_r = (os.monotonic_ns() - began_ns) / 1000000;
	host_call_end(began, component, "evaluate");
	health_control_begins(NULL);
	if (status == ATOM_OK) {
		status = keep_state(scaler, size);
		if (status != ATOM_OK)
			atom_fail(&err, status,
				  "%zu bytes of state, at most %zu are kept",
				  size, sizeof(scratch));
	}
	if (status != ATOM_OK)
		component_note_error(component, err.message);
	return status;
}

static void look_around(const struct scaler *scaler,
			const struct atom_load *load,
			struct scaling_situation *now_r)
{
	const struct pool *pool = &scaler->agent->stable->pool;
	int64_t room = pool_room(pool, &now_r->room_limit);

	if (pool->style != POOL_OWNED)
		room = pool_slots_room();
	*now_r = (struct scaling_situation){
		.now_ms = load->steady_ms,
		.wall_ms = load->now_ms,
		.min = load->min,
		.max = load->max,
		.desired = load->desired,
		.waiting = load->waiting,
		.room = (int32_t)(room < INT32_MAX ? room : INT32_MAX),
		.room_limit = now_r->room_limit,
		.measured = scaler->window != NULL &&
			    load->steady_ms - scaling_window_last_ms(
						      scaler->window) <
				    3 * SECOND_MS,
	};
	/* More of what does not start would not help anybody. */
	if (atomic_load(&pool->failing) && load->desired > 0) {
		now_r->room = 0;
		now_r->room_limit = "not_ready";
	}
}

static const char *action_word(int32_t action)
{
	switch (action) {
	case ATOM_SCALE_ADD:
		return "add_agents";
	case ATOM_SCALE_REMOVE:
		return "remove_agents";
	case ATOM_SCALE_ADD_MEMORY:
		return "add_memory_optimized_agents";
	default:
		return "none";
	}
}

static struct scaling_event event_of(const struct scaler *scaler, int32_t from,
				     int32_t to)
{
	const struct atom_scaling_advice *advice = &scaler->advice;

	return (struct scaling_event){
		.agent = scaler->agent->name,
		.action = to > from   ? "add_agents"
			  : to < from ? "remove_agents"
				      : "none",
		.reason = advice->reason_code[0] != '\0' ? advice->reason_code
							 : "advised",
		.metric = advice->metric,
		.value = advice->value,
		.strategy = strategy_name(scaler),
		.recommended_action = action_word(advice->action),
		.detail = advice->reason,
		.bound = scaler->decision.bound,
		.from = from,
		.to = to,
	};
}

static int direction(int32_t from, int32_t to)
{
	return (to > from) - (to < from);
}

/* The number changes: the strategy's reason where it wanted that direction,
 * else the rule that said so. */
static void tell_change(const struct scaler *scaler, int32_t from, int32_t to,
			bool dry_run)
{
	const struct scaling_decision *decision = &scaler->decision;
	struct scaling_event event = event_of(scaler, from, to);

	if ((decision->advised < 0 ||
	     direction(from, decision->advised) != direction(from, to)) &&
	    decision->bound != NULL) {
		event.reason = decision->bound;
		event.detail = "";
	}
	event.dry_run = dry_run;
	scaling_event(&event);
}

/* What goes on for a while is told once. */
static void tell_states(struct scaler *scaler, int32_t desired)
{
	const struct scaling_decision *decision = &scaler->decision;
	const struct pool *pool = &scaler->agent->stable->pool;
	bool limited = decision->bound != NULL &&
		       (strcmp(decision->bound, "max_agents") == 0 ||
			strcmp(decision->bound, "memory_limit") == 0);
	bool not_ready = atomic_load(&pool->failing) && desired > 0;
	struct scaling_event event = event_of(scaler, desired, desired);

	event.detail = "";
	if (limited && scaler->told_limit != decision->bound) {
		event.reason = "limit_reached";
		scaling_event(&event);
	}
	scaler->told_limit = limited ? decision->bound : NULL;
	if (decision->fault != NULL)
		scaling_fault(event.agent, event.strategy, decision->fault);
	if (decision->fault != NULL && scaler->told_fault != decision->fault) {
		event.reason = "advice_ignored";
		event.metric = decision->fault;
		event.recommended_action = "none";
		event.value = (double)scaler->control->faults;
		scaling_event(&event);
	}
	scaler->told_fault = decision->fault;
	if (not_ready && !scaler->told_not_ready) {
		event.reason = "instances_not_ready";
		event.recommended_action = "none";
		scaling_event(&event);
	}
	scaler->told_not_ready = not_ready;
}

static void put_in_force(struct scaler *scaler, int32_t desired)
{
	struct agent *agent = scaler->agent;

	if (scaler->advice.action == ATOM_SCALE_ADD_MEMORY &&
	    scaler->decision.fault == NULL && desired > scaler->desired)
		pool_want_memory(&agent->stable->pool,
				 desired - scaler->desired);
	scaler->desired = desired;
	agent_size(scaler->agent);
}

static void ask(struct scaler *scaler)
{
	const struct scaling_settings *settings;
	struct scaling_situation now = { .room_limit = NULL };
	struct scaling_decision *decision = &scaler->decision;
	struct atom_load load;
	int64_t now_ms = steady_ms(), took_ms;
	atom_status status;

	if (scaler->strategy == NULL || scaler->agent->stable == NULL ||
	    scaler->agent->pinned >= 0 || stopped)
		return;
	settings = &scaler->settings->scaling.settings;
	scaler->asked_ms = now_ms;
	scaler_load(scaler, now_ms, &load);
	look_around(scaler, &load, &now);
	status = evaluate(scaler, &load, &scaler->advice, &took_ms);
	scaling_decide(scaler->control, settings, &now, &scaler->advice, status,
		       took_ms, decision);
	scaling_advice_clean(&scaler->advice);
	if (decision->wanted != now.desired) {
		put_in_force(scaler, decision->wanted);
		tell_change(scaler, now.desired, decision->wanted, false);
	} else if (settings->dry_run &&
		   decision->proposed != scaler->told_proposed) {
		if (decision->proposed != now.desired)
			tell_change(scaler, now.desired, decision->proposed,
				    true);
		scaler->told_proposed = decision->proposed;
	}
	tell_states(scaler, decision->wanted);
}

/* --- by hand --------------------------------------------------------------------------- */

static void tell_by_hand(struct scaler *scaler, int32_t from, int32_t to,
			 const char *reason)
{
	const struct scaling_event event = {
		.agent = scaler->agent->name,
		.action = to > from   ? "add_agents"
			  : to < from ? "remove_agents"
				      : "none",
		.reason = reason,
		.metric = "",
		.strategy = strategy_name(scaler),
		.recommended_action = "none",
		.detail = "",
		.from = from,
		.to = to,
	};

	if (scaler->control != NULL)
		scaling_note_change(scaler->control, steady_ms(), from, to);
	scaling_event(&event);
}

void scaler_pinned(struct scaler *scaler, int32_t from, int32_t to)
{
	scaler->desired = to;
	tell_by_hand(scaler, from, to, "pinned");
}

void scaler_released(struct scaler *scaler, int32_t from)
{
	const struct agent *agent = scaler->agent;

	/* The strategy goes on from what there is. */
	scaler->desired = from;
	tell_by_hand(scaler, from, (int32_t)agent_desired(agent, agent->stable),
		     "released");
	ask(scaler);
}

/* --- when ------------------------------------------------------------------------------- */

static void on_urgent_timer(struct timer *timer)
{
	struct agent *agent;

	(void)timer;
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		if (!agent->scaler->urgent)
			continue;
		agent->scaler->urgent = false;
		ask(agent->scaler);
	}
}

/* At once, unless it was asked a moment ago: what comes in between is asked
 * together. */
static void on_urgent(struct revision *revision)
{
	struct agent *agent = agents_find(revision->agent->name);
	struct scaler *scaler = agent != NULL ? agent->scaler : NULL;
	int64_t since;

	if (scaler == NULL || scaler->urgent || stopped)
		return;
	since = steady_ms() - scaler->asked_ms;
	if (since >= SCALING_URGENT_MS) {
		ask(scaler);
		return;
	}
	scaler->urgent = true;
	if (!timer_pending(&urgent_timer))
		(void)timer_set(loop_control(), &urgent_timer,
				SCALING_URGENT_MS - since);
}

static void on_look(struct timer *timer)
{
	int64_t now = steady_ms(), next;
	bool busy = scalers_look();
	struct agent *agent;

	health_control_begins(NULL);
	if (now - sampled_ms >= SECOND_MS) {
		scalers_sample(now);
		sampled_ms = now;
	}
	if (now - ticked_ms >= SCALING_TICK_MS) {
		ticked_ms = now;
		for (size_t at = 0;
		     (agent = table_next(&agents_table, &at)) != NULL;)
			ask(agent->scaler);
		metric_inc(ticks);
	}
	next = SECOND_MS - (now - sampled_ms);
	if (busy && next > LOOK_MS)
		next = LOOK_MS;
	if (!stopped)
		(void)timer_set(loop_control(), timer, next);
}

atom_status scalers_init(struct atom_error *err)
{
	atom_status status = scaling_events_init(err);

	if (status != ATOM_OK)
		return status;
	ticks = metric_single(
		ATOM_METRIC_COUNTER, "atomd_scaling_ticks_total",
		"Rounds in which every agent's strategy was asked, one each "
		"2 s; one that stands still says that control is held up.");
	stopped = false;
	sampled_ms = ticked_ms = steady_ms();
	pool_on_urgent(on_urgent);
	urgent_timer.fire = on_urgent_timer;
	look_timer.fire = on_look;
	return timer_set(loop_control(), &look_timer, SECOND_MS);
}

void scalers_stop(void)
{
	stopped = true;
	timer_stop(&look_timer);
	timer_stop(&urgent_timer);
}

void scalers_fini(void)
{
	scalers_stop();
	scaling_events_fini();
}
