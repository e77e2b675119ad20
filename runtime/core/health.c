/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"

/* The parts are ours, so their number is: some twenty. */
#define PARTS_MAX 64
#define TEXT_MAX  512
/* A function on control over 50 ms is logged; one of this length is stuck. */
#define HELD_UP_MS 10000

struct part {
	char name[64];
	enum health_state state;
	bool required;
	int64_t since_ms;
	char error[TEXT_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct part steps[PARTS_MAX];
static size_t step_count;
static struct part parts[PARTS_MAX];
static size_t part_count;
static bool started;
static bool stopping;
/* The control thread: when it was last seen (0 = never), and at what. */
static int64_t control_at_ns;
static char control_what[TEXT_MAX];
static bool control_told;

static struct part *find(struct part *list, size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	if (*count == PARTS_MAX)
		return NULL;
	(void)snprintf(list[*count].name, sizeof(list[0].name), "%s", name);
	list[*count].state = HEALTH_INITIALIZING;
	return &list[(*count)++];
}

static void set(struct part *part, enum health_state state, bool required,
		const char *text)
{
	if (part->since_ms == 0 || part->state != state)
		part->since_ms = os.realtime_ms();
	part->state = state;
	part->required = required;
	if (text == NULL)
		return;
	(void)snprintf(part->error, sizeof(part->error), "%s", text);
	/* Or there would be no JSON of it: paths and plugins say anything, and
	 * a long text is cut. */
	text_make_utf8(part->error, sizeof(part->error));
}

void health_step(const char *name, bool success, const char *details)
{
	struct part *part;

	(void)pthread_mutex_lock(&lock);
	part = find(steps, &step_count, name);
	if (part != NULL)
		set(part, success ? HEALTH_OK : HEALTH_FAILED, true,
		    details != NULL ? details : "");
	(void)pthread_mutex_unlock(&lock);
	log_line(success ? ATOM_LOG_INFO : ATOM_LOG_ERROR, "start_step",
		 details != NULL ? details : "", LOG_TEXT("step", name),
		 LOG_TEXT("status", success ? "success" : "failed"));
}

static const char *state_name(enum health_state state)
{
	static const char *const names[] = { "initializing", "ok", "degraded",
					     "failed" };

	return names[state];
}

void health_report(const char *component, enum health_state state,
		   bool required, const char *error)
{
	struct part *part;
	bool changed = false;

	(void)pthread_mutex_lock(&lock);
	part = find(parts, &part_count, component);
	if (part != NULL) {
		changed = part->since_ms == 0 || part->state != state;
		set(part, state, required, error);
	}
	(void)pthread_mutex_unlock(&lock);
	if (changed)
		log_line(state >= HEALTH_DEGRADED ? ATOM_LOG_ERROR
						  : ATOM_LOG_INFO,
			 "component", error != NULL ? error : "",
			 LOG_TEXT("component", component),
			 LOG_TEXT("status", state_name(state)));
}

void health_forget(const char *component)
{
	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < part_count; i++)
		if (strcmp(parts[i].name, component) == 0) {
			part_count--;
			memmove(&parts[i], &parts[i + 1],
				(part_count - i) * sizeof(parts[0]));
			memset(&parts[part_count], 0, sizeof(parts[0]));
			break;
		}
	(void)pthread_mutex_unlock(&lock);
}

void health_started(void)
{
	(void)pthread_mutex_lock(&lock);
	started = true;
	(void)pthread_mutex_unlock(&lock);
}

void health_control_begins(const char *what)
{
	(void)pthread_mutex_lock(&lock);
	control_at_ns = os.monotonic_ns();
	control_told = false;
	(void)snprintf(control_what, sizeof(control_what), "%s",
		       what != NULL ? what : "");
	(void)pthread_mutex_unlock(&lock);
}

/* Is control stuck?  `text` gets for how long and by whom. */
static bool held_up(char *text, size_t size)
{
	int64_t for_ms = (os.monotonic_ns() - control_at_ns) / 1000000;

	if (control_at_ns == 0 || for_ms < HELD_UP_MS)
		return false;
	(void)snprintf(text, size, "held up for %lld s%s%s",
		       (long long)(for_ms / 1000),
		       control_what[0] != '\0' ? " by " : "", control_what);
	return true;
}

void health_stopping(void)
{
	(void)pthread_mutex_lock(&lock);
	stopping = true;
	(void)pthread_mutex_unlock(&lock);
}

bool health_is_started(void)
{
	bool is;

	(void)pthread_mutex_lock(&lock);
	is = started;
	(void)pthread_mutex_unlock(&lock);
	return is;
}

bool health_is_stopping(void)
{
	bool is;

	(void)pthread_mutex_lock(&lock);
	is = stopping;
	(void)pthread_mutex_unlock(&lock);
	return is;
}

const char *health_system_status(void)
{
	const char *status = "operational";

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < part_count; i++)
		if (parts[i].state >= HEALTH_DEGRADED)
			status = "degraded";
	for (size_t i = 0; i < step_count; i++)
		if (steps[i].state == HEALTH_FAILED)
			status = "degraded";
	if (!started)
		status = "initializing";
	(void)pthread_mutex_unlock(&lock);
	return status;
}

bool health_ready(char *why, size_t why_size)
{
	const char *name = NULL;
	const char *text = "";
	char held[TEXT_MAX + 64];
	bool ready, tell = false;

	(void)pthread_mutex_lock(&lock);
	if (stopping)
		name = "stopping";
	else if (!started)
		name = "initializing";
	if (name == NULL && held_up(held, sizeof(held))) {
		name = "control";
		text = held;
		tell = !control_told;
		control_told = true;
	}
	for (size_t i = 0; name == NULL && i < step_count; i++)
		if (steps[i].state == HEALTH_FAILED) {
			name = steps[i].name;
			text = steps[i].error;
		}
	for (size_t i = 0; name == NULL && i < part_count; i++)
		if (parts[i].required && parts[i].state == HEALTH_FAILED) {
			name = parts[i].name;
			text = parts[i].error;
		}
	ready = name == NULL;
	if (!ready && why != NULL)
		(void)snprintf(why, why_size, "%s%s%s", name,
			       text[0] != '\0' ? ": " : "", text);
	(void)pthread_mutex_unlock(&lock);
	if (tell)
		log_line(ATOM_LOG_ERROR, "control_held_up",
			 "the control thread does not come back: nothing is "
			 "scaled, reloaded or revoked until it does",
			 LOG_TEXT("control", held));
	return ready;
}

json_t *health_components(void)
{
	json_t *list = json_array();
	char since[TEXT_TIME_MAX];

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < part_count; i++) {
		text_of_time(parts[i].since_ms, since);
		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:s,s:s?}", "name", parts[i].name,
				  "status", state_name(parts[i].state), "since",
				  since, "last_error",
				  parts[i].error[0] != '\0' ? parts[i].error
							    : NULL));
	}
	(void)pthread_mutex_unlock(&lock);
	return list;
}

json_t *health_initialization(void)
{
	json_t *object = json_object();

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; i < step_count; i++)
		json_object_set_new(object, steps[i].name,
				    json_pack("{s:s,s:s}", "status",
					      steps[i].state == HEALTH_OK
						      ? "success"
						      : "failed",
					      "details", steps[i].error));
	(void)pthread_mutex_unlock(&lock);
	return object;
}

void health_fini(void)
{
	(void)pthread_mutex_lock(&lock);
	step_count = part_count = 0;
	started = stopping = false;
	control_at_ns = 0;
	(void)pthread_mutex_unlock(&lock);
}
