/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "simulate.h"

#include "config/parse.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

#define ERRORS_MAX ((size_t)64 * 1024)

/* Keys of the group `scaling` that are the host's own. */
static const char *const host_keys[] = { "plugin",     "target_wait_ms",
					 "dry_run",    "scale_up",
					 "scale_down", NULL };

int simulate_plugins_begin(struct ctl *ctl)
{
	const char *folder = getenv("ATOMD_PLUGIN_DIR");
	const char *directories[] = { folder && *folder ? folder
							: ATOMD_PLUGIN_DIR,
				      NULL };
	struct atom_error err = ATOM_ERROR_INIT;
	/* A file that is refused is said when somebody asks for it. */
	log_set_descriptor(-1);
	if (registry_init(NULL, false, &err) != ATOM_OK ||
	    registry_scan(directories, &err) != ATOM_OK)
		return ctl_fail(ctl, CTL_FAILED, "%s", err.message);
	return CTL_DONE;
}

void simulate_plugins_end(void)
{
	registry_fini();
}

/* --- one of the list ---------------------------------------------------------- */

/* Length of the first strategy: commas inside quotes, brackets and braces are
 * its own. */
static size_t first_length(const char *list)
{
	int depth = 0;
	bool quoted = false;
	size_t i;
	for (i = 0; list[i]; i++) {
		if (quoted && list[i] == '\\' && list[i + 1])
			i++;
		else if (list[i] == '"')
			quoted = !quoted;
		else if (!quoted && strchr("([{", list[i]))
			depth++;
		else if (!quoted && strchr(")]}", list[i]))
			depth--;
		else if (!quoted && depth <= 0 && list[i] == ',')
			break;
	}
	return i;
}

static int parse_own(struct ctl *ctl, const char *options,
		     struct simulate_strategy *strategy)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	int code = CTL_DONE;
	if (parse_text(options, strlen(options), "--strategy", &strategy->own,
		       &errors) != ATOM_OK)
		code = ctl_fail(ctl, CTL_USAGE,
				"%.*s (options of a strategy are written as "
				"in its configuration: name:a=1;b=\"30s\")",
				(int)errors.length,
				errors.bytes ? errors.bytes : "");
	buffer_fini(&errors);
	strategy->group = strategy->own;
	return code;
}

static int configure(struct ctl *ctl, const struct simulate_agent *agent,
		     struct simulate_strategy *strategy)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	struct configured_spec spec = {
		.group = strategy->group,
		.ignored = host_keys,
		.agent = agent->agent->name,
		.directory = agent->config->directory,
	};
	atom_status status = registry_component("scaling", strategy->name,
						&spec.component, &err);
	if (status == ATOM_OK)
		status = configured_new(&spec, &strategy->configured, &errors,
					&err);
	while (errors.length && errors.bytes[errors.length - 1] == '\n')
		errors.length--;
	int code = CTL_DONE;
	if (status != ATOM_OK && errors.length)
		code = ctl_fail(ctl, CTL_FAILED, "%.*s", (int)errors.length,
				errors.bytes);
	else if (status != ATOM_OK)
		code = ctl_fail(ctl, CTL_FAILED, "%s", err.message);
	buffer_fini(&errors);
	return code;
}

static int open_one(struct ctl *ctl, const struct simulate_agent *agent,
		    struct simulate_strategy *strategy)
{
	const struct config_scaling *scaling = &agent->agent->scaling;
	char *colon = strchr(strategy->typed, ':');
	int code = CTL_DONE;
	if (colon) {
		code = parse_own(ctl, colon + 1, strategy);
		*colon = '\0';
	} else if (scaling->options && scaling->plugin &&
		   !strcmp(scaling->plugin, strategy->typed)) {
		strategy->group = scaling->options;
	}
	strategy->name = strategy->typed;
	return code == CTL_DONE ? configure(ctl, agent, strategy) : code;
}

int simulate_strategies_open(struct ctl *ctl, const char *list,
			     const struct simulate_agent *agent,
			     struct simulate_strategy **strategies_r,
			     size_t *count_r)
{
	struct simulate_strategy *strategies =
		mem_array(SIMULATE_STRATEGIES_MAX, sizeof(*strategies));
	*strategies_r = strategies;
	*count_r = 0;
	if (!strategies)
		return ctl_fail_memory(ctl);
	do {
		size_t length = first_length(list);
		if (*count_r == SIMULATE_STRATEGIES_MAX)
			return ctl_fail(ctl, CTL_USAGE,
					"--strategy: expected at most %d "
					"strategies, found more",
					SIMULATE_STRATEGIES_MAX);
		if (!length)
			return ctl_fail(ctl, CTL_USAGE,
					"--strategy: expected a name between "
					"commas, found none");
		struct simulate_strategy *strategy = &strategies[*count_r];
		strategy->typed = mem_strndup(list, length);
		if (!strategy->typed)
			return ctl_fail_memory(ctl);
		++*count_r;
		int code = open_one(ctl, agent, strategy);
		if (code != CTL_DONE)
			return code;
		list += length + (list[length] == ',');
		if (!*list)
			break;
	} while (true);
	return CTL_DONE;
}

void simulate_strategies_close(struct simulate_strategy **strategies,
			       size_t count)
{
	for (size_t i = 0; *strategies && i < count; i++) {
		struct simulate_strategy *strategy = &(*strategies)[i];
		configured_free(&strategy->configured);
		setting_free(&strategy->own);
		mem_free(strategy->typed);
	}
	mem_free(TAKE(*strategies));
}

json_t *simulate_strategy_options(const struct simulate_strategy *strategy)
{
	json_t *options = strategy->group
				  ? setting_to_json(strategy->group, NULL)
				  : json_object();
	for (size_t i = 0; options && host_keys[i]; i++)
		json_object_del(options, host_keys[i]);
	return options;
}
