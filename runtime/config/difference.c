/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "config/config_priv.h"
#include "config/parse.h"
#include "config/setting_priv.h"
#include "core/memory.h"
#include "core/table.h"

static atom_status index_agents(const struct config *config,
				struct table *names)
{
	for (size_t i = 0; i < config->agent_count; i++) {
		const struct config_agent *agent = &config->agents[i];
		atom_status status =
			table_set(names, agent->name, strlen(agent->name),
				  (void *)(uintptr_t)agent, NULL);

		if (status != ATOM_OK)
			return status;
	}
	return ATOM_OK;
}

static void compare_agents(const struct config *now, const struct config *next,
			   const struct table *now_names,
			   const struct table *next_names,
			   struct config_difference *d)
{
	for (size_t i = 0; i < next->agent_count; i++) {
		const struct config_agent *agent = &next->agents[i];
		const struct config_agent *old =
			table_get_text(now_names, agent->name);

		if (old == NULL)
			d->added[d->added_count++] = agent;
		else if (memcmp(old->text_hash, agent->text_hash,
				sizeof(agent->text_hash)) != 0)
			d->changed[d->changed_count++] = agent;
		else
			d->unchanged_count++;
	}
	for (size_t i = 0; i < now->agent_count; i++)
		if (table_get_text(next_names, now->agents[i].name) == NULL)
			d->removed[d->removed_count++] = &now->agents[i];
}

/* Do two groups or lists (NULL: absent) hold the same values?  What their
 * references stand for counts: a secret's file may have changed. */
static atom_status same(const struct setting *a, const struct setting *b,
			bool *same_r)
{
	struct buffer x = BUFFER_INIT(4 * PARSE_FILE_MAX);
	struct buffer y = BUFFER_INIT(4 * PARSE_FILE_MAX);
	atom_status status = ATOM_OK;

	*same_r = a == NULL && b == NULL;
	if (a == NULL || b == NULL)
		return ATOM_OK;
	status = setting_canonical_resolved(a, &x);
	if (status == ATOM_OK)
		status = setting_canonical_resolved(b, &y);
	if (status == ATOM_OK)
		*same_r = x.length == y.length &&
			  memcmp(x.bytes, y.bytes, x.length) == 0;
	if (x.length)
		explicit_bzero(x.bytes, x.length);
	if (y.length)
		explicit_bzero(y.bytes, y.length);
	buffer_fini(&x);
	buffer_fini(&y);
	return status;
}

static const struct setting *part(const struct config *config, const char *name)
{
	const struct config_holder *holder =
		CONTAINER_OF((struct config *)(uintptr_t)config,
			     struct config_holder, config);

	return setting_member(holder->root, name);
}

static atom_status part_changed(const struct config *now,
				const struct config *next, const char *name,
				bool *changed_r)
{
	bool equal = true;
	atom_status status = same(part(now, name), part(next, name), &equal);

	*changed_r = !equal;
	return status;
}

static bool is_host_key(const char *name)
{
	for (size_t i = 0; i < state_keys.count; i++)
		if (strcmp(state_keys.keys[i].name, name) == 0)
			return true;
	return false;
}

/* Has a member of `from` another value in `to`?  Our own keys are compared
 * as read, for a default may be written out. */
static atom_status options_changed(const struct setting *from,
				   const struct setting *to, bool *changed_r)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; status == ATOM_OK && from && i < from->member_count;
	     i++) {
		const struct setting *member = from->members[i];
		bool equal = true;

		if (!is_host_key(member->name))
			status = same(member, setting_member(to, member->name),
				      &equal);
		*changed_r |= !equal;
	}
	return status;
}

static atom_status compare_parts(const struct config *now,
				 const struct config *next,
				 struct config_difference *d)
{
	bool state_changed = false;
	atom_status status;

	status = part_changed(now, next, "listeners", &d->listeners_changed);
	if (status == ATOM_OK)
		status = part_changed(now, next, "security",
				      &d->security_changed);
	if (status == ATOM_OK)
		status = options_changed(now->state_options,
					 next->state_options, &state_changed);
	if (status == ATOM_OK)
		status = options_changed(next->state_options,
					 now->state_options, &state_changed);
	if (status != ATOM_OK)
		return status;
	if (strcmp(now->state_store, next->state_store) != 0)
		d->needs_restart = "state.store";
	else if (strcmp(now->state_directory, next->state_directory) != 0)
		d->needs_restart = "state.directory";
	else if (state_changed)
		d->needs_restart = "state";
	else if (now->workers != next->workers)
		d->needs_restart = "workers";
	else if (strcmp(now->user, next->user) != 0)
		d->needs_restart = "user";
	else if (now->log_journal != next->log_journal)
		d->needs_restart = "log_level";
	else if (now->monitoring_enabled != next->monitoring_enabled)
		d->needs_restart = "monitoring_enabled";
	else if (now->monitoring_interval_ms != next->monitoring_interval_ms)
		d->needs_restart = "monitoring_interval";
	return ATOM_OK;
}

atom_status config_compare(const struct config *now, const struct config *next,
			   struct config_difference *difference_r)
{
	struct table now_names = TABLE_INIT, next_names = TABLE_INIT;
	struct config_difference d = { .added_count = 0 };
	atom_status status = ATOM_ENOMEM;

	d.added = mem_array(next->agent_count + 1, sizeof(*d.added));
	d.changed = mem_array(next->agent_count + 1, sizeof(*d.changed));
	d.removed = mem_array(now->agent_count + 1, sizeof(*d.removed));
	if (d.added == NULL || d.changed == NULL || d.removed == NULL)
		goto out;
	status = index_agents(now, &now_names);
	if (status == ATOM_OK)
		status = index_agents(next, &next_names);
	if (status != ATOM_OK)
		goto out;
	compare_agents(now, next, &now_names, &next_names, &d);
	status = compare_parts(now, next, &d);
out:
	table_fini(&now_names);
	table_fini(&next_names);
	if (status == ATOM_OK)
		*difference_r = d;
	else
		config_difference_fini(&d);
	return status;
}

void config_difference_fini(struct config_difference *difference)
{
	mem_free(difference->added);
	mem_free(difference->changed);
	mem_free(difference->removed);
	*difference = (struct config_difference){ .added_count = 0 };
}
