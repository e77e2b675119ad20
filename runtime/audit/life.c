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
#define CLOSE_NS    ((int64_t)5 * 1000000000)
#define SETTING_MAX ((size_t)1024 * 1024)

struct audit audit = { .lock = PTHREAD_MUTEX_INITIALIZER };
static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Taken out by a reload, their threads still at work. [control] */
static struct audit_sink *retired;
/* Were required before a reload; closed, without a thread. [control] */
static struct audit_sink *former;
/* The required sink was not open in time: those beside it begin when it is.
 * [control] */
static struct config *late;

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
		sink_forget(sink);
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

static void free_required(void)
{
	struct audit_sink *sink = audit.required;

	audit.required = NULL;
	sink_free(&sink);
}

void audit_paid(void)
{
	(void)pthread_mutex_lock(&audit.lock);
	if (--audit.owed == 0)
		(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
}

/* Control ends: what it waits for is on its way when this returns, unless the
 * disk hangs. */
static void close_control(void *argument)
{
	const int64_t until = os.monotonic_ns() + CLOSE_NS;

	(void)argument;
	(void)pthread_mutex_lock(&audit.lock);
	audit.closed = true;
	while (audit.owed > 0 && os.monotonic_ns() < until)
		audit_wait(&audit.changed, until);
	(void)pthread_mutex_unlock(&audit.lock);
}

static atom_status open_required(struct config *config, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct audit_sink *sink;
	atom_status status;

	(void)snprintf(audit.log.directory, sizeof(audit.log.directory), "%s",
		       config->state_directory);
	sink = sink_new(config, required_of(config), &why);
	audit.required = sink;
	if (sink == NULL) {
		status = ATOM_ENOENT;
	} else {
		status = sequencer_start(&why);
		if (status == ATOM_OK)
			status = wait_until_open(&why);
		else
			free_required();
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

static void begin_others(struct config *config)
{
	log_line(ATOM_LOG_INFO, "audit", "the audit log is taken up",
		 LOG_TEXT("log_id", audit.log.signer.log_id),
		 LOG_TEXT("verifier", audit.log.verifier),
		 LOG_NUMBER("records", atomic_load(&audit.sequence)));
	for (size_t i = 0; i < config->audit_sink_count; i++)
		if (!config->audit_sinks[i].required)
			begin_one(config, i);
}

atom_status audit_start(struct config *config, struct atom_error *err)
{
	atom_status status;

	(void)pthread_once(&once, init_conditions);
	atomic_store(&audit.calls, config->audit_calls);
	if (config->audit_sink_count == 0)
		return ATOM_OK;
	status = audit_metrics(err);
	audit.closed = false;
	if (status == ATOM_OK && loop_is_control() &&
	    loop_at_stop(loop_control(), close_control, NULL) != ATOM_OK)
		status = atom_fail(err, ATOM_ENOMEM,
				   "no memory for the audit log");
	if (status == ATOM_OK)
		status = open_required(config, err);
	health_report("audit", status == ATOM_OK ? HEALTH_OK : HEALTH_FAILED,
		      false, status == ATOM_OK ? NULL : err->message);
	if (status == ATOM_OK)
		begin_others(config);
	else if (status == ATOM_ETIMEOUT)
		late = config_ref(config);
	return status;
}

atom_status audit_taken_up(struct atom_error *err)
{
	const int state = atomic_load(&audit.state);

	if (late != NULL)
		return atom_fail(err, ATOM_ETIMEOUT, "it has not opened yet");
	if (state != AUDIT_BROKEN)
		return ATOM_OK;
	(void)pthread_mutex_lock(&audit.lock);
	*err = audit.error;
	(void)pthread_mutex_unlock(&audit.lock);
	return ATOM_EDATALOSS;
}

static void look_for_late(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct config *config;

	if (late == NULL || atomic_load(&audit.state) == AUDIT_OPENING)
		return;
	config = TAKE(late);
	if (audit_taken_up(&err) == ATOM_OK) {
		health_report("audit", HEALTH_OK, false, NULL);
		begin_others(config);
	} else {
		health_report("audit", HEALTH_FAILED, false, err.message);
	}
	config_unref(&config);
}

void audit_tick(void)
{
	if (audit.required != NULL)
		sink_look(audit.required);
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		sink_look(s);
	reap(&retired, 0);
	look_for_late();
}

/* --- reload ---------------------------------------------------------------------- */

static bool is_equal(const struct setting *a, const struct setting *b)
{
	struct buffer x = BUFFER_INIT(SETTING_MAX),
		      y = BUFFER_INIT(SETTING_MAX);
	bool same = setting_canonical_resolved(a, &x) == ATOM_OK &&
		    setting_canonical_resolved(b, &y) == ATOM_OK &&
		    x.length == y.length &&
		    memcmp(x.bytes, y.bytes, x.length) == 0;

	buffer_fini(&x);
	buffer_fini(&y);
	return same;
}

static bool is_option(const struct setting *member)
{
	return strcmp(member->name, "required") != 0;
}

static size_t options_of(const struct setting *group)
{
	size_t count = 0;

	for (size_t i = 0; i < group->member_count; i++)
		count += is_option(group->members[i]);
	return count;
}

/* One sink by its options: whether it is required is another question. */
static bool is_same(const struct config_component *a,
		    const struct config_component *b)
{
	const struct setting *x = a->options, *y = b->options;

	if (strcmp(a->plugin, b->plugin) != 0 || options_of(x) != options_of(y))
		return false;
	for (size_t i = 0; i < x->member_count; i++) {
		const struct setting *one = x->members[i], *other;

		if (!is_option(one))
			continue;
		other = setting_member(y, one->name);
		if (other == NULL || !is_equal(one, other))
			return false;
	}
	return true;
}

static struct audit_sink *running(const struct config_component *declared)
{
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		if (!s->seen && is_same(s->declared, declared))
			return s;
	return NULL;
}

/* A follower of that configuration ends, so that it can be opened anew; false:
 * it hangs.  *index_r: where it stood in *config_r, to begin it again. */
static bool end_follower(const struct config_component *declared,
			 struct config **config_r, size_t *index_r)
{
	struct audit_sink **at = &audit.others, *sink;

	while (*at != NULL && !is_same((*at)->declared, declared))
		at = &(*at)->next;
	sink = *at;
	if (sink == NULL)
		return true;
	*config_r = config_ref(sink->config);
	*index_r = (size_t)(sink->declared - sink->config->audit_sinks);
	*at = sink->next;
	sink->next = retired;
	retired = sink;
	ask_to_end(sink);
	reap(&retired, os.monotonic_ns() + STOP_NS);
	return retired != sink;
}

atom_status audit_hand_over(struct config *config, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	const struct config_component *declared;
	struct audit_sink *next, *before = NULL;
	struct config *followed = NULL;
	size_t index = 0;
	atom_status status = ATOM_ETIMEOUT;

	if (!audit_enabled() || atomic_load(&audit.state) == AUDIT_BROKEN ||
	    audit.required == NULL || config->audit_sink_count == 0)
		return ATOM_OK;
	declared = &config->audit_sinks[required_of(config)];
	if (is_same(audit.required->declared, declared))
		return ATOM_OK;
	next = sink_new(config, required_of(config), err);
	if (next == NULL)
		return ATOM_ENOENT;
	/* What cannot be read begins a log of its own at each start. */
	if (next->ops->last == NULL || next->ops->read == NULL) {
		sink_free(&next);
		return ATOM_OK;
	}
	if (end_follower(declared, &followed, &index)) {
		status = handover_run(&next, &before, &why);
	} else {
		sink_free(&next);
		atom_fail(&why, status, "as it is now, it hangs");
	}
	if (status == ATOM_OK) {
		before->next = former;
		former = before;
		log_line(ATOM_LOG_INFO, "audit_handed_over",
			 "the audit log goes on in another required sink",
			 LOG_TEXT("sink", audit.required->name),
			 LOG_TEXT("before", before->name));
	} else if (followed != NULL) {
		begin_one(followed, index);
	}
	config_unref(&followed);
	return status == ATOM_OK
		       ? ATOM_OK
		       : atom_fail(err, status,
				   "audit_sinks: the audit log cannot go on in "
				   "the required sink %s, and goes on where it "
				   "is: %.300s",
				   declared->plugin, why.message);
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
	/* audit_hand_over() could not. */
	if (gone || (audit.required != NULL &&
		     !is_same(audit.required->declared,
			      &config->audit_sinks[required_of(config)])))
		*needs_restart_r = "audit_sinks";
	if (gone || atomic_load(&audit.state) == AUDIT_BROKEN)
		return;
	if (late != NULL) {
		config_unref(&late);
		late = config_ref(config);
		return;
	}
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
	free_required();
	while (former != NULL) {
		struct audit_sink *sink = former;

		former = sink->next;
		sink_free(&sink);
	}
}

void audit_stop(void)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_DAEMON_STOP);
	int64_t until;

	if (!audit_enabled())
		return;
	(void)audit_post(&record, AUDIT_SOON, NULL);
	config_unref(&late);
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

/* The folder or file that the sink's options name, null where they name none
 * or it came from a secret. */
static json_t *path_of(const struct audit_sink *sink)
{
	const struct setting *path =
		setting_member(sink->declared->options, "path");

	if (path == NULL || path->type != SETTING_STRING || path->secret)
		return json_null();
	if (path->text[0] == '/')
		return json_string(path->text);
	return json_sprintf("%s/%s", sink->config->directory, path->text);
}

static json_t *describe_sink(const struct audit_sink *sink)
{
	bool hangs = sink_is_hanging(sink, SINK_HANG_NS);

	return json_pack("{s:s,s:b,s:I,s:b,s:b,s:o}", "name", sink->name,
			 "required", (int)sink->required, "sequence",
			 (json_int_t)atomic_load(&sink->cursor), "hangs",
			 (int)hangs, "durable", (int)!atomic_load(&sink->lossy),
			 "path", path_of(sink));
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
