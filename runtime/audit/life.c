/* SPDX-License-Identifier: Apache-2.0 */

/* The audit log's life: start, reload, stop, and what it says of itself. */

#include <stdio.h>
#include <string.h>

#include "audit/audit_priv.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define OPEN_NS	    ((int64_t)30 * 1000000000)
#define STOP_NS	    ((int64_t)10 * 1000000000)
#define SETTING_MAX ((size_t)1024 * 1024)

struct audit audit = { .lock = PTHREAD_MUTEX_INITIALIZER };
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Taken out by a reload, their threads still at work. [control] */
static struct audit_sink *retired;

static void init_conditions(void)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&audit.wake, &monotonic);
	(void)pthread_cond_init(&audit.changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

/* --- the sinks beside the required one --------------------------------------- */

static void begin_one(struct config *config, size_t index)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_sink *sink = sink_new(config, index, &err);

	if (sink != NULL && follower_start(sink, &err) != ATOM_OK)
		sink_free(&sink);
	if (sink == NULL) {
		log_line(ATOM_LOG_ERROR, "audit_sink_failed", err.message,
			 LOG_TEXT("sink", config->audit_sinks[index].plugin));
		return;
	}
	sink->seen = true;
	sink->next = audit.others;
	audit.others = sink;
}

static void ask_to_end(struct audit_sink *sink)
{
	(void)pthread_mutex_lock(&audit.lock);
	sink->stopping = true;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
}

/* Joins and frees those that have ended until then; the others stay. */
static void reap(struct audit_sink **list, int64_t until_ns)
{
	struct audit_sink **at = list;

	while (*at != NULL) {
		struct audit_sink *sink = *at;
		bool ended;

		(void)pthread_mutex_lock(&audit.lock);
		while (!sink->ended && os.monotonic_ns() < until_ns)
			audit_wait(&audit.changed, until_ns);
		ended = sink->ended;
		(void)pthread_mutex_unlock(&audit.lock);
		if (!ended) {
			at = &sink->next;
			continue;
		}
		*at = sink->next;
		(void)pthread_join(sink->thread, NULL);
		sink_free(&sink);
	}
}

/* --- start ---------------------------------------------------------------------- */

static size_t required_of(const struct config *config)
{
	size_t i = 0;

	while (i < config->audit_sink_count && !config->audit_sinks[i].required)
		i++;
	return i;
}

static atom_status wait_until_open(struct atom_error *err)
{
	const int64_t until = os.monotonic_ns() + OPEN_NS;
	bool opened;

	(void)pthread_mutex_lock(&audit.lock);
	while (!audit.opened && os.monotonic_ns() < until)
		audit_wait(&audit.changed, until);
	opened = audit.opened;
	if (opened)
		*err = audit.error;
	(void)pthread_mutex_unlock(&audit.lock);
	if (!opened)
		return atom_fail(err, ATOM_ETIMEOUT,
				 "it has not opened within 30 s");
	return atomic_load(&audit.state) == AUDIT_BROKEN ? ATOM_EDATALOSS
							 : ATOM_OK;
}

static atom_status open_required(struct config *config, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status;

	(void)snprintf(audit.log.directory, sizeof(audit.log.directory), "%s",
		       config->state_directory);
	audit.required = sink_new(config, required_of(config), &why);
	if (audit.required == NULL) {
		status = ATOM_ENOENT;
	} else {
		atomic_store(&audit.state, AUDIT_OPENING);
		status = sequencer_start(&why);
		if (status == ATOM_OK)
			status = wait_until_open(&why);
		else
			sink_free(&audit.required);
	}
	if (status == ATOM_OK)
		return ATOM_OK;
	if (audit.required == NULL)
		atomic_store(&audit.state, AUDIT_BROKEN);
	return atom_fail(
		err, status,
		"the required audit sink %s cannot be used, so control actions are refused: %s",
		config->audit_sinks[required_of(config)].plugin, why.message);
}

atom_status audit_start(struct config *config, struct atom_error *err)
{
	atom_status status;

	(void)pthread_once(&once, init_conditions);
	atomic_store(&audit.calls, config->audit_calls);
	if (config->audit_sink_count == 0)
		return ATOM_OK;
	status = audit_metrics(err);
	if (status == ATOM_OK)
		status = open_required(config, err);
	health_report("audit", status == ATOM_OK ? HEALTH_OK : HEALTH_FAILED,
		      false, status == ATOM_OK ? NULL : err->message);
	if (status != ATOM_OK)
		return status;
	log_line(ATOM_LOG_INFO, "audit", "the audit log is taken up",
		 LOG_TEXT("log_id", audit.log.signer.log_id),
		 LOG_TEXT("verifier", audit.log.verifier),
		 LOG_NUMBER("records", atomic_load(&audit.sequence)));
	for (size_t i = 0; i < config->audit_sink_count; i++)
		if (!config->audit_sinks[i].required)
			begin_one(config, i);
	return ATOM_OK;
}

/* --- reload ---------------------------------------------------------------------- */

static bool is_same(const struct config_component *a,
		    const struct config_component *b)
{
	struct buffer x = BUFFER_INIT(SETTING_MAX),
		      y = BUFFER_INIT(SETTING_MAX);
	bool same = false;

	if (strcmp(a->plugin, b->plugin) == 0 &&
	    setting_canonical_resolved(a->options, &x) == ATOM_OK &&
	    setting_canonical_resolved(b->options, &y) == ATOM_OK)
		same = x.length == y.length &&
		       memcmp(x.bytes, y.bytes, x.length) == 0;
	buffer_fini(&x);
	buffer_fini(&y);
	return same;
}

static struct audit_sink *running(const struct config_component *declared)
{
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		if (!s->seen && is_same(s->declared, declared))
			return s;
	return NULL;
}

void audit_apply(struct config *config, const char **needs_restart_r)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_sink **at = &audit.others;
	bool gone = config->audit_sink_count == 0;

	atomic_store(&audit.calls, config->audit_calls);
	if (!audit_enabled()) {
		if (audit_start(config, &err) != ATOM_OK)
			log_line(ATOM_LOG_ERROR, "audit", err.message);
		return;
	}
	/* The log cannot be continued elsewhere while it runs. */
	if (gone || (audit.required != NULL &&
		     !is_same(audit.required->declared,
			      &config->audit_sinks[required_of(config)])))
		*needs_restart_r = "audit_sinks";
	if (gone || atomic_load(&audit.state) == AUDIT_BROKEN)
		return;
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		s->seen = false;
	for (size_t i = 0; i < config->audit_sink_count; i++) {
		struct audit_sink *same = running(&config->audit_sinks[i]);

		if (config->audit_sinks[i].required)
			continue;
		if (same != NULL)
			same->seen = true;
		else
			begin_one(config, i);
	}
	while (*at != NULL) {
		struct audit_sink *sink = *at;

		if (sink->seen) {
			at = &sink->next;
			continue;
		}
		*at = sink->next;
		ask_to_end(sink);
		sink->next = retired;
		retired = sink;
	}
	reap(&retired, 0);
}

/* --- stop ------------------------------------------------------------------------ */

/* As long as it gets on: a full ring takes its time on a slow disk. */
static void stop_required(void)
{
	int64_t until = os.monotonic_ns() + STOP_NS;
	uint64_t reached = atomic_load(&audit.sequence);
	bool ended;

	(void)pthread_mutex_lock(&audit.lock);
	audit.stopping = true;
	(void)pthread_cond_signal(&audit.wake);
	while (!audit.ended && os.monotonic_ns() < until) {
		audit_wait(&audit.changed, until);
		if (atomic_load(&audit.sequence) == reached)
			continue;
		reached = atomic_load(&audit.sequence);
		until = os.monotonic_ns() + STOP_NS;
	}
	ended = audit.ended;
	(void)pthread_mutex_unlock(&audit.lock);
	if (!ended) {
		/* It and its thread are left as they are. */
		log_printf(ATOM_LOG_ERROR, "audit_sink_hangs",
			   "the required audit sink hangs at the end");
		return;
	}
	(void)pthread_join(audit.required->thread, NULL);
	sink_free(&audit.required);
}

void audit_stop(void)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_DAEMON_STOP);
	int64_t until;

	if (!audit_enabled())
		return;
	(void)audit_post(&record, AUDIT_SOON, NULL);
	if (audit.required != NULL)
		stop_required();
	until = os.monotonic_ns() + STOP_NS;
	/* The last head is in the window. */
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		ask_to_end(s);
	reap(&audit.others, until);
	reap(&retired, until);
	if (audit.others != NULL || retired != NULL)
		log_printf(ATOM_LOG_ERROR, "audit_sink_hangs",
			   "an audit sink hangs at the end; it lacks the last "
			   "records");
	else
		window_fini();
	if (audit.required != NULL || audit.others != NULL || retired != NULL)
		return;
	/* As it was, for another start in the same process. */
	atomic_store(&audit.state, AUDIT_OFF);
	audit.stopping = audit.ended = audit.opened = audit.urgent =
		audit.batched = false;
	atomic_store(&audit.gaps, 0);
	atomic_store(&audit.sequence, 0);
	memset(&audit.log, 0, sizeof(audit.log));
}

/* --- what it says of itself ---------------------------------------------------- */

static const char *state_name(void)
{
	static const char *const names[] = { "off",	"opening", "ok",
					     "failing", "broken",  "ended" };

	return names[atomic_load(&audit.state)];
}

static json_t *describe_sink(const struct audit_sink *sink)
{
	bool hangs = sink_is_hanging(sink, SINK_HANG_NS);

	return json_pack("{s:s,s:b,s:I,s:b,s:b}", "name", sink->name,
			 "required", (int)sink->required, "sequence",
			 (json_int_t)atomic_load(&sink->cursor), "hangs",
			 (int)hangs, "durable",
			 (int)!atomic_load(&sink->lossy));
}

json_t *audit_describe(void)
{
	json_t *sinks;

	if (!audit_enabled())
		return json_null();
	sinks = json_array();
	if (audit.required != NULL)
		json_array_append_new(sinks, describe_sink(audit.required));
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		json_array_append_new(sinks, describe_sink(s));
	return json_pack(
		"{s:s,s:s,s:s,s:I,s:I,s:o}", "state", state_name(), "log_id",
		audit.log.signer.log_id, "verifier", audit.log.verifier,
		"sequence", (json_int_t)atomic_load(&audit.sequence), "gaps",
		(json_int_t)atomic_load(&audit.gaps_seen), "sinks", sinks);
}
