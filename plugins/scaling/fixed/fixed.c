/* SPDX-License-Identifier: Apache-2.0 */

/* scaling/fixed: the same number of instances, whatever happens. */

#include <stdio.h>
#include <stdlib.h>

#include <atomd/scaling.h>

struct fixed_options {
	int64_t instances;
};

static const struct atom_option fixed_options[] = {
	ATOM_OPTION_INT_UNIT(struct fixed_options, instances, "1", 0, 100000,
			     ATOM_RELOADABLE, "instances",
			     "how many there should be"),
};

/* What `create` makes: only the options to look at. */
struct fixed {
	const struct fixed_options *options;
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct fixed *fixed = calloc(1, sizeof(*fixed));

	(void)host;
	if (fixed == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	fixed->options = options;
	*self_r = fixed;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct fixed *fixed = self;

	(void)err;
	fixed->options = options;
	return ATOM_OK;
}

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct fixed *fixed = self;
	int32_t wanted = (int32_t)fixed->options->instances;

	(void)state;
	(void)err;
	*state_size = 0;
	advice->wanted = wanted;
	advice->action = wanted > load->desired	  ? ATOM_SCALE_ADD
			 : wanted < load->desired ? ATOM_SCALE_REMOVE
						  : ATOM_SCALE_NONE;
	advice->value = load->desired;
	(void)snprintf(advice->metric, sizeof(advice->metric), "instances");
	(void)snprintf(advice->reason_code, sizeof(advice->reason_code),
		       "fixed");
	(void)snprintf(advice->reason, sizeof(advice->reason),
		       "%d instances are configured, %d are in force", wanted,
		       load->desired);
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.evaluate = evaluate,
};

ATOM_PLUGIN("fixed", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_SCALING, "fixed",
			   "always the same number of instances", &ops,
			   fixed_options, struct fixed_options));
