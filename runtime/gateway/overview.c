/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "gateway/overview.h"

#include <stdatomic.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/freeze.h"
#include "agent/rollouts.h"
#include "core/health.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/feed.h"
#include "gateway/gateway_priv.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"

#define PICTURE_MAX ((size_t)16 * 1024 * 1024)
/* A picture's time on control, times this, passes until the next one. */
#define REST 50

/* --- sums of the metrics --------------------------------------------------------- */

enum {
	CALLS,
	ERRORS,
	INPUT_TOKENS,
	OUTPUT_TOKENS,
	SUMS
};

static const char *const sum_names[SUMS] = {
	[CALLS] = "calls",
	[ERRORS] = "errors",
	[INPUT_TOKENS] = "input_tokens",
	[OUTPUT_TOKENS] = "output_tokens",
};

struct sums {
	json_t *agents; /* by name; each an array of SUMS numbers */
	json_t *firing;
	double all[SUMS];
};

static const char *label_of(const struct metric_view *view, const char *name)
{
	for (size_t i = 0; i < view->label_count; i++)
		if (strcmp(view->label_names[i], name) == 0)
			return view->label_values[i];
	return "";
}

static void count(struct sums *sums, const char *agent, int what, double value)
{
	json_t *row = json_object_get(sums->agents, agent);

	sums->all[what] += value;
	if (row == NULL) {
		row = json_array();
		for (int i = 0; i < SUMS; i++)
			json_array_append_new(row, json_integer(0));
		json_object_set_new(sums->agents, agent, row);
	}
	row = json_array_get(row, (size_t)what);
	(void)json_integer_set(row,
			       json_integer_value(row) + (json_int_t)value);
}

static void add_series(void *argument, const struct metric_view *view)
{
	struct sums *sums = argument;

	if (strcmp(view->name, "atomd_requests_total") == 0) {
		const char *agent = label_of(view, "agent");

		count(sums, agent, CALLS, view->value);
		if (label_of(view, "code")[0] == '5')
			count(sums, agent, ERRORS, view->value);
	} else if (strcmp(view->name, "atomd_tokens_total") == 0) {
		count(sums, label_of(view, "agent"),
		      strcmp(label_of(view, "direction"), "input") == 0
			      ? INPUT_TOKENS
			      : OUTPUT_TOKENS,
		      view->value);
	} else if (strcmp(view->name, "atomd_alerts_firing") == 0 &&
		   view->value > 0) {
		json_array_append_new(
			sums->firing,
			json_pack("{s:s,s:s,s:I}", "name",
				  label_of(view, "alert"), "severity",
				  label_of(view, "severity"), "count",
				  (json_int_t)view->value));
	}
}

/* --- the picture [control] --------------------------------------------------------- */

/* What a row says of the agent's last rollout; NULL: it had none. */
static json_t *rollout_of(const char *agent)
{
	static const char *const kept[] = { "id",	"phase", "stage",
					    "outcome",	"from",	 "to",
					    "weight",	"step",	 "steps",
					    "waits_for" };
	json_t *all = rollouts_status(agent), *brief;

	if (all == NULL)
		return NULL;
	brief = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		(void)json_object_set(brief, kept[i],
				      json_object_get(all, kept[i]));
	json_decref(all);
	return brief;
}

static void complete_row(json_t *row, const struct sums *sums)
{
	const char *name = json_text(row, "name", "");
	const json_t *counted = json_object_get(sums->agents, name);
	json_t *rollout = rollout_of(name);

	for (size_t i = 0; i < SUMS; i++) {
		const json_t *sum = json_array_get(counted, i);

		json_object_set_new(row, sum_names[i],
				    json_integer(json_integer_value(sum)));
	}
	if (rollout != NULL)
		json_object_set_new(row, "rollout", rollout);
}

static json_t *totals_of(const struct sums *sums)
{
	json_t *totals = json_object();

	for (size_t i = 0; i < SUMS; i++)
		json_object_set_new(totals, sum_names[i],
				    json_integer((json_int_t)sums->all[i]));
	return totals;
}

static json_t *picture_new(void)
{
	const struct config *config = gateway_hooks()->config();
	struct sums sums = { .agents = json_object(), .firing = json_array() };
	json_t *agents = agents_list(), *row, *picture;
	char now[TEXT_TIME_MAX];
	size_t i;

	metric_visit(add_series, &sums);
	json_array_foreach(agents, i, row) complete_row(row, &sums);
	text_of_time(os.realtime_ms(), now);
	picture = json_pack(
		"{s:s,s:s,s:s,s:s,s:I,s:b,s:o,s:o,s:o,s:o,s:o}", "time", now,
		"version", PACKAGE_VERSION, "system_status",
		health_system_status(), "environment", config->environment,
		"max_agents", (json_int_t)config->max_agents,
		"monitoring_enabled", (int)config->monitoring_enabled,
		"components", health_components(), "totals", totals_of(&sums),
		"firing", sums.firing, "freeze", freeze_describe(), "agents",
		agents);
	json_decref(sums.agents);
	return picture;
}

static void publish(void)
{
	struct buffer text = BUFFER_INIT(PICTURE_MAX);
	const unsigned int failures = json_failures();
	json_t *picture = picture_new();

	if (picture != NULL && json_failures() == failures &&
	    json_encode(picture, &text) == ATOM_OK)
		feed_picture(&text);
	json_decref(picture);
	buffer_fini(&text);
}

static int64_t next_ns;

void overview_tick(void)
{
	int64_t began_ns = os.monotonic_ns();

	if (feed_watched() == 0 || began_ns < next_ns)
		return;
	publish();
	next_ns = began_ns + REST * (os.monotonic_ns() - began_ns);
}

/* --- the requests ------------------------------------------------------------------ */

static atomic_bool asked;

/* [control] Somebody has come and sees nothing yet. */
static void on_asked(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)message;
	atomic_store(&asked, false);
	agents_measure();
	publish();
}

static void ask(void)
{
	static struct message message = { .deliver = on_asked };

	if (!atomic_exchange(&asked, true))
		loop_post(loop_control(), &message);
}

static void on_overview(struct control_call *call)
{
	agents_measure();
	control_answer(call, 200, picture_new());
}

void handle_overview(struct http_request *request,
		     const struct admission *admission)
{
	struct api_error e;
	char follow[8];

	if (!http_query_value(request, "follow", follow, sizeof(follow)) ||
	    strcmp(follow, "1") != 0 ||
	    strcmp(http_method(request), "HEAD") == 0) {
		control_call(request, admission, NULL, on_overview);
		return;
	}
	if (feed_join(request, &admission->principal)) {
		ask();
		return;
	}
	api_error_set(&e, "rate_limit_exceeded", NULL,
		      "%d clients watch the overview already, or the daemon "
		      "stops",
		      FEED_STREAMS_MAX);
	e.retry_after_ms = 10000;
	reply_error(request, &e);
}

static json_t *permissions_of(const struct principal *principal)
{
	json_t *list = json_array();

	for (uint32_t bit = 1; bit <= PERMISSION_INVOKE_AGENT; bit <<= 1)
		if (principal_has(principal, bit))
			json_array_append_new(list,
					      json_string(permission_name(
						      (enum permission)bit)));
	return list;
}

static json_t *agents_of(const struct principal *principal)
{
	json_t *list;

	if (!principal->limited)
		return json_null();
	list = json_array();
	for (size_t i = 0;
	     principal->agents != NULL && principal->agents[i] != NULL; i++)
		json_array_append_new(list, json_string(principal->agents[i]));
	return list;
}

void handle_me(struct http_request *request, const struct admission *admission)
{
	const struct principal *principal = &admission->principal;
	struct buffer text = BUFFER_INIT((size_t)1024 * 1024);
	const unsigned int failures = json_failures();
	json_t *me = json_pack("{s:s,s:s,s:o,s:o}", "name", principal->name,
			       "role", principal->role, "permissions",
			       permissions_of(principal), "agents",
			       agents_of(principal));

	if (me == NULL || json_failures() != failures ||
	    json_encode(me, &text) != ATOM_OK)
		text.failed = true;
	json_decref(me);
	reply_buffer(request, 200, "application/json", &text);
	buffer_fini(&text);
}
