/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempt.h"
#include "agent/handle.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "plugin/host.h"

/*
 * atom.backend-host/1: what a backend says of its units and calls, checked
 * before it reaches the rest: handles by generation, ends only once.
 */

static metric_id late_calls;

static void count_late(const struct atom_host *host, const char *function)
{
	metric_inc(late_calls);
	log_line(ATOM_LOG_WARN, "plugin_late",
		 "a backend spoke of a call that has ended already",
		 LOG_TEXT("component", host_component_name(host)),
		 LOG_TEXT("function", function));
}

static struct attempt *attempt_of(const struct atom_host *host, atom_call call,
				  const char *function)
{
	struct attempt *attempt = handle_get(call);

	if (attempt != NULL && !atomic_load(&attempt->finished))
		return attempt;
	if (function != NULL)
		count_late(host, function);
	return NULL;
}

static void unit_ready(const struct atom_host *host, atom_unit unit,
		       int32_t concurrency)
{
	struct instance *instance = handle_get(unit);

	(void)host;
	if (instance != NULL)
		instance_ready(instance, concurrency);
}

static void unit_failed(const struct atom_host *host, atom_unit unit,
			const struct atom_error *err)
{
	struct instance *instance = handle_get(unit);

	(void)host;
	if (instance != NULL)
		instance_failed(instance, err);
}

static void unit_retire(const struct atom_host *host, atom_unit unit,
			const char *reason)
{
	struct instance *instance = handle_get(unit);
	struct pool *pool;

	(void)host;
	if (instance == NULL || instance->state == INSTANCE_STOPPING)
		return;
	log_line(ATOM_LOG_INFO, "instance_retired", reason,
		 LOG_TEXT("instance", instance->name));
	pool = instance->pool;
	/* One that drains already is not taken back. */
	instance->retired = true;
	instance_drain(instance);
	/* Replaced from the loop, not from inside the plugin's call. */
	pool_reconcile_soon(pool);
}

static void unit_stopped(const struct atom_host *host, atom_unit unit)
{
	struct instance *instance = handle_get(unit);

	(void)host;
	if (instance != NULL)
		instance_stopped(instance);
}

static void unit_measured(const struct atom_host *host, atom_unit unit,
			  int64_t memory_bytes, int64_t cpu_ms)
{
	struct instance *instance = handle_get(unit);

	(void)host;
	if (instance != NULL && memory_bytes >= 0)
		pool_note_memory(instance, memory_bytes);
	if (instance != NULL && cpu_ms >= 0)
		pool_note_cpu(instance, cpu_ms);
}

static const struct atom_call_request *call_request(
	const struct atom_host *host, atom_call call)
{
	struct attempt *attempt = attempt_of(host, call, "request");

	return attempt != NULL ? attempt->request : NULL;
}

static void call_begin(const struct atom_host *host, atom_call call,
		       int32_t status, const char *content_type)
{
	struct attempt *attempt = attempt_of(host, call, "begin");

	if (attempt != NULL && status >= 200 && status < 300)
		attempt_begin_answer(attempt, status,
				     content_type != NULL ? content_type : "");
}

static atom_status call_emit(const struct atom_host *host, atom_call call,
			     int32_t kind, const char *bytes, size_t length)
{
	struct attempt *attempt = attempt_of(host, call, "emit");

	return attempt != NULL ? attempt_emit(attempt, kind, bytes, length)
			       : ATOM_EINVAL;
}

static void call_usage(const struct atom_host *host, atom_call call,
		       const struct atom_usage *usage)
{
	struct attempt *attempt = attempt_of(host, call, "usage");

	if (attempt == NULL || usage == NULL || !ATOM_HAS(usage, cached_tokens))
		return;
	/* Only why it ended: what was counted before still holds. */
	if (usage->input_tokens < 0 && usage->output_tokens < 0) {
		attempt->usage.finish_reason = usage->finish_reason;
		return;
	}
	attempt->usage = *usage;
	if (attempt->usage.input_tokens < 0)
		attempt->usage.input_tokens = 0;
	if (attempt->usage.output_tokens < 0)
		attempt->usage.output_tokens = 0;
	attempt->usage_known = true;
}

static atom_status call_set_state(const struct atom_host *host, atom_call call,
				  const struct atom_span *state)
{
	struct attempt *attempt = attempt_of(host, call, "set_state");
	atom_status status;

	if (attempt == NULL)
		return ATOM_EINVAL;
	buffer_clear(&attempt->state_bytes);
	status = buffer_append(&attempt->state_bytes, state->bytes,
			       state->length);
	attempt->state_set = status == ATOM_OK;
	return status;
}

static void call_finish(const struct atom_host *host, atom_call call,
			atom_status status, const struct atom_error *err)
{
	struct attempt *attempt = attempt_of(host, call, NULL);

	if (attempt == NULL) {
		count_late(host, "finish");
		return;
	}
	if (status == ATOM_OK && attempt->instance != NULL)
		pool_note_success(attempt->pool);
	if (status != ATOM_OK && err != NULL)
		component_note_error(
			configured_component(host_configured(host)),
			err->message);
	attempt_finish(attempt, status, err);
}

static int32_t call_cancelled(const struct atom_host *host, atom_call call)
{
	struct attempt *attempt = attempt_of(host, call, NULL);
	int32_t why = attempt != NULL ? atomic_load(&attempt->cancel)
				      : ATOM_CANCEL_CLIENT_GONE;

	return why != 0 && why != ATTEMPT_LEAVE_QUEUE;
}

static const struct atom_backend_host backend_host = {
	.struct_size = sizeof(backend_host),
	.ready = unit_ready,
	.failed = unit_failed,
	.retire = unit_retire,
	.stopped = unit_stopped,
	.measured = unit_measured,
	.request = call_request,
	.begin = call_begin,
	.emit = call_emit,
	.usage = call_usage,
	.set_state = call_set_state,
	.finish = call_finish,
	.cancelled = call_cancelled,
};

atom_status host_backend_register(void)
{
	late_calls =
		metric_single(ATOM_METRIC_COUNTER, "atomd_plugin_late_total",
			      "Times a plugin spoke of a call or unit "
			      "that had ended.");
	return host_register(ATOM_BACKEND_HOST, &backend_host);
}
