/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_ENTRY_H
#define PLUGIN_ENTRY_H

/*
 * The checks of a plugin that has been mapped: its `atom_plugin_entry`, its
 * components, their functions and option tables.  The probe's child runs them
 * first, where a crash hurts nobody, and the daemon again on what it opens.
 */

#include <stdbool.h>

#include <atomd/plugin.h>

#include "plugin/kind.h"
#include "plugin/note.h"

#define ENTRY_COMPONENTS_MAX 256
#define ENTRY_TEXT_MAX	     512 /* bytes of a summary or a help line */

/* Given, at most ENTRY_TEXT_MAX bytes, and UTF-8. */
bool entry_text_fine(const char *text);

/* The plugin as a whole, against its note.  Messages go behind "FILE: ". */
atom_status entry_check(const struct atom_plugin *entry,
			const struct note *note, struct atom_error *err);

/* By the plugin's own stride; i < component_count. */
const struct atom_component *entry_component(const struct atom_plugin *entry,
					     uint32_t i);

/* ATOM_ENOTSUP: a kind that this daemon does not know, to be skipped.  Else
 * why the component is refused.  Messages go behind "KIND/NAME: ". */
atom_status entry_check_component(const struct atom_plugin *entry, uint32_t i,
				  const struct kind **kind_r,
				  struct atom_error *err);

#endif
