/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin/library.h"

#include <dlfcn.h>
#include <string.h>

/* What dlopen complains of, without our own path before it. */
static const char *complaint(const char *path)
{
	const char *text = dlerror();
	size_t length = strlen(path);

	if (text == NULL)
		return "no reason given";
	if (strncmp(text, path, length) == 0 && text[length] == ':')
		text += length + 1;
	return text + strspn(text, " ");
}

atom_status library_open(const char *path, void **library_r,
			 const struct atom_plugin **entry_r,
			 struct atom_error *err)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return atom_fail(err, ATOM_EINVAL, "cannot be loaded: %s",
				 complaint(path));
	*entry_r = dlsym(library, ATOM_PLUGIN_SYMBOL);
	if (*entry_r == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "exports no symbol " ATOM_PLUGIN_SYMBOL
				 "; declare the plugin with ATOM_PLUGIN()");
	*library_r = library;
	return ATOM_OK;
}
