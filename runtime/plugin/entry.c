/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/entry.h"

#include <string.h>

#include "plugin/options.h"

/* Sizes at minor 0: what every plugin of this major has at least. */
#define PLUGIN_SIZE_LEAST \
	(offsetof(struct atom_plugin, fini) + sizeof(void (*)(void)))
#define COMPONENT_SIZE_LEAST \
	(offsetof(struct atom_component, options_size) + sizeof(size_t))

bool entry_text_fine(const char *text)
{
	json_t *value;

	if (text == NULL || strnlen(text, ENTRY_TEXT_MAX + 1) > ENTRY_TEXT_MAX)
		return false;
	value = json_string(text);
	json_decref(value);
	return value != NULL;
}

const struct atom_component *entry_component(const struct atom_plugin *entry,
					     uint32_t i)
{
	const char *first = (const char *)entry->components;

	return (const struct atom_component
			*)(const void *)(first +
					 (size_t)i * entry->component_stride);
}

atom_status entry_check(const struct atom_plugin *entry,
			const struct note *note, struct atom_error *err)
{
	if (entry->magic != ATOM_PLUGIN_MAGIC)
		return atom_fail(err, ATOM_EINVAL,
				 "its " ATOM_PLUGIN_SYMBOL
				 " begins with the wrong magic; declare the "
				 "plugin with ATOM_PLUGIN()");
	if (entry->struct_size < PLUGIN_SIZE_LEAST)
		return atom_fail(err, ATOM_EINVAL,
				 "its " ATOM_PLUGIN_SYMBOL
				 " has %u bytes, a plugin of ABI %d.0 has "
				 "at least %zu",
				 (unsigned int)entry->struct_size,
				 ATOM_ABI_MAJOR, (size_t)PLUGIN_SIZE_LEAST);
	if (entry->abi_major != note->abi_major ||
	    entry->abi_minor != note->abi_minor ||
	    entry->needs_minor != note->needs_minor)
		return atom_fail(err, ATOM_EINVAL,
				 "its note says ABI %u.%u (needs %u), its "
				 "entry %u.%u (needs %u)",
				 note->abi_major, note->abi_minor,
				 note->needs_minor, entry->abi_major,
				 entry->abi_minor, entry->needs_minor);
	if (!entry_text_fine(entry->name) || !entry_text_fine(entry->version) ||
	    !entry_text_fine(entry->license))
		return atom_fail(
			err, ATOM_EINVAL,
			"name, version and license must be given, as UTF-8");
	if (strcmp(entry->name, note->name) != 0 ||
	    strcmp(entry->version, note->version) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "its note says %s %s, its entry %s %s",
				 note->name, note->version, entry->name,
				 entry->version);
	if (entry->component_count == 0 || entry->components == NULL)
		return atom_fail(err, ATOM_EINVAL, "holds no component");
	if (entry->component_count > ENTRY_COMPONENTS_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "holds %u components, at most %d are read",
				 (unsigned int)entry->component_count,
				 ENTRY_COMPONENTS_MAX);
	if (entry->component_stride < COMPONENT_SIZE_LEAST ||
	    entry->component_stride % sizeof(void *) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "its components are %u bytes apart, ABI "
				 "%d.0 has %zu",
				 entry->component_stride, ATOM_ABI_MAJOR,
				 (size_t)COMPONENT_SIZE_LEAST);
	return ATOM_OK;
}

/* Does one component before `i` have the same kind and name? */
static bool seen_before(const struct atom_plugin *entry, uint32_t i)
{
	const struct atom_component *mine = entry_component(entry, i);

	for (uint32_t j = 0; j < i; j++) {
		const struct atom_component *other = entry_component(entry, j);

		if (entry_text_fine(other->kind) &&
		    entry_text_fine(other->name) &&
		    strcmp(other->kind, mine->kind) == 0 &&
		    strcmp(other->name, mine->name) == 0)
			return true;
	}
	return false;
}

static bool any_reloadable(const struct atom_option *table, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct atom_option *option = option_at(table, i);

		if (option->flags & ATOM_RELOADABLE)
			return true;
		if (option->member_count > 0 &&
		    any_reloadable(option->members, option->member_count))
			return true;
	}
	return false;
}

atom_status entry_check_component(const struct atom_plugin *entry, uint32_t i,
				  const struct kind **kind_r,
				  struct atom_error *err)
{
	const struct atom_component *component = entry_component(entry, i);
	const struct kind *kind;
	atom_status status;

	if (component->struct_size < COMPONENT_SIZE_LEAST ||
	    component->struct_size > entry->component_stride)
		return atom_fail(err, ATOM_EINVAL,
				 "it has %u bytes, a component of ABI %d.0 "
				 "has at least %zu",
				 (unsigned int)component->struct_size,
				 ATOM_ABI_MAJOR, (size_t)COMPONENT_SIZE_LEAST);
	if (!entry_text_fine(component->kind) ||
	    !entry_text_fine(component->name) ||
	    !plugin_name_legal(component->name))
		return atom_fail(err, ATOM_EINVAL,
				 "a component's name is [a-z0-9_-]{1,63}");
	if (!entry_text_fine(component->summary))
		return atom_fail(err, ATOM_EINVAL,
				 "its summary must be one short line of UTF-8");
	kind = kind_of_id(component->kind);
	if (kind == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "this atomd knows no kind %s, so the "
				 "component is skipped",
				 component->kind);
	if (seen_before(entry, i))
		return atom_fail(err, ATOM_EEXIST,
				 "the plugin declares it twice");
	status = kind_check_ops(kind, component->ops, err);
	if (status != ATOM_OK)
		return status;
	if (component->option_count > 0 || component->options_size > 0) {
		status = options_check_table(component->options,
					     component->option_count,
					     component->options_size, err);
		if (status != ATOM_OK)
			return status;
	}
	if (component->ops->reconfigure == NULL &&
	    any_reloadable(component->options, component->option_count))
		return atom_fail(err, ATOM_EINVAL,
				 "its function `reconfigure` is missing: one "
				 "of its options is ATOM_RELOADABLE");
	*kind_r = kind;
	return ATOM_OK;
}
