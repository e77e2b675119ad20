/* SPDX-License-Identifier: Apache-2.0 */

/*
 * backend/nothing: counts its calls, and no more.  Once a plugin, and once a
 * part of the program that measures what lies between the two.
 */

#include "nothing.h"

#include <stdlib.h>

struct nothing {
	uint64_t calls;
};

atom_status nothing_invoke(void *self, void *unit, atom_call call,
			   struct atom_error *err)
{
	struct nothing *nothing = self;

	(void)unit;
	(void)err;
	nothing->calls += call;
	return ATOM_OK;
}

static atom_status nothing_create(const struct atom_host *host,
				  const void *options, void **self_r,
				  struct atom_error *err)
{
	struct nothing *nothing = calloc(1, sizeof(*nothing));

	(void)host;
	(void)options;
	if (nothing == NULL)
		return atom_fail(err, ATOM_ENOMEM, "nothing: no memory");
	*self_r = nothing;
	return ATOM_OK;
}

static void nothing_destroy(void *self)
{
	free(self);
}

static const struct atom_backend_ops nothing_ops = {
	.struct_size = sizeof(nothing_ops),
	.flags = ATOM_BACKEND_SHARED,
	.create = nothing_create,
	.destroy = nothing_destroy,
	.invoke = nothing_invoke,
};

ATOM_PLUGIN("nothing", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT_PLAIN(ATOM_KIND_BACKEND, "nothing",
				 "counts its calls", &nothing_ops));
