/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_LIBRARY_H
#define PLUGIN_LIBRARY_H

/*
 * dlopen(3) of a plugin and the look-up of its entry, with errors that do not
 * show the private copy's path.
 */

#include <atomd/plugin.h>

/* Maps the file and runs its constructors.  A library that has been mapped
 * stays so, also on failure: its code may already be known elsewhere. */
atom_status library_open(const char *path, void **library_r,
			 const struct atom_plugin **entry_r,
			 struct atom_error *err);

#endif
