/* SPDX-License-Identifier: Apache-2.0 */

/* monitor/alerts: rules over the daemon's own history. */

#include "plugins/monitor/alerts/alerts_priv.h"

#include <stdlib.h>
#include <string.h>

#define PUMP_MS	       1000
#define EVALUATION_MAX (64u * 1024 * 1024)
#define STATES_KEY     "states"
#define RECEIVERS_MAX  16
#ifndef ALERTS_DATA_DIR /* the build says where it is installed */
#define ALERTS_DATA_DIR "/usr/share/atomd"
#endif
#define SHIPPED_RULES ALERTS_DATA_DIR "/alerts/atomd.yml"

static const char *const formats[] = { "webhook", "alertmanager", NULL };

static const struct atom_option receiver_table[] = {
	ATOM_OPTION_STRING(struct receiver_options, name, "", ATOM_REQUIRED,
			   "names it in the log and in metrics"),
	ATOM_OPTION_STRING(struct receiver_options, url, "", 0,
			   "where messages are posted; for Alertmanager its "
			   ".../api/v2/alerts"),
	ATOM_OPTION_CHOICE(struct receiver_options, format, "webhook", formats,
			   0, "what is posted there"),
	ATOM_OPTION_SECRET(struct receiver_options, signature_key, 0,
			   "key of the HMAC-SHA-256 in X-Atomd-Signature"),
	ATOM_OPTION_SECRET(struct receiver_options, authorization, 0,
			   "value of the header Authorization"),
	ATOM_OPTION_DURATION(struct receiver_options, timeout, "10s", 100,
			     120000, 0,
			     "longest wait for one answer, or for the command"),
	ATOM_OPTION_STRING(struct receiver_options, ca_file, "", 0,
			   "certificates to trust instead of the system's"),
	ATOM_OPTION_STRINGS(struct receiver_options, command, 0, 200, 0,
			    "instead of `url`: a program and its arguments, "
			    "run for each message with it on standard input"),
};

static const struct atom_option alerts_options[] = {
	ATOM_OPTION_STRINGS(struct alerts_options, rules, 0, 32, 0,
			    "rule files, shell patterns allowed; empty: the "
			    "ones that come with atomd"),
	ATOM_OPTION_DURATION(struct alerts_options, interval, "15s", 1000,
			     3600000, 0, "how often rules are evaluated"),
	ATOM_OPTION_DURATION(struct alerts_options, repeat, "4h", 60000,
			     604800000, 0,
			     "webhooks and commands hear again of what still "
			     "fires"),
	ATOM_OPTION_GROUPS(struct alerts_options, receivers,
			   struct receiver_options, receiver_table, 0,
			   RECEIVERS_MAX, 0, "who is told"),
};

static const char *const shipped[] = { SHIPPED_RULES };

static const struct atom_strings *rules_of(const struct monitor *monitor)
{
	static const struct atom_strings ours = { shipped, 1 };

	return monitor->options->rules.count > 0 ? &monitor->options->rules
						 : &ours;
}

/* --- evaluation [pool] --------------------------------------------------------------- */

static void complain(const struct monitor *monitor, const char *event,
		     const char *why)
{
	monitor->log->write(monitor->host, ATOM_LOG_ERROR, event, why, NULL, 0);
	if (monitor->metric != NULL)
		monitor->metric->update(monitor->host, monitor->failures, 1);
}

/* A file that is wrong is told once for each change; the rules of before go
 * on. */
static void reread(struct monitor *monitor)
{
	const char *directory = monitor->host->directory;
	uint64_t stamp = files_stamp(rules_of(monitor), directory);
	struct atom_error error = ATOM_ERROR_INIT;
	struct rules rules = RULES_INIT;

	if (stamp == monitor->stamp)
		return;
	monitor->stamp = stamp;
	if (files_read(rules_of(monitor), directory, &rules, &error) !=
	    ATOM_OK) {
		complain(monitor, "alert_rules_refused", error.message);
		rules_fini(&rules);
		return;
	}
	rules_fini(&monitor->rules);
	monitor->rules = rules;
	monitor->log->write(monitor->host, ATOM_LOG_INFO, "alert_rules_read",
			    "rules were read again", NULL, 0);
}

static bool is_due(const struct monitor *monitor, const struct rule *rule,
		   int64_t time_ms)
{
	int64_t every = rule->interval_ms;

	return every <= monitor->options->interval ||
	       time_ms / every != monitor->evaluated_ms / every;
}

static void evaluate(struct monitor *monitor, const struct rule *rule,
		     int64_t time_ms)
{
	const struct expr_source source = history_as_source(&monitor->source);
	struct arena arena = ARENA_INIT(EVALUATION_MAX);
	struct atom_error error = ATOM_ERROR_INIT;
	struct expr_value value;
	atom_status status = expr_evaluate(rule->expr, &source, time_ms, &arena,
					   &value, &error);

	if (status == ATOM_OK)
		status = alerts_take(&monitor->alerts, rule, &value, time_ms,
				     &error);
	if (status != ATOM_OK) {
		const struct atom_log_field fields[] = {
			{ "alert", rule->name, 0 },
			{ "rule", rule->place, 0 },
		};

		monitor->log->write(monitor->host, ATOM_LOG_ERROR,
				    "alert_rule_failed", error.message, fields,
				    2);
		if (monitor->metric != NULL)
			monitor->metric->update(monitor->host,
						monitor->failures, 1);
	}
	arena_fini(&arena);
}

/* False: it is not known yet what was before the restart. */
static bool take_found(struct monitor *monitor)
{
	char *found;
	bool asked;

	(void)pthread_mutex_lock(&monitor->lock);
	asked = monitor->asked;
	found = monitor->found;
	monitor->found = NULL;
	(void)pthread_mutex_unlock(&monitor->lock);
	if (found != NULL && alerts_restore(&monitor->alerts, found) != ATOM_OK)
		complain(monitor, "alert_states_damaged",
			 "the states of before could not be read whole");
	free(found);
	return asked;
}

/* It stands at a whole multiple, and is told of a little later. */
static int64_t time_of_sample(const struct monitor *monitor, int64_t told_ms)
{
	struct atom_history_extent extent = { .struct_size = sizeof(extent) };

	monitor->source.history->extent(monitor->source.host, &extent);
	return told_ms - told_ms % extent.raw_every_ms;
}

static void on_metrics(void *self, const struct atom_metric_snapshot *snapshot)
{
	struct monitor *monitor = self;
	int64_t time_ms = time_of_sample(monitor, snapshot->time_ms);
	char *text, *older;

	/* Either way: what is far before was by a clock that was ahead. */
	if (llabs((long long)(time_ms - monitor->evaluated_ms)) <
		    monitor->options->interval ||
	    (!monitor->restored && !take_found(monitor)))
		return;
	monitor->restored = true;
	alerts_not_after(&monitor->alerts, time_ms);
	if (monitor->sent_all_ms > time_ms)
		monitor->sent_all_ms = 0;
	reread(monitor);
	for (size_t i = 0; i < monitor->rules.count; i++)
		if (is_due(monitor, &monitor->rules.items[i], time_ms))
			evaluate(monitor, &monitor->rules.items[i], time_ms);
	alerts_keep(&monitor->alerts, &monitor->rules, time_ms);
	monitor->evaluated_ms = time_ms;
	tell(monitor, time_ms);
	if (monitor->metric != NULL)
		monitor->metric->update(monitor->host, monitor->evaluations, 1);
	if (monitor->store == NULL)
		return;
	text = alerts_save(&monitor->alerts);
	(void)pthread_mutex_lock(&monitor->lock);
	older = monitor->to_keep;
	monitor->to_keep = text != NULL ? text : older;
	(void)pthread_mutex_unlock(&monitor->lock);
	if (text != NULL)
		free(older);
}

/* --- states over a restart, receivers [control] -------------------------------------- */

static void on_found(void *argument, atom_status status,
		     const struct atom_span *value, uint64_t version)
{
	struct monitor *monitor = argument;
	char *text = NULL;

	(void)version;
	if (status == ATOM_OK && value->bytes != NULL)
		text = strndup(value->bytes, value->length);
	(void)pthread_mutex_lock(&monitor->lock);
	monitor->found = text;
	monitor->asked = true;
	(void)pthread_mutex_unlock(&monitor->lock);
}

/* Told once, until they can be stored again. */
static void tell_not_kept(struct monitor *monitor, const char *why)
{
	if (!monitor->not_kept)
		complain(monitor, "alert_states_not_kept", why);
	monitor->not_kept = true;
}

static void on_stored(void *argument, atom_status status, uint64_t version)
{
	struct monitor *monitor = argument;

	(void)version;
	monitor->storing = false;
	if (status == ATOM_ECANCELED)
		return;
	if (status != ATOM_OK) {
		tell_not_kept(monitor,
			      "the states could not be stored; each evaluation "
			      "tries again");
		return;
	}
	if (monitor->not_kept)
		monitor->log->write(monitor->host, ATOM_LOG_INFO,
				    "alert_states_kept",
				    "the states are stored again", NULL, 0);
	monitor->not_kept = false;
}

static void store_states(struct monitor *monitor)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct atom_span value;
	char *text;

	if (monitor->storing)
		return;
	(void)pthread_mutex_lock(&monitor->lock);
	text = monitor->to_keep;
	monitor->to_keep = NULL;
	(void)pthread_mutex_unlock(&monitor->lock);
	if (text == NULL)
		return;
	value = (struct atom_span){ text, strlen(text) };
	monitor->storing = true;
	if (monitor->store->put(monitor->host, STATES_KEY, &value, UINT64_MAX,
				on_stored, monitor, &error) != ATOM_OK) {
		monitor->storing = false;
		tell_not_kept(monitor, error.message);
	}
	free(text);
}

static void on_timer(void *argument)
{
	struct monitor *monitor = argument;

	for (size_t i = 0; i < monitor->receiver_count; i++)
		receiver_pump(&monitor->receivers[i]);
	if (monitor->store != NULL)
		store_states(monitor);
}

/* --- life [control] ------------------------------------------------------------------- */

static atom_status declare(struct monitor *monitor, uint32_t *receivers_r,
			   struct atom_error *err)
{
	static const char *const labels[] = { "receiver", "result", NULL };
	const struct {
		struct atom_metric_spec spec;
		uint32_t *series;
	} rows[] = {
		{ { .struct_size = sizeof(struct atom_metric_spec),
		    .type = ATOM_METRIC_COUNTER,
		    .name = "atomd_alert_evaluations_total",
		    .help = "Times that all alert rules were evaluated.",
		    .unit = "" },
		  &monitor->evaluations },
		{ { .struct_size = sizeof(struct atom_metric_spec),
		    .type = ATOM_METRIC_COUNTER,
		    .name = "atomd_alert_failures_total",
		    .help = "Alert rules that could not be read or evaluated, "
			    "states that could not be kept, and times that "
			    "a message could not be made.",
		    .unit = "" },
		  &monitor->failures },
	};
	const struct atom_metric_spec receivers = {
		.struct_size = sizeof(receivers),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_alert_notifications_total",
		.help = "Messages to receivers of alerts by what became of "
			"them.",
		.unit = "",
		.label_names = labels,
	};
	const struct atom_metric *metric = monitor->metric;
	atom_status status = ATOM_OK;
	uint32_t family;

	if (metric == NULL)
		return ATOM_OK;
	for (size_t i = 0; i < 2 && status == ATOM_OK; i++) {
		status = metric->declare(monitor->host, &rows[i].spec, &family,
					 err);
		if (status == ATOM_OK)
			status = metric->series(monitor->host, family, NULL,
						rows[i].series, err);
	}
	return status == ATOM_OK ? metric->declare(monitor->host, &receivers,
						   receivers_r, err)
				 : status;
}

static atom_status make_receivers(struct monitor *monitor, uint32_t family,
				  struct atom_error *err)
{
	const struct atom_groups *groups = &monitor->options->receivers;
	atom_status status = ATOM_OK;

	monitor->receivers =
		calloc(groups->count + 1, sizeof(*monitor->receivers));
	if (monitor->receivers == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	for (size_t i = 0; i < groups->count && status == ATOM_OK; i++) {
		const struct receiver_options *options =
			(const struct receiver_options
				 *)(const void *)((const char *)groups->items +
						  i * groups->stride);

		/* Also what has failed is to be ended. */
		monitor->receiver_count++;
		status = receiver_init(&monitor->receivers[i], monitor->host,
				       options, family, err);
	}
	return status;
}

static void destroy(void *self)
{
	struct monitor *monitor = self;

	if (monitor->timer != NULL)
		monitor->timers->free(&monitor->timer);
	for (size_t i = 0; i < monitor->receiver_count; i++)
		receiver_fini(&monitor->receivers[i]);
	free(monitor->receivers);
	alerts_fini(&monitor->alerts);
	rules_fini(&monitor->rules);
	free(monitor->found);
	free(monitor->to_keep);
	(void)pthread_mutex_destroy(&monitor->lock);
	free(monitor);
}

static atom_status start(struct monitor *monitor, struct atom_error *err)
{
	const char *directory = monitor->host->directory;
	uint32_t family = 0;
	atom_status status = declare(monitor, &family, err);

	if (status == ATOM_OK)
		status = make_receivers(monitor, family, err);
	monitor->stamp = files_stamp(rules_of(monitor), directory);
	if (status == ATOM_OK)
		status = files_read(rules_of(monitor), directory,
				    &monitor->rules, err);
	if (status == ATOM_OK)
		status = monitor->timers->create(monitor->host, on_timer,
						 monitor, &monitor->timer, err);
	if (status != ATOM_OK)
		return status;
	monitor->timers->set(monitor->timer, PUMP_MS, PUMP_MS);
	monitor->asked = monitor->store == NULL;
	return monitor->store == NULL
		       ? ATOM_OK
		       : monitor->store->get(monitor->host, STATES_KEY,
					     on_found, monitor, err);
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct monitor *monitor = calloc(1, sizeof(*monitor));
	atom_status status;

	if (monitor == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	monitor->host = host;
	monitor->options = options;
	monitor->log = atom_service(host, ATOM_LOG);
	monitor->metric = atom_service(host, ATOM_METRIC);
	monitor->monitors = atom_service(host, ATOM_MONITOR_HOST);
	monitor->timers = atom_service(host, ATOM_TIMER);
	monitor->store = atom_service(host, ATOM_STATE);
	monitor->source.host = host;
	monitor->source.history = atom_service(host, ATOM_HISTORY);
	monitor->rules = (struct rules)RULES_INIT;
	(void)pthread_mutex_init(&monitor->lock, NULL);
	if (monitor->log == NULL || monitor->timers == NULL ||
	    monitor->source.history == NULL)
		status = atom_fail(err, ATOM_ENOTSUP, "the host has no %s",
				   monitor->source.history == NULL
					   ? "history of metrics"
					   : "log or timers");
	else
		status = start(monitor, err);
	if (status == ATOM_OK)
		*self_r = monitor;
	else
		destroy(monitor);
	return status;
}

static const struct atom_monitor_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.metrics = on_metrics,
};

ATOM_PLUGIN("alerts", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_MONITOR, "alerts",
			   "Prometheus rules over the daemon's own history",
			   &ops, alerts_options, struct alerts_options));
