/* SPDX-License-Identifier: Apache-2.0 */
#include <atomd/backend.h>
#include <ctype.h>
#include <stdlib.h>

struct shout {
	const struct atom_host *host;
	const struct atom_backend_host *backend;
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct shout *shout = malloc(sizeof(*shout));

	(void)options;
	if (shout == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	shout->host = host;
	shout->backend = atom_service(host, ATOM_BACKEND_HOST);
	*self_r = shout;
	return ATOM_OK;
}

static atom_status invoke(void *self, void *unit, atom_call call,
			  struct atom_error *err)
{
	const struct shout *shout = self;
	const struct atom_span *input =
		&shout->backend->request(shout->host, call)->input;

	(void)unit;
	(void)err;
	for (size_t i = 0; i < input->length; i++) {
		char c = (char)toupper((unsigned char)input->bytes[i]);

		if (c != '"')
			(void)shout->backend->emit(shout->host, call,
						   ATOM_EMIT_TEXT, &c, 1);
	}
	shout->backend->finish(shout->host, call, ATOM_OK, NULL);
	return ATOM_OK;
}

static const struct atom_backend_ops ops = {
	.struct_size = sizeof(ops),
	.flags = ATOM_BACKEND_BLOCKING,
	.create = create,
	.destroy = free,
	.invoke = invoke,
};

ATOM_PLUGIN("shout", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT_PLAIN(ATOM_KIND_BACKEND, "shout", "answers louder",
				 &ops));
