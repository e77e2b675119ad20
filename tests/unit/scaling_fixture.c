/* SPDX-License-Identifier: Apache-2.0 */

#include <criterion/criterion.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"
#include "core/buffer.h"
#include "core/log.h"
#include "plugin/options.h"
#include "scaling_fixture.h"

#define GUARD_BYTES 64
#define GUARD	    0xa5
#define COLD_STARTS 4
#define BUCKETS	    4

struct atom_load scaling_load;
struct atom_scaling_advice scaling_advice;
unsigned char scaling_state[ATOM_SCALING_STATE_MAX + GUARD_BYTES];
size_t scaling_state_size;

static struct atom_load_sample seconds[SCALING_SECONDS];
static struct atom_load_sample five_minutes[SCALING_FIVE_MINUTES];
static int64_t starting_ages_ms[COLD_STARTS];
static double cold_starts_s[COLD_STARTS];
static const double bucket_bounds[BUCKETS - 1] = { 0.1, 1, 10 };
static uint64_t bucket_counts[BUCKETS];

static void *so;
static const struct atom_component *component;
static const struct atom_scaling_ops *ops;
static void *self;
static struct setting *root;
static struct options *options;
static struct buffer errors;

static const char *const ignored[] = { "plugin", NULL };

static const void *no_service(const struct atom_host *host, const char *id)
{
	(void)host;
	(void)id;
	return NULL;
}

static const struct atom_host host = {
	.struct_size = sizeof(host),
	.abi_major = ATOM_ABI_MAJOR,
	.abi_minor = ATOM_ABI_MINOR,
	.version = "test",
	.directory = "/",
	.service = no_service,
};

static void load_plugin(const char *name)
{
	const char *plugins = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_plugin *plugin;
	struct atom_error err = ATOM_ERROR_INIT;
	char path[4096];

	if (so != NULL)
		return;
	log_set_descriptor(-1);
	buffer_init(&errors, 65536);
	(void)snprintf(path, sizeof(path), "%s/scaling-%s.so",
		       plugins ? plugins : "plugins/built", name);
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(so != NULL, "%s", dlerror());
	plugin = dlsym(so, ATOM_PLUGIN_SYMBOL);
	cr_assert(plugin != NULL);
	component = plugin->components;
	cr_assert_str_eq(component->name, name);
	cr_assert_eq(options_check_table(component->options,
					 component->option_count,
					 component->options_size, &err),
		     ATOM_OK, "%s", err.message);
	ops = (const struct atom_scaling_ops *)component->ops;
}

static void reset_load(void)
{
	scaling_load = (struct atom_load){
		.struct_size = sizeof(scaling_load),
		.sample_stride = sizeof(struct atom_load_sample),
		.now_ms = SCALING_MONDAY_MS,
		.steady_ms = 1000,
		.tick_ms = 2000,
		.seconds = seconds,
		.five_minutes = five_minutes,
		.service = { .struct_size = sizeof(scaling_load.service),
			     .bucket_count = BUCKETS,
			     .bounds = bucket_bounds,
			     .counts = bucket_counts },
		.concurrency = 1,
		.max = 1000,
		.desired = 1,
		.ready = 1,
		.starting_ages_ms = starting_ages_ms,
		.cold_starts_s = cold_starts_s,
		.target_wait_ms = 1000,
		.cpu_percent = -1,
		.memory_percent = -1,
	};
	scaling_state_size = 0;
}

/* Fills the options from text; false with what is wrong in `errors`. */
static bool fill(const char *text, struct setting **root_r,
		 struct options **options_r)
{
	buffer_clear(&errors);
	cr_assert_eq(parse_text(text, strlen(text), "t.conf", root_r, &errors),
		     ATOM_OK, "%s", errors.bytes);
	return options_fill(component, *root_r, ignored, options_r, &errors) ==
	       ATOM_OK;
}

void scaling_begin(const char *name, const char *text)
{
	struct atom_error err = ATOM_ERROR_INIT;

	load_plugin(name);
	cr_assert(fill(text, &root, &options), "%s", errors.bytes);
	cr_assert_eq(ops->create(&host, options_struct(options), &self, &err),
		     ATOM_OK, "%s", err.message);
	reset_load();
}

void scaling_end(void)
{
	if (self != NULL)
		ops->destroy(self);
	self = NULL;
	options_free(&options);
	setting_free(&root);
	if (so != NULL)
		buffer_fini(&errors);
	log_fini();
}

void scaling_reconfigure(const char *text)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct setting *new_root = NULL;
	struct options *new_options = NULL;

	cr_assert(fill(text, &new_root, &new_options), "%s", errors.bytes);
	cr_assert(options_only_reloadable_differ(options, new_options));
	cr_assert_eq(ops->reconfigure(self, options_struct(new_options), &err),
		     ATOM_OK, "%s", err.message);
	options_free(&options);
	setting_free(&root);
	options = new_options;
	root = new_root;
}

void scaling_refused(const char *name, const char *text, const char *words)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct setting *wrong_root = NULL;
	struct options *wrong = NULL;
	void *made = NULL;

	load_plugin(name);
	if (!fill(text, &wrong_root, &wrong)) {
		cr_assert(strstr(errors.bytes, words) != NULL, "%s",
			  errors.bytes);
	} else {
		cr_assert_neq(
			ops->create(&host, options_struct(wrong), &made, &err),
			ATOM_OK, "%s was taken", text);
		cr_assert(strstr(err.message, words) != NULL, "%s",
			  err.message);
	}
	options_free(&wrong);
	setting_free(&wrong_root);
}

/* --- samples ------------------------------------------------------------ */

void scaling_forget_samples(void)
{
	scaling_load.second_count = 0;
	scaling_load.five_minute_count = 0;
}

static void push(struct atom_load_sample *ring, size_t *count, size_t most,
		 int32_t interval_ms, const struct atom_load_sample *sample)
{
	if (*count == most) {
		memmove(ring, ring + 1, (most - 1) * sizeof(*ring));
		(*count)--;
	}
	ring[(*count)++] = *sample;
	for (size_t i = 0; i < *count; i++)
		ring[i].time_ms = scaling_load.now_ms -
				  (int64_t)(*count - 1 - i) * interval_ms;
}

static struct atom_load_sample sample_of(int32_t interval_ms, double in_flight,
					 double waiting)
{
	return (struct atom_load_sample){
		.struct_size = sizeof(struct atom_load_sample),
		.interval_ms = interval_ms,
		.in_flight = in_flight,
		.waiting = waiting,
		.ready = scaling_load.ready,
	};
}

void scaling_seconds(size_t count, double in_flight, double waiting)
{
	struct atom_load_sample sample = sample_of(1000, in_flight, waiting);

	for (size_t i = 0; i < count; i++)
		push(seconds, &scaling_load.second_count, SCALING_SECONDS, 1000,
		     &sample);
}

void scaling_five_minutes(size_t count, double in_flight, int64_t arrived)
{
	struct atom_load_sample sample = sample_of(300000, in_flight, 0);

	sample.arrived = arrived;
	for (size_t i = 0; i < count; i++)
		push(five_minutes, &scaling_load.five_minute_count,
		     SCALING_FIVE_MINUTES, 300000, &sample);
}

struct atom_load_sample *scaling_last_second(void)
{
	cr_assert_gt(scaling_load.second_count, 0);
	return &seconds[scaling_load.second_count - 1];
}

struct atom_load_sample *scaling_last_five_minutes(void)
{
	cr_assert_gt(scaling_load.five_minute_count, 0);
	return &five_minutes[scaling_load.five_minute_count - 1];
}

/* --- asking ------------------------------------------------------------- */

static void check_text(const char *text, size_t size)
{
	cr_assert(memchr(text, '\0', size) != NULL);
	cr_assert_neq(text[0], '\0');
}

int32_t scaling_ask(void)
{
	struct atom_scaling_advice *advice = &scaling_advice;
	struct atom_error err = ATOM_ERROR_INIT;

	memset(advice, 0, sizeof(*advice));
	advice->wanted = -1;
	advice->hold_ms = -1;
	advice->struct_size = sizeof(*advice);
	memset(scaling_state + ATOM_SCALING_STATE_MAX, GUARD, GUARD_BYTES);
	cr_assert_eq(ops->evaluate(self, &scaling_load, scaling_state,
				   &scaling_state_size, advice, &err),
		     ATOM_OK, "%s", err.message);
	cr_assert_leq(scaling_state_size, ATOM_SCALING_STATE_MAX);
	for (size_t i = 0; i < GUARD_BYTES; i++)
		cr_assert_eq(scaling_state[ATOM_SCALING_STATE_MAX + i], GUARD);
	cr_assert(advice->wanted >= -1 && advice->wanted <= 100000);
	cr_assert(advice->action >= ATOM_SCALE_NONE &&
		  advice->action <= ATOM_SCALE_ADD_MEMORY);
	cr_assert(isfinite(advice->value));
	check_text(advice->metric, sizeof(advice->metric));
	check_text(advice->reason_code, sizeof(advice->reason_code));
	check_text(advice->reason, sizeof(advice->reason));
	return advice->wanted;
}

int32_t scaling_ask_after(int64_t passed_ms)
{
	scaling_load.now_ms += passed_ms;
	scaling_load.steady_ms += passed_ms;
	return scaling_ask();
}

/* --- nonsense ------------------------------------------------------------ */

/* xorshift64* (Vigna). */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static double odd_double(uint64_t *seed)
{
	static const double odd[] = {
		-1, 0, 0.5, 3, 1e9, 1e308, -1e308, 1e-308
	};
	uint64_t pick = next(seed) % 11;
	double any;

	if (pick < 8)
		return odd[pick];
	if (pick == 8)
		return (double)NAN;
	if (pick == 9)
		return (double)INFINITY;
	uint64_t bits = next(seed);

	memcpy(&any, &bits, sizeof(any));
	return any;
}

static int64_t odd_int64(uint64_t *seed)
{
	static const int64_t odd[] = { -1, 0, 1, 7, 100, INT64_MAX, INT64_MIN };
	uint64_t pick = next(seed) % 8;

	return pick < 7 ? odd[pick] : (int64_t)next(seed);
}

static int32_t odd_int32(uint64_t *seed)
{
	static const int32_t odd[] = { -1, 0, 1, 7, 100, INT32_MAX, INT32_MIN };
	uint64_t pick = next(seed) % 8;

	return pick < 7 ? odd[pick] : (int32_t)next(seed);
}

static void spoil_samples(struct atom_load_sample *samples, size_t count,
			  uint64_t *seed)
{
	for (size_t i = 0; i < count; i++) {
		struct atom_load_sample *s = &samples[i];

		if (next(seed) % 4 != 0)
			continue;
		s->interval_ms = odd_int32(seed);
		s->time_ms = odd_int64(seed);
		s->arrived = odd_int64(seed);
		s->refused = odd_int64(seed);
		s->finished = odd_int64(seed);
		s->failed = odd_int64(seed);
		s->in_flight = odd_double(seed);
		s->waiting = odd_double(seed);
		s->ready = odd_double(seed);
		s->service_s_sum = odd_double(seed);
		s->wait_s_max = odd_double(seed);
	}
}

static void spoil_load(uint64_t *seed)
{
	struct atom_load *load = &scaling_load;

	/* A test may have had arrays of its own, of other lengths. */
	load->seconds = seconds;
	load->five_minutes = five_minutes;
	load->sample_stride = sizeof(seconds[0]);
	load->starting_ages_ms = starting_ages_ms;
	load->cold_starts_s = cold_starts_s;
	load->second_count = next(seed) % (SCALING_SECONDS + 1);
	load->five_minute_count = next(seed) % (SCALING_FIVE_MINUTES + 1);
	spoil_samples(seconds, load->second_count, seed);
	spoil_samples(five_minutes, load->five_minute_count, seed);
	load->now_ms = odd_int64(seed);
	load->steady_ms = odd_int64(seed);
	load->utc_offset_s = odd_int32(seed);
	load->tick_ms = odd_int32(seed);
	load->concurrency = odd_int32(seed);
	load->min = odd_int32(seed);
	load->max = odd_int32(seed);
	load->desired = odd_int32(seed);
	load->ready = odd_int32(seed);
	load->draining = odd_int32(seed);
	load->starting_count = next(seed) % (COLD_STARTS + 1);
	load->cold_start_count = next(seed) % (COLD_STARTS + 1);
	for (size_t i = 0; i < COLD_STARTS; i++) {
		starting_ages_ms[i] = odd_int64(seed);
		cold_starts_s[i] = odd_double(seed);
	}
	load->in_flight = odd_int64(seed);
	load->waiting = odd_int64(seed);
	load->oldest_wait_ms = odd_int64(seed);
	load->target_wait_ms = odd_double(seed);
	load->cpu_percent = odd_double(seed);
	load->memory_percent = odd_double(seed);
	load->slot_percent = odd_double(seed);
}

/* Half of the states are what the last ask left, some of them with a byte
 * changed; the others are random. */
static void spoil_state(uint64_t *seed)
{
	switch (next(seed) % 4) {
	case 0:
		return;
	case 1:
		if (scaling_state_size > 0)
			scaling_state[next(seed) % scaling_state_size] ^=
				(unsigned char)(1 + next(seed) % 255);
		return;
	case 2:
		scaling_state_size = next(seed) % (scaling_state_size + 1);
		return;
	default:
		scaling_state_size = next(seed) % (ATOM_SCALING_STATE_MAX + 1);
		for (size_t i = 0; i < scaling_state_size; i++)
			scaling_state[i] = (unsigned char)next(seed);
	}
}

void scaling_bombard(uint64_t seed, int rounds)
{
	struct atom_load kept = scaling_load;

	memset(seconds, 0, sizeof(seconds));
	memset(five_minutes, 0, sizeof(five_minutes));
	for (int i = 0; i < rounds; i++) {
		spoil_load(&seed);
		spoil_state(&seed);
		(void)scaling_ask();
	}
	scaling_load = kept;
	scaling_forget_samples();
	scaling_state_size = 0;
}
