/* SPDX-License-Identifier: Apache-2.0 */
#include "sample_component.h"

#include <stdatomic.h>
#include <string.h>

#include <jansson.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/metric.h"
#include "one_record_store.h"
#include "state/state.h"

/* --- the component -------------------------------------------------------- */

struct configured *one;

static const struct atom_option sample_options[] = {
	ATOM_OPTION_INT(struct sample_options, count, "1", 0, 9,
			ATOM_RELOADABLE, "a number"),
};

const struct atom_host *given_host;
const struct sample_options *given_options;
int destroyed;

static atom_status sample_create(const struct atom_host *host,
				 const void *options, void **self_r,
				 struct atom_error *err)
{
	const struct sample_options *wanted = options;

	if (wanted->count == 7)
		return atom_fail(err, ATOM_EIO, "seven is not to be had");
	given_host = host;
	given_options = wanted;
	*self_r = &destroyed;
	return ATOM_OK;
}

static void sample_destroy(void *self)
{
	CHECK(self == &destroyed);
	CHECK(loop_is_control());
	destroyed++;
	/* As a call does that is refused in here. */
	host_hold(given_host);
	host_release(given_host);
}

static atom_status sample_reconfigure(void *self, const void *options,
				      struct atom_error *err)
{
	const struct sample_options *next = options;

	(void)self;
	if (next->count == 8)
		return atom_fail(err, ATOM_EINVAL, "eight is not to be had");
	/* The old struct may still be read. */
	CHECK(given_options->count < 8);
	given_options = options;
	return ATOM_OK;
}

static const struct atom_ops sample_ops = {
	.struct_size = sizeof(sample_ops),
	.create = sample_create,
	.destroy = sample_destroy,
	.reconfigure = sample_reconfigure,
};

static const struct atom_component sample_declared =
	ATOM_COMPONENT(ATOM_KIND_SCALING, "sample", "for tests", &sample_ops,
		       sample_options, struct sample_options);

const struct component sample = {
	.declared = &sample_declared,
	.kind_word = "scaling",
	.name = "sample",
	.ops = &sample_ops,
};

static struct setting *group_of(int64_t count)
{
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *json = json_pack("{s:I}", "count", (json_int_t)count);
	struct setting *group = NULL;

	CHECK(setting_of_json(json, "options", &group, &err) == ATOM_OK);
	json_decref(json);
	return group;
}

struct configured *configure(int64_t count, struct atom_error *err)
{
	struct setting *group = group_of(count);
	struct configured_spec spec = { .component = &sample,
					.agent = "chat",
					.directory = "/etc/somewhere",
					.group = group,
					.owner = &spec };
	struct buffer errors = BUFFER_INIT(4096);
	struct configured *configured = NULL;

	(void)configured_new(&spec, &configured, &errors, err);
	setting_free(&group);
	buffer_fini(&errors);
	return configured;
}

atom_status update(int64_t count, struct atom_error *err)
{
	struct setting *group = group_of(count);
	struct buffer errors = BUFFER_INIT(4096);
	atom_status status = configured_update(one, group, &errors, err);

	setting_free(&group);
	buffer_fini(&errors);
	return status;
}

/* --- steps ---------------------------------------------------------------- */

static const struct tap_test *all;
static int all_count;
static atomic_int step;

const void *service(const char *id)
{
	const void *table = atom_service(configured_host(one), id);

	CHECK(table != NULL);
	return table;
}

static struct message begin_step;

static void run_step(struct loop *loop, struct message *message)
{
	int at = atomic_load(&step);

	(void)loop;
	(void)message;
	if (at > 0)
		printf("ok %d - %s\n", at, all[at - 1].name);
	(void)fflush(stdout);
	if (at == all_count)
		loops_stop();
	else
		all[at].run();
}

void next_step(void)
{
	atomic_fetch_add(&step, 1);
	begin_step.deliver = run_step;
	loop_post(loop_control(), &begin_step);
}

int run_steps(const struct tap_test *steps, int count)
{
	struct atom_error err = ATOM_ERROR_INIT;

	all = steps;
	all_count = count;
	(void)alarm(300);
	printf("1..%d\n", count);
	log_set_descriptor(-1);
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(1) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	CHECK(host_register(ATOM_LOG, &err) == ATOM_EEXIST);
	one = configure(1, &err);
	CHECK(one != NULL);
	CHECK(state_attach(&one_record_store, NULL, &err) == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
	begin_step.deliver = run_step;
	loop_post(loop_control(), &begin_step);
	loops_run_control();
	CHECK(atomic_load(&step) == count);
	CHECK(state_detach(&err) == ATOM_OK);
	configured_free(&one);
	loops_fini();
	metric_fini();
	log_fini();
	return 0;
}
