/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OPTIONS_H
#define PLUGIN_OPTIONS_H

/*
 * From a group of settings to a plugin's own options struct, by its option
 * table; and the life of a configured component.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include <atomd/host.h>
#include <atomd/plugin.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "plugin/registry.h"

/* A filled options struct and all memory it points to. */
struct options;

/* Row `i`, by the table's own row size: a plugin of an older minor has
 * shorter rows. */
const struct atom_option *option_at(const struct atom_option *table,
				    uint32_t i);

/* Is the table itself legal (offsets inside the struct, known types, names,
 * defaults that parse and are in range)?  Asked when a plugin is probed. */
atom_status options_check_table(const struct atom_option *table, uint32_t count,
				size_t struct_size, struct atom_error *err);

/* Checks `group` (NULL = all defaults) against the table and fills a struct.
 * Member names of `ignored` (NULL-ended: "plugin", ...) are the host's own.
 * Every fault is added to `errors` as "FILE:LINE: ..." with the nearest
 * option.  Relative paths are the plugin's business. */
atom_status options_fill(const struct atom_component *component,
			 const struct setting *group,
			 const char *const *ignored, struct options **options_r,
			 struct buffer *errors);
const void *options_struct(const struct options *options);
void options_free(struct options **options);
/* Do two fillings differ only in RELOADABLE options? */
bool options_only_reloadable_differ(const struct options *a,
				    const struct options *b);
bool options_equal(const struct options *a, const struct options *b);

/* Names of secret options, and of the host's own that can stand in an agent's
 * group, NULL-ended, for setting_print; caller mem_free()s. */
const char **options_secret_names(const struct atom_component *component);
/* `plugin info`'s option rows. */
json_t *options_describe(const struct atom_option *table, uint32_t count);

/* A component with its options, its host and what `create` made. */
struct configured;

/* Names of the host's own that a component sees in its host. */
struct configured_spec {
	const struct component *component;
	const struct setting *group; /* NULL: defaults */
	const char *const *ignored;
	const char *agent;     /* "" = none; for log lines and state keys */
	const char *directory; /* of the configuration: atom_host.directory */
	void *owner;	       /* of the subsystem that configures; see below */
	/* Once `destroy` has returned, on its thread: nothing comes of that
	 * host any more.  May be NULL. */
	void (*ended)(const struct atom_host *host);
};

/* Fill the options and call create.  Faults of options go to `errors`, a
 * failed create to `err` too. */
atom_status configured_new(const struct configured_spec *spec,
			   struct configured **configured_r,
			   struct buffer *errors, struct atom_error *err);
/* New options: `reconfigure` when only reloadable ones differ, else
 * ATOM_ENOTSUP (make a new one). */
atom_status configured_update(struct configured *configured,
			      const struct setting *group,
			      struct buffer *errors, struct atom_error *err);
/* destroy, then free. */
void configured_free(struct configured **configured);

const struct component *configured_component(const struct configured *c);
void *configured_self(const struct configured *c);
const struct atom_host *configured_host(const struct configured *c);

#endif
