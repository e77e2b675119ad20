/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/remote/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *absolute_path(const struct atom_host *host, const char *path)
{
	char *absolute = NULL;

	if (*path == '\0' || *path == '/')
		return strdup(path);
	return asprintf(&absolute, "%s/%s", host->directory, path) < 0
		       ? NULL
		       : absolute;
}
