/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The life of a configured component.  What has been handed to the pool or to
 * the store holds it (host_hold): a free then only marks it, and the last
 * release runs `destroy` on the thread that ran `create`.
 */

#include "plugin/options.h"

#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"
#include "plugin/options_priv.h"
#include "plugin/registry.h"

#define OLDER_OPTIONS_MAX 256

/* Only what runs on a loop is in anybody's way when it is slow. */
static int64_t begin(void)
{
	return loop_current() != NULL ? host_call_begin() : 0;
}

static void end(int64_t began, const struct component *component,
		const char *function)
{
	if (began != 0)
		host_call_end(began, component, function);
}

static bool is_held(struct configured *c)
{
	bool held;

	(void)pthread_mutex_lock(&c->lock);
	held = c->held > 0;
	(void)pthread_mutex_unlock(&c->lock);
	return held;
}

static void finish(struct configured *c)
{
	if (c->created) {
		int64_t began = begin();

		c->component->ops->destroy(c->self);
		end(began, c->component, "destroy");
	}
	if (c->ended != NULL)
		c->ended(&c->host);
	host_timers_end(c);
	if (c->threads > 0)
		log_line(ATOM_LOG_ERROR, "plugin_fault",
			 "a plugin left threads behind",
			 LOG_TEXT("plugin", c->plugin_name),
			 LOG_TEXT("component", c->name),
			 LOG_NUMBER("threads", c->threads));
	if (is_held(c))
		/* What ends then still points to it. */
		log_line(ATOM_LOG_ERROR, "plugin_fault",
			 "a plugin began calls in its destroy",
			 LOG_TEXT("plugin", c->plugin_name),
			 LOG_TEXT("component", c->name));
	else
		configured_shell_free(&c);
}

/* Its timers have fired since its last release, and what they began holds it
 * anew: the last release of that comes here again. */
static void finish_late(struct loop *loop, struct message *message)
{
	struct configured *c = CONTAINER_OF(message, struct configured, end);
	bool busy;

	(void)loop;
	(void)pthread_mutex_lock(&c->lock);
	c->ending = false;
	busy = c->held > 0;
	c->freed = busy;
	(void)pthread_mutex_unlock(&c->lock);
	if (!busy)
		finish(c);
}

void host_hold(const struct atom_host *host)
{
	struct configured *c = host_private(host);

	(void)pthread_mutex_lock(&c->lock);
	c->held++;
	(void)pthread_mutex_unlock(&c->lock);
}

void host_release(const struct atom_host *host)
{
	struct configured *c = host_private(host);
	bool last;

	(void)pthread_mutex_lock(&c->lock);
	c->held--;
	last = c->freed && c->held == 0 && !c->ending;
	c->ending = c->ending || last;
	(void)pthread_mutex_unlock(&c->lock);
	if (!last)
		return;
	c->end.deliver = finish_late;
	if (c->loop != NULL)
		loop_post(c->loop, &c->end);
	else
		finish_late(NULL, &c->end);
}

void configured_free(struct configured **configured)
{
	struct configured *c = *configured;
	bool busy;

	if (c == NULL)
		return;
	*configured = NULL;
	(void)pthread_mutex_lock(&c->lock);
	busy = c->held > 0;
	c->freed = busy;
	(void)pthread_mutex_unlock(&c->lock);
	if (!busy)
		finish(c);
}

atom_status configured_new(const struct configured_spec *spec,
			   struct configured **configured_r,
			   struct buffer *errors, struct atom_error *err)
{
	const struct component *component = spec->component;
	struct atom_error reason = ATOM_ERROR_INIT;
	struct configured *c = NULL;
	atom_status status = ATOM_ENOMEM;
	int64_t began;

	c = configured_shell_new(component->kind_word, component->name,
				 component_plugin_name(component),
				 spec->directory);
	if (c != NULL)
		c->agent = mem_strdup(spec->agent != NULL ? spec->agent : "");
	if (c == NULL || c->agent == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
		goto out;
	}
	c->component = component;
	c->owner = spec->owner;
	c->ended = spec->ended;
	c->ignored = spec->ignored;
	status = options_fill(component->declared, spec->group, spec->ignored,
			      &c->options, errors);
	if (status != ATOM_OK) {
		(void)atom_fail(err, status, "%s: %s", c->name,
				status == ATOM_ENOMEM
					? "no memory for its options"
					: "its options are wrong");
		goto out;
	}
	began = begin();
	status = component->ops->create(&c->host, options_struct(c->options),
					&c->self, &reason);
	end(began, component, "create");
	if (status != ATOM_OK) {
		(void)atom_fail(err, status, "%s: %s", c->name,
				reason.message[0] != '\0'
					? reason.message
					: "create failed without a reason");
		component_note_error(component, reason.message);
		goto out;
	}
	c->created = true;
	*configured_r = TAKE(c);
out:
	configured_free(&c);
	return status;
}

/* A call on another thread may still read older options: they stay until the
 * component goes, or until so many newer ones came that it cannot be. */
static void forget_oldest(struct options *newest)
{
	struct options *at = newest;

	for (int kept = 0; at != NULL && kept < OLDER_OPTIONS_MAX; kept++)
		at = at->older;
	if (at != NULL)
		options_free(&at->older);
}

atom_status configured_update(struct configured *configured,
			      const struct setting *group,
			      struct buffer *errors, struct atom_error *err)
{
	const struct component *component = configured->component;
	struct atom_error reason = ATOM_ERROR_INIT;
	struct options *options = NULL;
	atom_status status;
	int64_t began;

	status = options_fill(component->declared, group, configured->ignored,
			      &options, errors);
	if (status != ATOM_OK) {
		(void)atom_fail(err, status, "%s: its options are wrong",
				configured->name);
		goto out;
	}
	if (options_equal(configured->options, options))
		goto out;
	if (!options_only_reloadable_differ(configured->options, options) ||
	    component->ops->reconfigure == NULL) {
		status = atom_fail(err, ATOM_ENOTSUP,
				   "%s: these options do not change while it "
				   "runs",
				   configured->name);
		goto out;
	}
	began = begin();
	status = component->ops->reconfigure(configured->self,
					     options_struct(options), &reason);
	end(began, component, "reconfigure");
	if (status != ATOM_OK) {
		(void)atom_fail(err, status, "%s: %s", configured->name,
				reason.message);
		component_note_error(component, reason.message);
		goto out;
	}
	options->older = configured->options;
	configured->options = TAKE(options);
	forget_oldest(configured->options);
out:
	options_free(&options);
	return status;
}

const struct component *configured_component(const struct configured *c)
{
	return c->component;
}

void *configured_self(const struct configured *c)
{
	return c->self;
}

const struct atom_host *configured_host(const struct configured *c)
{
	return &c->host;
}
