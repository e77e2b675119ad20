/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <string.h>

#include "config/agent_priv.h"
#include "config/config_priv.h"
#include "config/parse.h"
#include "config/value.h"
#include "core/memory.h"
#include "core/table.h"
#include "core/text.h"

/* What may stand at `plugin`, by place.  A component
 * that would be loaded and never asked is refused. */
static const char any_component[] = "";

const char *config_read_plugin(const struct setting *group, const char *only,
			       struct keys_reading *r)
{
	const struct setting *plugin = setting_member(group, "plugin");
	const char *name = plugin ? value_to_text(plugin) : NULL;
	char shown[80];

	/* Missing, no string or a failed reference: told already. */
	if (name == NULL || keys_is_unresolved(plugin))
		return "";
	value_quote(name, shown, sizeof(shown));
	if (!text_is_name(name)) {
		config_complain(
			r->errors, plugin,
			"`plugin` must be the name of a component, found \"%s\"",
			shown);
		return "";
	}
	if (only == NULL || (*only != '\0' && strcmp(name, only) != 0))
		config_complain(r->errors, plugin,
				"plugin \"%s\" is not in this version at `%s`",
				shown, group->name ? group->name : "plugin");
	return name;
}

static void check_name(const struct setting *group, const char *name,
		       struct keys_reading *r)
{
	const struct setting *at = setting_member(group, "name");
	char shown[80];

	if (at == NULL || at->type != SETTING_STRING ||
	    keys_is_unresolved(at) || text_is_name(name))
		return;
	value_quote(name, shown, sizeof(shown));
	config_complain(
		r->errors, at,
		"`name` must be 1 to 63 of a-z 0-9 _ . - and begin with a letter or digit, found \"%s\"",
		shown);
}

static void check_instances(const struct setting *group,
			    struct config_instances *instances,
			    struct keys_reading *r)
{
	const struct setting *given = setting_member(group, "instances");
	const struct setting *max = setting_member(given, "max");

	const struct setting *special = instances->memory_optimized;

	instances->present = given != NULL;
	if (special != NULL && setting_member(special, "plugin") != NULL)
		config_complain(r->errors, special,
				"`memory_optimized` holds options of the "
				"agent's backend, and no other `plugin`");
	if (special != NULL && special->member_count == 0)
		instances->memory_optimized = NULL;
	if (instances->max >= instances->min)
		return;
	if (max == NULL)
		instances->max = instances->min;
	else
		config_complain(r->errors, max,
				"`max` is %lld, which is less than `min`, %lld",
				(long long)instances->max,
				(long long)instances->min);
}

static const char *read_component(const struct setting *group, const char *only,
				  struct keys_reading *r)
{
	struct config_component component;

	keys_read(&component_keys, group, &component, r);
	return config_read_plugin(group, only, r);
}

static void check_bad_events(const struct setting *group,
			     const struct config_bad_events *bad,
			     struct keys_reading *r)
{
	const struct setting *at = setting_member(
		setting_member(group, "bad_events"), "rated_below");

	if (at != NULL && !(bad->rated_below >= 0 && bad->rated_below <= 1))
		config_complain(
			r->errors, at,
			"`rated_below` must be between 0 and 1, as scores are, found %g",
			bad->rated_below);
}

/* How an agent is scaled, and how a revision comes and is judged, makes no
 * other revision. */
static bool is_of_revision(const struct setting *member)
{
	return strcmp(member->name, "scaling") != 0 &&
	       strcmp(member->name, "deployment") != 0 &&
	       strcmp(member->name, "bad_events") != 0;
}

static void hash_text(const struct setting *group, struct config_agent *agent,
		      struct keys_reading *r)
{
	struct buffer text = BUFFER_INIT(2 * PARSE_FILE_MAX);
	struct setting without = *group;
	unsigned int length = 0;

	without.members =
		mem_array(group->member_count + 1, sizeof(struct setting *));
	without.member_count = 0;
	for (size_t i = 0; without.members && i < group->member_count; i++)
		if (is_of_revision(group->members[i]))
			without.members[without.member_count++] =
				group->members[i];
	if (without.members == NULL ||
	    setting_canonical(&without, &text) != ATOM_OK ||
	    EVP_Digest(text.bytes, text.length, agent->text_hash, &length,
		       EVP_sha256(), NULL) != 1)
		r->no_memory = true;
	mem_free(without.members);
	buffer_fini(&text);
}

void config_read_agent(struct config_holder *holder,
		       const struct setting *group, struct config_agent *agent,
		       struct keys_reading *r)
{
	struct agent_reading reading = { .caller_system = 0 };

	(void)holder;
	keys_read(&agent_keys, group, &reading, r);
	*agent = reading.agent;
	agent->setting = group;
	agent->refuse_caller_system = reading.caller_system == 1;
	check_name(group, agent->name, r);
	agent->memory.present = setting_member(group, "memory") != NULL;
	check_instances(group, &agent->instances, r);
	check_bad_events(group, &agent->bad_events, r);
	agent->backend = "";
	if (agent->backend_options)
		agent->backend = read_component(agent->backend_options,
						any_component, r);
	config_read_scaling(reading.scaling, &agent->scaling, r);
	config_read_deployment(reading.deployment, &agent->deployment, r);
	hash_text(group, agent, r);
}

static void complain_twice(const struct config_agent *agent,
			   const struct config_agent *other,
			   struct keys_reading *r)
{
	config_complain(r->errors, agent->setting,
			"the agent `%s` is declared at %s:%d already",
			agent->name, other->setting->file,
			other->setting->line);
}

static void check_minimum(const struct config_holder *holder,
			  struct keys_reading *r)
{
	const struct setting *limit =
		setting_member(holder->root, "max_agents");
	int64_t sum = 0;

	for (size_t i = 0; i < holder->config.agent_count; i++)
		sum += holder->config.agents[i].instances.min;
	if (sum > holder->config.max_agents)
		config_complain(
			r->errors, limit ? limit : holder->agent_list,
			"the `min` of all agents together is %lld, more than `max_agents`, %lld",
			(long long)sum, (long long)holder->config.max_agents);
}

void config_read_agents(struct config_holder *holder, struct keys_reading *r)
{
	const struct setting *list = holder->agent_list;
	struct table names = TABLE_INIT;
	struct config_agent *agents;

	if (list == NULL)
		return;
	agents = config_keep(holder, list->member_count, sizeof(*agents));
	if (agents == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++) {
		struct config_agent *agent = &agents[i];
		struct config_agent *other;

		config_read_agent(holder, list->members[i], agent, r);
		if (*agent->name == '\0')
			continue;
		other = table_get_text(&names, agent->name);
		if (other)
			complain_twice(agent, other, r);
		else if (table_set(&names, agent->name, strlen(agent->name),
				   agent, NULL) != ATOM_OK)
			r->no_memory = true;
	}
	table_fini(&names);
	holder->config.agents = agents;
	holder->config.agent_count = list->member_count;
	check_minimum(holder, r);
}

static struct config_component *read_list(struct config_holder *holder,
					  const struct setting *list,
					  const struct key_table *table,
					  const char *only, size_t *count_r,
					  struct keys_reading *r)
{
	struct config_component *components;

	if (list == NULL)
		return NULL;
	components =
		config_keep(holder, list->member_count, sizeof(*components));
	if (components == NULL) {
		r->no_memory = true;
		return NULL;
	}
	for (size_t i = 0; i < list->member_count; i++) {
		keys_read(table, list->members[i], &components[i], r);
		components[i].options = list->members[i];
		components[i].plugin =
			config_read_plugin(list->members[i], only, r);
	}
	*count_r = list->member_count;
	return components;
}

/* Exactly one sink gates: the one that says so, else the first `file`, else
 * the first. */
static void choose_required(struct config_component *sinks, size_t count,
			    struct keys_reading *r)
{
	struct config_component *chosen = NULL;

	for (size_t i = 0; i < count; i++) {
		const struct setting *at = sinks[i].options;

		if (!sinks[i].required)
			continue;
		if (chosen != NULL)
			config_complain(
				r->errors, at,
				"a second sink is `required`; the sink at %s:%d is already",
				chosen->options->file, chosen->options->line);
		else
			chosen = &sinks[i];
	}
	for (size_t i = 0; chosen == NULL && i < count; i++)
		if (sinks[i].plugin != NULL &&
		    strcmp(sinks[i].plugin, "file") == 0)
			chosen = &sinks[i];
	if (chosen == NULL && count > 0)
		chosen = &sinks[0];
	if (chosen != NULL)
		chosen->required = true;
	if (count > CONFIG_AUDIT_SINKS_MAX)
		config_complain(
			r->errors, sinks[CONFIG_AUDIT_SINKS_MAX].options,
			"more than %d audit sinks", CONFIG_AUDIT_SINKS_MAX);
}

void config_read_components(struct config_holder *holder,
			    struct keys_reading *r)
{
	struct config *config = &holder->config;
	struct config_component *sinks;

	config->monitors =
		read_list(holder, holder->monitor_list, &component_keys,
			  any_component, &config->monitor_count, r);
	sinks = read_list(holder, holder->sink_list, &sink_keys, any_component,
			  &config->audit_sink_count, r);
	if (sinks != NULL)
		choose_required(sinks, config->audit_sink_count, r);
	config->audit_sinks = sinks;
}
