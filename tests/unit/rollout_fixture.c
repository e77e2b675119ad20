/* SPDX-License-Identifier: Apache-2.0 */

#include <criterion/criterion.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"
#include "core/buffer.h"
#include "core/log.h"
#include "core/memory.h"
#include "plugin/options.h"
#include "rollout_fixture.h"

#define BEGAN_MS    INT64_C(1767571200000)
#define START_TICKS 2

/* --- plugins ---------------------------------------------------------------- */

struct opened {
	void *so;
	void *self;
	const struct atom_ops *ops;
	struct setting *root;
	struct options *options;
};

static struct opened strategy, judge;
static struct buffer kept = BUFFER_INIT(4 << 20);
static struct rollout *second;
static int32_t new_starting[START_TICKS], old_starting[START_TICKS];
static int32_t old_wanted, new_wanted;

static const void *no_service(const struct atom_host *host, const char *id)
{
	(void)host;
	(void)id;
	return NULL;
}

static const struct atom_host nobody = {
	.struct_size = sizeof(nobody),
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.version = "test",
	.directory = "/",
	.service = no_service,
};

static void open_plugin(struct opened *o, const char *kind, const char *name,
			const char *text)
{
	static const char *const ignored[] = { "plugin", NULL };
	const char *folder = getenv("ATOMD_BUILD_PLUGINS");
	struct buffer errors = BUFFER_INIT(65536);
	const struct atom_component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	char path[4096];

	log_set_descriptor(-1);
	(void)snprintf(path, sizeof(path), "%s/%s-%s.so",
		       folder ? folder : "plugins/built", kind, name);
	o->so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(o->so, "%s", dlerror());
	component =
		((const struct atom_plugin *)dlsym(o->so, ATOM_PLUGIN_SYMBOL))
			->components;
	o->ops = component->ops;
	cr_assert_eq(
		parse_text(text, strlen(text), "t.conf", &o->root, &errors),
		ATOM_OK, "%s", errors.bytes);
	cr_assert_eq(
		options_fill(component, o->root, ignored, &o->options, &errors),
		ATOM_OK, "%s", errors.bytes);
	cr_assert_eq(o->ops->create(&nobody, options_struct(o->options),
				    &o->self, &err),
		     ATOM_OK, "%s", err.message);
	buffer_fini(&errors);
}

static void close_plugin(struct opened *o)
{
	if (o->so == NULL)
		return;
	o->ops->destroy(o->self);
	options_free(&o->options);
	setting_free(&o->root);
	dlclose(o->so);
	memset(o, 0, sizeof(*o));
}

/* --- life ------------------------------------------------------------------- */

static void begin(struct host *host, const char *name, const char *judge_name)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_new made = {
		.id = "r1",
		.agent = "summarizer",
		.from = 1,
		.to = 2,
		.from_hash = "aa",
		.to_hash = "bb",
		.strategy = name,
		.judge = judge_name,
		.salt = UINT64_C(0xfedcba9876543210),
		.wall_ms = BEGAN_MS,
	};

	host->rollout = mem_zalloc(sizeof(*host->rollout));
	second = mem_zalloc(sizeof(*second));
	cr_assert(host->rollout && second);
	cr_assert_eq(rollout_begin(host->rollout, &made, &err), ATOM_OK, "%s",
		     err.message);
	rollout_settings_default(&host->settings);
	if (judge_name)
		open_plugin(&judge, "judge", judge_name, "");
	host->judge.ops =
		(const struct atom_judge_ops *)(const void *)judge.ops;
	host->judge.self = judge.self;
	host->agent_wanted = 4;
	host->room = 1000;
	host->tick_ms = 1000;
	host->seed = 1;
	host->least = INT32_MAX;
	host->seen.wall_ms = BEGAN_MS;
	host->seen.steady_ms = 5000;
	host->seen.old_ready = 4;
	host->seen.bad_kinds = 1U << ATOM_BAD_ERROR;
	old_wanted = 4;
	new_wanted = 0;
	memset(new_starting, 0, sizeof(new_starting));
	memset(old_starting, 0, sizeof(old_starting));
}

void host_begin(struct host *host, const char *name, const char *options,
		const char *judge_name)
{
	memset(host, 0, sizeof(*host));
	open_plugin(&strategy, "deployment", name, options);
	host->strategy.ops =
		(const struct atom_deployment_ops *)(const void *)strategy.ops;
	host->strategy.self = strategy.self;
	begin(host, name, judge_name);
}

void host_begin_with(struct host *host, const struct atom_deployment_ops *ops,
		     const char *judge_name)
{
	memset(host, 0, sizeof(*host));
	host->strategy.ops = ops;
	host->strategy.self = host;
	begin(host, "own", judge_name);
}

void host_end(struct host *host)
{
	close_plugin(&strategy);
	close_plugin(&judge);
	mem_free(TAKE(host->rollout));
	mem_free(TAKE(second));
	buffer_fini(&kept);
	buffer_init(&kept, 4 << 20);
}

/* --- chance ----------------------------------------------------------------- */

uint64_t host_draw(struct host *host)
{
	uint64_t z = host->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static double uniform(struct host *host)
{
	return (double)(host_draw(host) >> 11) * 0x1p-53;
}

/* --- calls and instances ---------------------------------------------------- */

static void count_call(struct host *host, int32_t weight, int32_t is_new,
		       bool bad)
{
	struct atom_cell *cell = NULL;

	for (size_t i = 0; i < host->cell_count && cell == NULL; i++)
		if (host->cells[i].weight == weight &&
		    host->cells[i].is_new == is_new)
			cell = &host->cells[i];
	if (cell == NULL) {
		cr_assert_lt(host->cell_count, ARRAY_SIZE(host->cells));
		cell = &host->cells[host->cell_count++];
		*cell = (struct atom_cell){ .struct_size = sizeof(*cell),
					    .weight = weight,
					    .is_new = is_new,
					    .bad_kinds = ATOM_BAD_COUNT };
	}
	cell->calls++;
	cell->bad[ATOM_BAD_ERROR] += bad;
}

static void run_calls(struct host *host)
{
	for (int32_t i = 0; i < host->calls; i++) {
		int32_t weight = host->orders.weight;
		int32_t is_new = uniform(host) * ATOM_WEIGHT_ALL < weight;
		double rate = is_new ? host->new_rate : host->old_rate;

		count_call(host, weight, is_new, uniform(host) < rate);
		if (uniform(host) * ATOM_WEIGHT_ALL < host->orders.mirror)
			for (int32_t arm = 0; arm < 2; arm++)
				count_call(host, ATOM_WEIGHT_ALL / 2, arm,
					   uniform(host) <
						   (arm ? host->new_rate
							: host->old_rate));
	}
}

static int32_t sum(const int32_t *starting)
{
	return starting[0] + starting[1];
}

/* Towards `wanted`: surplus ends at once, what is missing starts. */
static void scale(int32_t wanted, int32_t *ready, int32_t *starting,
		  int32_t room)
{
	int32_t missing = wanted - *ready - sum(starting);

	if (*ready > wanted)
		*ready = wanted;
	if (missing < 0)
		memset(starting, 0, START_TICKS * sizeof(*starting));
	if (missing > 0)
		starting[0] += missing < room ? missing : room > 0 ? room : 0;
}

static void run_instances(struct host *host)
{
	struct rollout_seen *seen = &host->seen;
	int32_t all;

	if (host->starts_fail) {
		seen->new_failed += new_starting[1];
		seen->start_error = "exec: no such file";
	} else {
		seen->new_ready += new_starting[1];
	}
	seen->old_ready += old_starting[1];
	new_starting[1] = new_starting[0];
	old_starting[1] = old_starting[0];
	new_starting[0] = old_starting[0] = 0;
	scale(old_wanted, &seen->old_ready, old_starting, host->room);
	scale(new_wanted, &seen->new_ready, new_starting,
	      host->room - old_wanted - seen->new_ready - sum(new_starting));
	all = seen->old_ready + sum(old_starting) + seen->new_ready +
	      sum(new_starting);
	host->most = all > host->most ? all : host->most;
	all = seen->old_ready + seen->new_ready;
	host->least = all < host->least ? all : host->least;
	if (seen->new_ready > host->most_new_ready)
		host->most_new_ready = seen->new_ready;
	if (seen->old_ready == 0 && !host->ends_late)
		seen->old_in_flight = 0;
}

/* --- what must never be ----------------------------------------------------- */

static void hold_against(const struct host *host,
			 const struct rollout_position *before)
{
	const struct rollout_orders *o = &host->orders;
	const struct rollout_seen *seen = &host->seen;
	const struct rollout_position *at = &host->rollout->at;
	bool moving =
		at->stage == ROLLOUT_STEPS || at->stage == ROLLOUT_FINISHING;

	cr_assert(o->weight >= 0 && o->weight <= ATOM_WEIGHT_ALL);
	cr_assert(o->mirror >= 0 && o->mirror <= ATOM_WEIGHT_ALL);
	cr_assert_gt(o->look_ms, 0);
	cr_assert(o->store || !o->urgent);
	cr_assert_eq(o->outcome, at->outcome);
	if (moving)
		cr_assert(o->weight == 0 || seen->new_ready > 0 || o->hold,
			  "weight %d with nothing ready", o->weight);
	if (moving && o->weight < ATOM_WEIGHT_ALL && !o->hold)
		cr_assert(o->old_instances == ROLLOUT_SCALED ||
				  o->old_instances > 0,
			  "calls of an old revision without instances");
	cr_assert_eq(o->new_instances == ROLLOUT_SCALED,
		     o->outcome == ROLLOUT_PROMOTED);
	cr_assert_eq(o->mirror > 0 && seen->new_ready == 0, false);
	if (at->outcome == ROLLOUT_ABORTED && seen->old_ready > 0)
		cr_assert_eq(o->weight, 0);
	if (o->over)
		cr_assert_eq(o->weight, at->outcome == ROLLOUT_PROMOTED
						? ATOM_WEIGHT_ALL
						: 0);
	/* Never two stables, and no way back from aborted. */
	cr_assert(before->outcome != ROLLOUT_ABORTED ||
		  at->outcome == ROLLOUT_ABORTED);
	cr_assert(before->outcome != ROLLOUT_PROMOTED ||
		  at->outcome != ROLLOUT_OPEN);
	if (at->outcome != before->outcome)
		cr_assert(o->store);
	cr_assert(at->reason[0] != '\0');
}

/* Takes away (or gives back) what another table has of the same cell. */
static void subtract(struct atom_cell *cell, const struct rollout_cells *table,
		     int sign)
{
	for (size_t k = 0; k < table->count; k++) {
		const struct atom_cell *less = &table->cells[k];

		if (less->weight != cell->weight ||
		    less->is_new != cell->is_new)
			continue;
		cell->calls -= less->calls * (uint64_t)sign;
		for (int b = 0; b < ATOM_BAD_COUNT; b++)
			cell->bad[b] -= less->bad[b] * (uint64_t)sign;
	}
}

static void move(struct atom_comparison *sum, const struct atom_comparison *by,
		 int sign)
{
	sum->calls += (uint64_t)sign * by->calls;
	sum->status_differs += (uint64_t)sign * by->status_differs;
	sum->json_differs += (uint64_t)sign * by->json_differs;
	sum->similar_calls += (uint64_t)sign * by->similar_calls;
	sum->similarity_sum += sign * by->similarity_sum;
	sum->old_s_sum += sign * by->old_s_sum;
	sum->new_s_sum += sign * by->new_s_sum;
	sum->old_tokens += (uint64_t)sign * by->old_tokens;
	sum->new_tokens += (uint64_t)sign * by->new_tokens;
}

/* What the host has compared since `kept_one` was kept. */
static const struct atom_comparison *compared_since(
	const struct host *host, const struct atom_comparison *kept_one)
{
	static struct atom_comparison rest;

	if (host->seen.comparison == NULL)
		return NULL;
	rest = *host->seen.comparison;
	move(&rest, &host->rollout->compared_before, 1);
	move(&rest, kept_one, -1);
	return &rest;
}

/* As after a kill just before this look; counts are of its own process. */
static void hold_against_second(struct host *host,
				const struct rollout_cells *counted,
				int32_t failed_before)
{
	struct rollout_seen seen = host->seen;
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_orders orders;
	struct atom_cell cells[ARRAY_SIZE(host->cells)];

	if (host->kept_wrong)
		return;
	memcpy(cells, host->cells, sizeof(cells));
	for (size_t i = 0; i < host->cell_count; i++) {
		subtract(&cells[i], counted, 1);
		subtract(&cells[i], &host->rollout->before, -1);
	}
	seen.cells = cells;
	seen.new_failed -= failed_before;
	cr_assert_eq(rollout_decode(second, kept.bytes, kept.length, &err),
		     ATOM_OK, "%s", err.message);
	seen.comparison = compared_since(host, &second->compared);
	rollout_advance(second, &host->settings, &seen, &host->strategy,
			&host->judge, &orders);
	if (strcmp(host->rollout->at.cause, "deadline") == 0)
		return;
	cr_assert_eq(orders.outcome, host->orders.outcome, "%s / %s",
		     second->at.reason, host->rollout->at.reason);
	cr_assert_eq(orders.weight, host->orders.weight);
	cr_assert_eq(orders.new_instances, host->orders.new_instances);
	cr_assert_eq(orders.old_instances, host->orders.old_instances);
	cr_assert_eq(orders.mirror, host->orders.mirror);
	cr_assert_eq(orders.hold, host->orders.hold);
	cr_assert_eq(orders.over, host->orders.over);
	cr_assert_str_eq(second->at.reason, host->rollout->at.reason);
	cr_assert_eq(memcmp(&second->at, &host->rollout->at,
			    offsetof(struct rollout_position, cause)),
		     0);
	/* But for the stall: a daemon that was down has started nothing. */
	second->times.stalled_ms = host->rollout->times.stalled_ms;
	cr_assert_eq(memcmp(&second->times, &host->rollout->times,
			    sizeof(second->times)),
		     0);
}

/* --- looking ---------------------------------------------------------------- */

void host_look(struct host *host)
{
	struct rollout_position before;
	static struct rollout_cells counted;
	int32_t failed_before = host->rollout->failed_before;

	host->seen.wall_ms += host->tick_ms;
	host->seen.steady_ms += host->tick_ms;
	run_calls(host);
	run_instances(host);
	host->seen.agent_wanted = host->agent_wanted;
	host->seen.cells = host->cells;
	host->seen.cell_count = host->cell_count;
	before = host->rollout->at;
	counted = host->rollout->counted;
	buffer_clear(&kept);
	cr_assert_eq(rollout_encode(host->rollout, &kept), ATOM_OK);
	rollout_advance(host->rollout, &host->settings, &host->seen,
			&host->strategy, &host->judge, &host->orders);
	hold_against(host, &before);
	hold_against_second(host, &counted, failed_before);
	old_wanted = host->orders.old_instances == ROLLOUT_SCALED
			     ? host->agent_wanted
			     : host->orders.old_instances;
	new_wanted = host->orders.new_instances == ROLLOUT_SCALED
			     ? host->agent_wanted
			     : host->orders.new_instances;
	host->looks++;
}

int host_run(struct host *host, int most)
{
	for (int i = 1; i <= most; i++) {
		host_look(host);
		if (host->orders.over ||
		    host->rollout->at.stage == ROLLOUT_WARM)
			return i;
	}
	cr_assert_fail("not over after %d looks: %s", most,
		       host->rollout->at.reason);
	return most;
}

void host_kill(struct host *host)
{
	struct atom_error err = ATOM_ERROR_INIT;

	buffer_clear(&kept);
	cr_assert_eq(rollout_encode(host->rollout, &kept), ATOM_OK);
	cr_assert_eq(
		rollout_decode(host->rollout, kept.bytes, kept.length, &err),
		ATOM_OK, "%s", err.message);
	host->seen.old_ready = host->seen.new_ready = 0;
	host->seen.new_failed = 0;
	host->seen.steady_ms = 1;
	host->cell_count = 0;
	memset(new_starting, 0, sizeof(new_starting));
	memset(old_starting, 0, sizeof(old_starting));
}

void host_size(struct host *host, int32_t instances)
{
	host->agent_wanted = instances;
	host->seen.old_ready = instances;
	old_wanted = instances;
}

void host_wait(struct host *host, int64_t seconds)
{
	for (int64_t ms = 0; ms < seconds * 1000; ms += host->tick_ms)
		host_look(host);
}

void host_ask(struct host *host, int32_t person)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(rollout_ask(host->rollout, person, &err), ATOM_OK, "%s",
		     err.message);
}
