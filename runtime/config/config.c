/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A configuration's way: the main file, its `environment`, the files it
 * includes, -D, references, then every part by its table and what holds
 * across parts.
 */

#include "config/config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/agent_priv.h"
#include "config/complain_priv.h"
#include "config/config_priv.h"
#include "config/include_priv.h"
#include "config/override_priv.h"
#include "config/reference_priv.h"
#include "config/setting_priv.h"
#include "config/value.h"
#include "core/log.h"
#include "core/memory.h"

#define ENVIRONMENT_MAX 63

/* --- what a configuration owns ------------------------------------------- */

struct kept {
	struct kept *next;
	max_align_t bytes[];
};

struct config_holder *config_holder_new(void)
{
	struct config_holder *holder = mem_zalloc(sizeof(*holder));

	if (holder == NULL)
		return NULL;
	atomic_init(&holder->references, 1);
	holder->config.path = "";
	holder->config.directory = "";
	holder->config.environment = "production";
	return holder;
}

void config_holder_free(struct config_holder **holder)
{
	struct config_holder *gone = TAKE(*holder);

	if (gone == NULL)
		return;
	for (struct kept *kept = gone->kept, *next; kept; kept = next) {
		next = kept->next;
		mem_free(kept);
	}
	setting_free(&gone->root);
	mem_free(gone);
}

void *config_keep(struct config_holder *holder, size_t count, size_t size)
{
	struct kept *kept;

	if (size && count > (SIZE_MAX - sizeof(*kept)) / size)
		return NULL;
	kept = mem_zalloc(sizeof(*kept) + count * size);
	if (kept == NULL)
		return NULL;
	kept->next = holder->kept;
	holder->kept = kept;
	return kept->bytes;
}

static const char *keep_text(struct config_holder *holder, const char *text,
			     size_t length)
{
	char *copy = config_keep(holder, length + 1, 1);

	if (copy)
		memcpy(copy, text, length);
	return copy;
}

const char *config_keep_path(struct config_holder *holder, const char *path)
{
	const char *directory = holder->config.directory;
	size_t above = strlen(directory), length = strlen(path);
	char *copy;

	if (*path == '/' || *directory == '\0')
		return keep_text(holder, path, length);
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	length = strlen(path);
	copy = config_keep(holder, above + 1 + length + 1, 1);
	if (copy == NULL)
		return NULL;
	memcpy(copy, directory, above);
	/* The folder may be the root itself. */
	if (above > 1)
		copy[above++] = '/';
	memcpy(copy + above, path, length);
	return copy;
}

static struct config_holder *holder_of(struct config *config)
{
	return CONTAINER_OF(config, struct config_holder, config);
}

struct config *config_ref(struct config *config)
{
	atomic_fetch_add_explicit(&holder_of(config)->references, 1,
				  memory_order_relaxed);
	return config;
}

void config_unref(struct config **config)
{
	struct config *gone = TAKE(*config);
	struct config_holder *holder;

	if (gone == NULL)
		return;
	holder = holder_of(gone);
	if (atomic_fetch_sub_explicit(&holder->references, 1,
				      memory_order_acq_rel) == 1)
		config_holder_free(&holder);
}

/* --- the environment ----------------------------------------------------- */

/* It goes into file names: no slash, and nothing a pattern gives a meaning. */
static bool is_environment(const char *word)
{
	return *word && *word != '.' && strlen(word) <= ENVIRONMENT_MAX &&
	       word[strcspn(word, "/\\*?[]{}$\"' \t\r\n\f\v")] == '\0';
}

static atom_status read_environment(struct config_holder *holder,
				    struct buffer *errors)
{
	struct setting *at =
		setting_member_mutable(holder->root, "environment");
	struct reference_scope scope = {
		.directory = holder->config.directory,
	};
	char shown[80];
	atom_status status;

	/* Another type is told with all other keys. */
	if (at == NULL || at->type != SETTING_STRING)
		return ATOM_OK;
	status = reference_resolve(at, &scope, errors);
	if (status != ATOM_OK)
		return status;
	if (!is_environment(at->text)) {
		value_quote(at->secret ? "***" : at->text, shown,
			    sizeof(shown));
		config_complain(
			errors, at,
			"`environment` must be a word of 1 to %d bytes without / and * ? [ ] { }, found \"%s\"",
			ENVIRONMENT_MAX, shown);
		return ATOM_EINVAL;
	}
	holder->config.environment = at->text;
	holder->config.environment_said = true;
	return ATOM_OK;
}

/* --- reading ------------------------------------------------------------- */

static const char *keep_absolute_directory(struct config_holder *holder,
					   const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX], real[PATH_MAX];
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length >= sizeof(folder))
		return NULL;
	memcpy(folder, path, length);
	folder[length] = '\0';
	if (slash == path)
		(void)strncpy(folder, "/", sizeof(folder));
	if (*folder == '\0')
		(void)strncpy(folder, ".", sizeof(folder));
	/* What cannot be resolved any more is used as it was given. */
	if (realpath(folder, real) == NULL)
		return keep_text(holder, folder, strlen(folder));
	return keep_text(holder, real, strlen(real));
}

static void read_log_level(struct config_holder *holder)
{
	static const int levels[] = { ATOM_LOG_ERROR, ATOM_LOG_WARN,
				      ATOM_LOG_INFO, ATOM_LOG_DEBUG,
				      ATOM_LOG_INFO };

	holder->config.log_level = levels[holder->log_word];
	holder->config.log_journal = holder->log_word == 4;
}

static void read_state(struct config_holder *holder, struct keys_reading *r)
{
	struct config *config = &holder->config;
	const char *path;

	keys_read(&state_keys, holder->state_group, holder, r);
	config->state_options = holder->state_group;
	if (*config->state_directory == '\0') {
		config_complain(
			r->errors,
			setting_member(holder->state_group, "directory"),
			"`directory` of `state` is empty");
		return;
	}
	path = config_keep_path(holder, config->state_directory);
	if (path)
		config->state_directory = path;
	else
		r->no_memory = true;
}

static void read_plugin_directories(struct config_holder *holder,
				    struct keys_reading *r)
{
	const char *const *given = holder->config.plugin_directories;
	const char **paths;
	size_t count = 0;

	while (given[count])
		count++;
	paths = config_keep(holder, count + 1, sizeof(*paths));
	for (size_t i = 0; paths && i < count; i++) {
		paths[i] = config_keep_path(holder, given[i]);
		if (paths[i] == NULL)
			r->no_memory = true;
	}
	if (paths)
		holder->config.plugin_directories = paths;
	else
		r->no_memory = true;
}

static atom_status apply_overrides(struct config_holder *holder,
				   const struct config_override *overrides,
				   size_t override_count, bool environment,
				   struct buffer *errors)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < override_count; i++) {
		atom_status one = ATOM_OK;

		if (override_is_environment(&overrides[i]) == environment)
			one = override_apply(holder->root, &overrides[i],
					     errors);
		if (one == ATOM_ENOMEM)
			return one;
		if (one != ATOM_OK)
			status = one;
	}
	return status;
}

atom_status config_finish(struct config_holder *holder,
			  const struct config_override *overrides,
			  size_t override_count, struct buffer *errors)
{
	struct reference_scope scope = {
		.environment = holder->config.environment,
		.directory = holder->config.directory,
	};
	struct keys_reading r = { .holder = holder, .errors = errors };
	atom_status status;

	status = apply_overrides(holder, overrides, override_count, false,
				 errors);
	if (status == ATOM_ENOMEM)
		return status;
	if (config_take_key_files(holder) != ATOM_OK ||
	    reference_resolve(holder->root, &scope, errors) == ATOM_ENOMEM)
		return ATOM_ENOMEM;
	keys_read(&host_keys, holder->root, holder, &r);
	read_log_level(holder);
	read_state(holder, &r);
	read_plugin_directories(holder, &r);
	config_read_listeners(holder, &r);
	config_read_windows(holder->window_list, &holder->config.freeze_windows,
			    &r);
	config_read_agents(holder, &r);
	config_read_components(holder, &r);
	config_read_security(holder, &r);
	return r.no_memory ? ATOM_ENOMEM : status;
}

static atom_status load_files(struct config_holder *holder, const char *path,
			      const struct config_override *overrides,
			      size_t override_count, struct buffer *errors)
{
	struct source_identity identity = { 0, 0 };
	atom_status status, included;

	status = include_read_main(path, &holder->root, &identity, errors);
	if (status != ATOM_OK)
		return status;
	holder->config.path = keep_text(holder, path, strlen(path));
	holder->config.directory = keep_absolute_directory(holder, path);
	if (holder->config.path == NULL || holder->config.directory == NULL)
		return ATOM_ENOMEM;
	status = apply_overrides(holder, overrides, override_count, true,
				 errors);
	if (status == ATOM_OK)
		status = read_environment(holder, errors);
	if (status == ATOM_ENOMEM)
		return status;
	included = include_follow(holder->root, path, &identity,
				  holder->config.environment, errors);
	if (included == ATOM_ENOMEM)
		return included;
	return config_finish(holder, overrides, override_count, errors);
}

/* Every fault is a message: without one all is well. */
atom_status config_load(const char *path,
			const struct config_override *overrides,
			size_t override_count, struct config **config_r,
			struct buffer *errors)
{
	struct config_holder *holder = config_holder_new();
	size_t before = errors->length;
	atom_status status = ATOM_ENOMEM;

	if (holder)
		status = load_files(holder, path, overrides, override_count,
				    errors);
	if (status == ATOM_ENOMEM)
		complain_at(errors, path, 0, "cannot be read: no memory");
	else if (errors->length > before || errors->failed)
		status = ATOM_EINVAL;
	if (status == ATOM_OK)
		*config_r = &TAKE(holder)->config;
	config_holder_free(&holder);
	return status;
}

/* --- one agent ----------------------------------------------------------- */

static atom_status read_one_agent(struct config_holder *holder,
				  struct setting *body,
				  const struct config *defaults,
				  struct buffer *errors)
{
	struct keys_reading r = { .holder = holder, .errors = errors };
	struct reference_scope scope;
	struct config_agent *agent;

	holder->config.path = keep_text(holder, "", 0);
	holder->config.directory = keep_text(holder, defaults->directory,
					     strlen(defaults->directory));
	holder->config.environment = keep_text(holder, defaults->environment,
					       strlen(defaults->environment));
	holder->config.environment_said = defaults->environment_said;
	agent = config_keep(holder, 1, sizeof(*agent));
	if (holder->config.directory == NULL ||
	    holder->config.environment == NULL || agent == NULL)
		return ATOM_ENOMEM;
	if (body->type != SETTING_GROUP) {
		config_complain(errors, body, "an agent is a group, found %s",
				setting_type_name(body->type));
		return ATOM_EINVAL;
	}
	scope.environment = holder->config.environment;
	scope.directory = holder->config.directory;
	if (reference_resolve(body, &scope, errors) == ATOM_ENOMEM)
		return ATOM_ENOMEM;
	config_read_agent(holder, body, agent, &r);
	if (agent->instances.min > defaults->max_agents)
		config_complain(errors, body,
				"`min` is more than `max_agents`, %lld",
				(long long)defaults->max_agents);
	holder->config.max_agents = defaults->max_agents;
	holder->config.memory_limit_mib = defaults->memory_limit_mib;
	holder->config.token_limit = defaults->token_limit;
	holder->config.revision_history = defaults->revision_history;
	holder->config.agent_limits = defaults->agent_limits;
	holder->config.agents = agent;
	holder->config.agent_count = 1;
	return r.no_memory ? ATOM_ENOMEM : ATOM_OK;
}

atom_status config_agent_of_setting(struct setting *body,
				    const struct config *defaults,
				    struct config **holder_r,
				    struct buffer *errors)
{
	struct config_holder *holder = config_holder_new();
	size_t before = errors->length;
	atom_status status = ATOM_ENOMEM;

	if (holder)
		status = read_one_agent(holder, body, defaults, errors);
	if (status == ATOM_ENOMEM)
		complain_at(errors, "", 0, "no memory");
	else if (errors->length > before || errors->failed)
		status = ATOM_EINVAL;
	if (status == ATOM_OK) {
		holder->root = body;
		*holder_r = &TAKE(holder)->config;
	}
	config_holder_free(&holder);
	return status;
}
