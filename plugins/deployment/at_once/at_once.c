/* SPDX-License-Identifier: Apache-2.0 */

/* deployment/at_once: as many new instances as old ones, then one switch. */

#include <stdio.h>
#include <stdlib.h>

#include <atomd/deployment.h>

struct at_once_options {
	int64_t failed_starts;
	int64_t ready_within;
};

static const struct atom_option at_once_options[] = {
	ATOM_OPTION_INT_UNIT(struct at_once_options, failed_starts, "3", 0,
			     1000, ATOM_RELOADABLE, "instances",
			     "give up after more starts than this failed"),
	ATOM_OPTION_DURATION(struct at_once_options, ready_within, "5m", 1000,
			     86400000, ATOM_RELOADABLE,
			     "give up when they are not ready by then"),
};

struct at_once {
	const struct at_once_options *options;
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct at_once *self = calloc(1, sizeof(*self));

	(void)host;
	if (self == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	self->options = options;
	*self_r = self;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status reconfigure(void *self, const void *options,
			       struct atom_error *err)
{
	struct at_once *at_once = self;

	(void)err;
	at_once->options = options;
	return ATOM_OK;
}

static void act(struct atom_plan *plan, int32_t what, int64_t value)
{
	plan->actions[plan->action_count++] =
		(struct atom_action){ what, 0, value };
}

#define REASON(plan, ...) \
	(void)snprintf((plan)->reason, sizeof((plan)->reason), __VA_ARGS__)

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	const struct at_once_options *options =
		((const struct at_once *)self)->options;
	int32_t wanted = seen->old_wanted > 0 ? seen->old_wanted : 1;
	int64_t took_ms = seen->now_ms - seen->began_ms;

	(void)state;
	(void)err;
	*state_size = 0;
	plan->steps = 1;
	plan->action_count = 0;
	if (seen->person == ATOM_PERSON_ABORT) {
		act(plan, ATOM_ACT_ABORT, 0);
		REASON(plan, "a person stopped it");
	} else if (seen->new_failed > options->failed_starts) {
		act(plan, ATOM_ACT_ABORT, 0);
		REASON(plan, "%d starts failed, %lld may", seen->new_failed,
		       (long long)options->failed_starts);
	} else if (seen->new_wanted < wanted) {
		act(plan, ATOM_ACT_SET_NEW, wanted);
		REASON(plan, "starting %d instances", wanted);
	} else if (seen->new_ready >= seen->new_wanted) {
		act(plan, ATOM_ACT_SET_WEIGHT, ATOM_WEIGHT_ALL);
		act(plan, ATOM_ACT_PROMOTE, 0);
		REASON(plan, "all %d instances are ready", seen->new_ready);
	} else if (took_ms > options->ready_within) {
		act(plan, ATOM_ACT_ABORT, 0);
		REASON(plan, "%d of %d instances ready after %lld s",
		       seen->new_ready, seen->new_wanted,
		       (long long)took_ms / 1000);
	} else {
		act(plan, ATOM_ACT_WAIT, 0);
		REASON(plan, "%d of %d instances ready", seen->new_ready,
		       seen->new_wanted);
	}
	return ATOM_OK;
}

static const struct atom_deployment_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.advance = advance,
};

ATOM_PLUGIN("at_once", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_DEPLOYMENT, "at_once",
			   "all new instances first, then one switch", &ops,
			   at_once_options, struct at_once_options));
