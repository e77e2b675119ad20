/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "simulate.h"

#include "config/parse.h"
#include "core/log.h"
#include "core/memory.h"

#include <stdlib.h>
#include <string.h>

#define ERRORS_MAX ((size_t)64 * 1024)

/* Keys of an agent's group that are the host's own. */
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

/* Length of the first plugin: commas inside quotes, brackets and braces are
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

static int parse_own(struct ctl *ctl, const struct simulate_open *open,
		     const char *options, struct simulate_plugin *plugin)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	int code = CTL_DONE;
	if (parse_text(options, strlen(options), open->option, &plugin->own,
		       &errors) != ATOM_OK)
		code = ctl_fail(ctl, CTL_USAGE,
				"%.*s (options of a plugin are written as in "
				"its configuration: name:a=1;b=\"30s\")",
				(int)errors.length,
				errors.bytes ? errors.bytes : "");
	buffer_fini(&errors);
	plugin->group = plugin->own;
	return code;
}

static int configure(struct ctl *ctl, const struct simulate_open *open,
		     struct simulate_plugin *plugin)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	struct configured_spec spec = {
		.group = plugin->group,
		.ignored = host_keys,
		.agent = open->agent ? open->agent->agent->name : NULL,
		.directory = open->agent ? open->agent->config->directory : ".",
	};
	atom_status status = registry_component(open->kind, plugin->name,
						&spec.component, &err);
	if (status == ATOM_OK)
		status = configured_new(&spec, &plugin->configured, &errors,
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

static int open_one(struct ctl *ctl, const struct simulate_open *open,
		    struct simulate_plugin *plugin)
{
	char *colon = strchr(plugin->typed, ':');
	int code = CTL_DONE;
	if (colon) {
		code = parse_own(ctl, open, colon + 1, plugin);
		*colon = '\0';
	} else if (open->group && open->own_name &&
		   !strcmp(open->own_name, plugin->typed)) {
		plugin->group = open->group;
	}
	plugin->name = plugin->typed;
	return code == CTL_DONE ? configure(ctl, open, plugin) : code;
}

int simulate_plugins_open(struct ctl *ctl, const struct simulate_open *open,
			  struct simulate_plugin **plugins_r, size_t *count_r)
{
	const char *list = open->list;
	struct simulate_plugin *plugins =
		mem_array(SIMULATE_PLUGINS_MAX, sizeof(*plugins));
	*plugins_r = plugins;
	*count_r = 0;
	if (!plugins)
		return ctl_fail_memory(ctl);
	do {
		size_t length = first_length(list);
		if (*count_r == SIMULATE_PLUGINS_MAX)
			return ctl_fail(ctl, CTL_USAGE,
					"%s: expected at most %d names, found "
					"more",
					open->option, SIMULATE_PLUGINS_MAX);
		if (!length)
			return ctl_fail(ctl, CTL_USAGE,
					"%s: expected a name between commas, "
					"found none",
					open->option);
		struct simulate_plugin *plugin = &plugins[*count_r];
		plugin->typed = mem_strndup(list, length);
		if (!plugin->typed)
			return ctl_fail_memory(ctl);
		++*count_r;
		int code = open_one(ctl, open, plugin);
		if (code != CTL_DONE)
			return code;
		list += length + (list[length] == ',');
		if (!*list)
			break;
	} while (true);
	return CTL_DONE;
}

void simulate_plugins_close(struct simulate_plugin **plugins, size_t count)
{
	for (size_t i = 0; *plugins && i < count; i++) {
		struct simulate_plugin *plugin = &(*plugins)[i];
		configured_free(&plugin->configured);
		setting_free(&plugin->own);
		mem_free(plugin->typed);
	}
	mem_free(TAKE(*plugins));
}

json_t *simulate_plugin_options(const struct simulate_plugin *plugin)
{
	json_t *options = plugin->group ? setting_to_json(plugin->group, NULL)
					: json_object();
	for (size_t i = 0; options && host_keys[i]; i++)
		json_object_del(options, host_keys[i]);
	return options;
}
