/* SPDX-License-Identifier: Apache-2.0 */

/* What all sinks have in common: a component, timed calls, counts, health. */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_priv.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

atom_status (*audit_find_component)(const char *kind, const char *name,
				    const struct component **component_r,
				    struct atom_error *err) =
	registry_component;

static const char *const ignored[] = { "plugin", "required", NULL };

struct audit_sink *sink_new(struct config *config, size_t index,
			    struct atom_error *err)
{
	const struct config_component *declared = &config->audit_sinks[index];
	struct audit_sink *sink = mem_zalloc(sizeof(*sink));
	unsigned int same = 1;
	atom_status status;

	if (sink == NULL) {
		atom_fail(err, ATOM_ENOMEM, "no memory for an audit sink");
		return NULL;
	}
	for (size_t i = 0; i < index; i++)
		if (strcmp(config->audit_sinks[i].plugin, declared->plugin) ==
		    0)
			same++;
	(void)snprintf(sink->name, sizeof(sink->name),
		       same > 1 ? "%.50s#%u" : "%.50s", declared->plugin, same);
	status = audit_find_component("audit", declared->plugin,
				      &sink->component, err);
	if (status != ATOM_OK) {
		mem_free(sink);
		return NULL;
	}
	sink->config = config_ref(config);
	sink->declared = declared;
	sink->required = declared->required;
	sink->ops = (const struct atom_audit_ops *)(const void *)
			    sink->component->ops;
	audit_metrics_of(sink);
	return sink;
}

void sink_free(struct audit_sink **sink)
{
	struct audit_sink *s = TAKE(*sink);

	if (s == NULL)
		return;
	batch_unref(&s->fetched);
	config_unref(&s->config);
	mem_free(s);
}

atom_status audit_check(const struct config *config, struct buffer *errors)
{
	const struct component *component;
	struct options *options = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status worst = ATOM_OK;

	for (size_t i = 0; i < config->audit_sink_count; i++) {
		const struct config_component *sink = &config->audit_sinks[i];
		atom_status status = audit_find_component("audit", sink->plugin,
							  &component, &err);

		if (status == ATOM_OK)
			status =
				options_fill(component->declared, sink->options,
					     ignored, &options, errors);
		else
			config_complain(errors, sink->options, "%s",
					err.message);
		options_free(&options);
		if (status != ATOM_OK)
			worst = status;
	}
	return worst;
}

/* --- calls, timed ------------------------------------------------------------- */

static void begin(struct audit_sink *sink)
{
	atomic_store(&sink->busy_since_ns, os.monotonic_ns());
}

static int64_t end(struct audit_sink *sink)
{
	int64_t began = atomic_exchange(&sink->busy_since_ns, 0);

	return os.monotonic_ns() - began;
}

bool sink_is_hanging(const struct audit_sink *sink, int64_t for_ns)
{
	int64_t since = atomic_load(&sink->busy_since_ns);

	return since != 0 && os.monotonic_ns() - since > for_ns;
}

atom_status sink_open(struct audit_sink *sink, struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT(65536);
	const struct configured_spec spec = {
		.component = sink->component,
		.group = sink->declared->options,
		.ignored = ignored,
		.agent = "",
		.directory = sink->config->directory,
	};
	atom_status status;

	begin(sink);
	status = configured_new(&spec, &sink->configured, &errors, err);
	(void)end(sink);
	if (status != ATOM_OK && errors.length > 0)
		atom_fail(err, status, "%.*s", (int)errors.length,
			  errors.bytes);
	if (status == ATOM_OK)
		sink->self = configured_self(sink->configured);
	buffer_fini(&errors);
	return status;
}

void sink_close(struct audit_sink *sink)
{
	begin(sink);
	configured_free(&sink->configured);
	(void)end(sink);
	sink->self = NULL;
}

atom_status sink_write(struct audit_sink *sink, const struct audit_batch *batch,
		       size_t from, struct atom_error *err)
{
	const size_t count = batch->count - from;
	atom_status status;

	component_count_call(sink->component);
	begin(sink);
	status = sink->ops->write(sink->self, batch->records + from, count,
				  sizeof(*batch->records), err);
	(void)end(sink);
	if (status != ATOM_OK)
		metric_add(sink->failed, (double)count);
	return status;
}

atom_status sink_sync(struct audit_sink *sink, struct atom_error *err)
{
	atom_status status;

	begin(sink);
	status = sink->ops->sync(sink->self, err);
	metric_observe(sink->sync_seconds, (double)end(sink) / 1e9);
	return status;
}

atom_status sink_head(struct audit_sink *sink, const struct audit_head *head,
		      struct atom_error *err)
{
	atom_status status;

	if (sink->ops->checkpoint == NULL)
		return ATOM_OK;
	begin(sink);
	status = sink->ops->checkpoint(sink->self, &head->checkpoint, err);
	(void)end(sink);
	return status;
}

/* --- health ------------------------------------------------------------------- */

/* What a sink is said to be and what it is change together: a sink's thread and
 * control both tell. */
static pthread_mutex_t telling = PTHREAD_MUTEX_INITIALIZER;

static const char *health_name(const struct audit_sink *sink,
			       char out[sizeof(sink->name) + 8])
{
	if (sink->required)
		return "audit";
	(void)snprintf(out, sizeof(sink->name) + 8, "audit.%s", sink->name);
	return out;
}

static void post(const struct audit_sink *sink, enum audit_event event,
		 const char *error)
{
	struct audit_record record = AUDIT_RECORD(event);

	audit_text(&record, "sink", sink->name);
	audit_text(&record, "error", error);
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

void sink_failure(struct audit_sink *sink, const struct atom_error *err)
{
	char name[sizeof(sink->name) + 8];
	bool first;

	component_note_error(sink->component, err->message);
	(void)pthread_mutex_lock(&telling);
	first = !sink->failing;
	sink->failing = true;
	/* The log has the first failure of a series, the health the last. */
	health_report(health_name(sink, name), HEALTH_DEGRADED, false,
		      err->message);
	(void)pthread_mutex_unlock(&telling);
	if (!first)
		return;
	log_line(ATOM_LOG_ERROR, "audit_sink_failed", err->message,
		 LOG_TEXT("sink", sink->name),
		 LOG_TEXT("required", sink->required ? "true" : "false"));
	post(sink, AUDIT_SINK_FAILED, err->message);
}

void sink_success(struct audit_sink *sink)
{
	char name[sizeof(sink->name) + 8];
	bool failed = sink->failing;

	if (!failed && !atomic_load(&sink->hangs))
		return;
	log_line(ATOM_LOG_INFO, "audit_sink_recovered",
		 "the audit sink keeps records again",
		 LOG_TEXT("sink", sink->name));
	(void)pthread_mutex_lock(&telling);
	sink->failing = false;
	atomic_store(&sink->hangs, false);
	health_report(health_name(sink, name), HEALTH_OK, false, NULL);
	(void)pthread_mutex_unlock(&telling);
	if (failed)
		post(sink, AUDIT_SINK_RECOVERED, NULL);
}

void sink_forget(const struct audit_sink *ended)
{
	char name[sizeof(ended->name) + 8];
	bool fails = false;

	(void)pthread_mutex_lock(&telling);
	for (struct audit_sink *s = audit.others; s != NULL; s = s->next)
		fails |= strcmp(s->name, ended->name) == 0 &&
			 (s->failing || atomic_load(&s->hangs));
	if (!fails)
		health_forget(health_name(ended, name));
	(void)pthread_mutex_unlock(&telling);
}

atom_status sink_must_be_durable(struct audit_sink *sink,
				 struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;

	/* What else may be wrong shows with the first record. */
	if (sink_sync(sink, &why) != ATOM_ENOTSUP)
		return ATOM_OK;
	return atom_fail(err, ATOM_ENOTSUP,
			 "a required sink has to know what is durable; let "
			 "another one, such as file, be `required`: %.300s",
			 why.message);
}

void sink_note_lossy(struct audit_sink *sink, const struct atom_error *err)
{
	if (!atomic_exchange(&sink->lossy, true))
		log_line(ATOM_LOG_INFO, "audit_sink_lossy", err->message,
			 LOG_TEXT("sink", sink->name));
}

void sink_look(struct audit_sink *sink)
{
	char name[sizeof(sink->name) + 8];

	metric_set(sink->depth, (double)(atomic_load(&audit.sequence) -
					 atomic_load(&sink->cursor)));
	if (!sink_is_hanging(sink, SINK_HANG_NS) || atomic_load(&sink->hangs))
		return;
	log_line(ATOM_LOG_ERROR, "audit_sink_hangs",
		 "the audit sink has not answered for 5 s",
		 LOG_TEXT("sink", sink->name));
	(void)pthread_mutex_lock(&telling);
	atomic_store(&sink->hangs, true);
	health_report(health_name(sink, name), HEALTH_DEGRADED, false,
		      "it has not answered for 5 s");
	(void)pthread_mutex_unlock(&telling);
}
