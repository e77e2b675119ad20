/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/component.h"

#include <stdlib.h>

struct component {
	const void *options; /* the host's */
};

atom_status component_create(const struct atom_host *host, const void *options,
			     void **self_r, struct atom_error *err)
{
	struct component *component = calloc(1, sizeof(*component));

	(void)host;
	if (component == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	component->options = options;
	*self_r = component;
	return ATOM_OK;
}

void component_destroy(void *self)
{
	free(self);
}

atom_status component_reconfigure(void *self, const void *options,
				  struct atom_error *err)
{
	struct component *component = self;

	(void)err;
	component->options = options;
	return ATOM_OK;
}

const void *component_options(const void *self)
{
	return ((const struct component *)self)->options;
}
