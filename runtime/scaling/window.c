/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/window.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"

/*
 * Samples lie in an array with some room behind the newest: when that is used
 * up the array moves down by as much.  So they are contiguous, oldest first,
 * and a strategy reads them where they are.
 */
#define SECONDS_ROOM (SCALING_SECONDS + 120)
#define FIVES_ROOM   (SCALING_FIVE_MINUTES + 64)
#define FIVES_FIRST  32

#define FIVE_MS 300000

/* The last hour's service times: twelve parts, the oldest dropped whole. */
#define PARTS	12
#define PART_MS 300000

struct samples {
	struct atom_load_sample *all;
	size_t room;
	size_t count;
	size_t kept; /* at most; the rest is dropped */
};

struct part {
	int64_t number; /* steady time / PART_MS */
	double sum;
	uint32_t counts[SCALING_BUCKETS];
};

struct scaling_window {
	struct samples seconds; /* time_ms is steady while it is kept */
	struct samples fives;
	struct atom_load_sample five; /* not full yet */
	int64_t five_ends_ms;
	int64_t last_ms;
	int64_t told_offset_ms; /* time_ms = steady + this, now */
	struct part parts[PARTS];
	uint64_t service[SCALING_BUCKETS]; /* of all parts, when told */
	double cold_starts_s[2 * SCALING_COLD_STARTS];
	size_t cold_start_count;
};

#define OCTAVE(ms)                                                    \
	(ms) * 1.000e-3, (ms)*1.125e-3, (ms)*1.250e-3, (ms)*1.375e-3, \
		(ms)*1.500e-3, (ms)*1.625e-3, (ms)*1.750e-3, (ms)*1.875e-3

const double scaling_bounds[SCALING_BUCKETS - 1] = {
	OCTAVE(1),	 OCTAVE(2),	  OCTAVE(4),	   OCTAVE(8),
	OCTAVE(16),	 OCTAVE(32),	  OCTAVE(64),	   OCTAVE(128),
	OCTAVE(256),	 OCTAVE(512),	  OCTAVE(1024),	   OCTAVE(2048),
	OCTAVE(4096),	 OCTAVE(8192),	  OCTAVE(16384),   OCTAVE(32768),
	OCTAVE(65536),	 OCTAVE(131072),  OCTAVE(262144),  OCTAVE(524288),
	OCTAVE(1048576), OCTAVE(2097152), OCTAVE(4194304), 8388.608
};

size_t scaling_bucket(double seconds)
{
	size_t low = 0, high = SCALING_BUCKETS - 1;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (seconds >= scaling_bounds[middle])
			low = middle + 1;
		else
			high = middle;
	}
	return isnan(seconds) ? 0 : low;
}

double scaling_quantile(const uint64_t counts[SCALING_BUCKETS], double q)
{
	double all = 0, before = 0, low, high;
	size_t i;

	for (i = 0; i < SCALING_BUCKETS; i++)
		all += (double)counts[i];
	if (all == 0)
		return -1;
	for (i = 0; i < SCALING_BUCKETS - 1; i++) {
		if (counts[i] > 0 && before + (double)counts[i] >= q * all)
			break;
		before += (double)counts[i];
	}
	low = i > 0 ? scaling_bounds[i - 1] : 0;
	if (i == SCALING_BUCKETS - 1 || counts[i] == 0)
		return low;
	high = scaling_bounds[i];
	return low + (high - low) * (q * all - before) / (double)counts[i];
}

/* --- life --------------------------------------------------------------------- */

static bool make_room(struct samples *samples, size_t room)
{
	struct atom_load_sample *all =
		mem_realloc(samples->all, room * sizeof(*all));

	if (all == NULL)
		return false;
	samples->all = all;
	samples->room = room;
	return true;
}

struct scaling_window *scaling_window_new(void)
{
	struct scaling_window *window = mem_zalloc(sizeof(*window));

	if (window == NULL)
		return NULL;
	window->last_ms = -1;
	window->seconds.kept = SCALING_SECONDS;
	window->fives.kept = SCALING_FIVE_MINUTES;
	for (size_t i = 0; i < PARTS; i++)
		window->parts[i].number = -1;
	if (!make_room(&window->seconds, SECONDS_ROOM))
		scaling_window_free(&window);
	return window;
}

void scaling_window_free(struct scaling_window **window)
{
	if (*window == NULL)
		return;
	mem_free((*window)->seconds.all);
	mem_free((*window)->fives.all);
	mem_free(TAKE(*window));
}

/* --- samples -------------------------------------------------------------------- */

static void keep(struct samples *samples, const struct atom_load_sample *sample)
{
	if (samples->count == samples->room) {
		size_t drop = samples->count - (samples->kept - 1);

		samples->count -= drop;
		memmove(samples->all, samples->all + drop,
			samples->count * sizeof(*sample));
	}
	samples->all[samples->count++] = *sample;
}

static void add_up(double *sum, double value)
{
	if (value >= 0)
		*sum = *sum >= 0 ? *sum + value : value;
}

static void count_up(int64_t *sum, int64_t value)
{
	if (value >= 0)
		*sum = *sum >= 0 ? *sum + value : value;
}

/* A time average over `weight_ms` more. */
static void average(double *mean, int64_t had_ms, double value,
		    int64_t weight_ms)
{
	if (value < 0)
		return;
	if (*mean < 0)
		*mean = value;
	else
		*mean += (value - *mean) * (double)weight_ms /
			 (double)(had_ms + weight_ms);
}

static void begin_five(struct atom_load_sample *five)
{
	*five = (struct atom_load_sample){
		.struct_size = sizeof(*five),
		.arrived = -1,
		.refused = -1,
		.finished = -1,
		.failed = -1,
		.in_flight = -1,
		.waiting = -1,
		.ready = -1,
		.service_s_sum = -1,
		.wait_s_max = -1,
		.late = -1,
	};
}

static void add_to_five(struct atom_load_sample *five,
			const struct atom_load_sample *sample)
{
	count_up(&five->arrived, sample->arrived);
	count_up(&five->refused, sample->refused);
	count_up(&five->finished, sample->finished);
	count_up(&five->failed, sample->failed);
	count_up(&five->late, sample->late);
	average(&five->in_flight, five->interval_ms, sample->in_flight,
		sample->interval_ms);
	average(&five->waiting, five->interval_ms, sample->waiting,
		sample->interval_ms);
	average(&five->ready, five->interval_ms, sample->ready,
		sample->interval_ms);
	add_up(&five->service_s_sum, sample->service_s_sum);
	if (sample->wait_s_max > five->wait_s_max)
		five->wait_s_max = sample->wait_s_max;
	five->interval_ms += sample->interval_ms;
}

static atom_status keep_five(struct scaling_window *window, int64_t ended_ms)
{
	struct samples *fives = &window->fives;

	if (fives->count == fives->room && fives->room < FIVES_ROOM) {
		size_t room = fives->room == 0 ? FIVES_FIRST : 2 * fives->room;

		if (!make_room(fives, room < FIVES_ROOM ? room : FIVES_ROOM))
			return ATOM_ENOMEM;
	}
	window->five.time_ms = ended_ms + window->told_offset_ms;
	keep(fives, &window->five);
	return ATOM_OK;
}

atom_status scaling_window_add(struct scaling_window *window,
			       const struct atom_load_sample *sample,
			       int64_t steady_ms)
{
	struct atom_load_sample kept = *sample;
	atom_status status = ATOM_OK;

	if (steady_ms <= window->last_ms)
		return ATOM_OK;
	window->last_ms = steady_ms;
	kept.struct_size = sizeof(kept);
	kept.time_ms = steady_ms + window->told_offset_ms;
	keep(&window->seconds, &kept);
	if (window->five_ends_ms == 0) {
		begin_five(&window->five);
		window->five_ends_ms = (steady_ms / FIVE_MS + 1) * FIVE_MS;
	}
	add_to_five(&window->five, &kept);
	if (steady_ms >= window->five_ends_ms) {
		status = keep_five(window, steady_ms);
		begin_five(&window->five);
		window->five_ends_ms = (steady_ms / FIVE_MS + 1) * FIVE_MS;
	}
	return status;
}

int64_t scaling_window_last_ms(const struct scaling_window *window)
{
	return window->last_ms;
}

/* --- service times, cold starts ---------------------------------------------------- */

static struct part *part_at(struct scaling_window *window, int64_t steady_ms)
{
	int64_t number = steady_ms / PART_MS;
	struct part *part = &window->parts[number % PARTS];

	if (part->number != number) {
		memset(part, 0, sizeof(*part));
		part->number = number;
	}
	return part;
}

void scaling_window_service(struct scaling_window *window, int64_t steady_ms,
			    double seconds, uint32_t count)
{
	struct part *part = part_at(window, steady_ms);

	part->counts[scaling_bucket(seconds)] += count;
	part->sum += seconds * count;
}

void scaling_window_services(struct scaling_window *window, int64_t steady_ms,
			     const uint32_t counts[SCALING_BUCKETS], double sum)
{
	struct part *part = part_at(window, steady_ms);

	for (size_t i = 0; i < SCALING_BUCKETS; i++)
		part->counts[i] += counts[i];
	part->sum += sum;
}

void scaling_window_cold_start(struct scaling_window *window, double seconds)
{
	size_t room = ARRAY_SIZE(window->cold_starts_s);

	if (window->cold_start_count == room) {
		window->cold_start_count = SCALING_COLD_STARTS - 1;
		memmove(window->cold_starts_s,
			window->cold_starts_s + room - window->cold_start_count,
			window->cold_start_count * sizeof(double));
	}
	window->cold_starts_s[window->cold_start_count++] = seconds;
}

/* --- telling --------------------------------------------------------------------- */

static const struct atom_load_sample *last_of(const struct samples *samples,
					      size_t *count_r)
{
	size_t count =
		samples->count < samples->kept ? samples->count : samples->kept;

	*count_r = count;
	return count > 0 ? samples->all + (samples->count - count) : NULL;
}

/* The wall clock has moved against the steady one: times move along. */
static void move_times(struct scaling_window *window, int64_t offset_ms)
{
	int64_t by = offset_ms - window->told_offset_ms;

	for (size_t i = 0; by != 0 && i < window->seconds.count; i++)
		window->seconds.all[i].time_ms += by;
	for (size_t i = 0; by != 0 && i < window->fives.count; i++)
		window->fives.all[i].time_ms += by;
	window->told_offset_ms = offset_ms;
}

static void tell_service(struct scaling_window *window, int64_t steady_ms,
			 struct atom_histogram *service_r)
{
	int64_t now = steady_ms / PART_MS;

	memset(window->service, 0, sizeof(window->service));
	*service_r = (struct atom_histogram){
		.struct_size = sizeof(*service_r),
		.bucket_count = SCALING_BUCKETS,
		.bounds = scaling_bounds,
		.counts = window->service,
	};
	for (size_t p = 0; p < PARTS; p++) {
		const struct part *part = &window->parts[p];

		if (part->number < 0 || part->number <= now - PARTS)
			continue;
		service_r->sum += part->sum;
		for (size_t i = 0; i < SCALING_BUCKETS; i++) {
			window->service[i] += part->counts[i];
			service_r->count += part->counts[i];
		}
	}
}

void scaling_window_tell(struct scaling_window *window, int64_t steady_ms,
			 int64_t wall_ms, struct atom_load *load_r)
{
	size_t cold = window->cold_start_count;

	move_times(window, wall_ms - steady_ms);
	load_r->struct_size = sizeof(*load_r);
	load_r->sample_stride = sizeof(struct atom_load_sample);
	load_r->now_ms = wall_ms;
	load_r->steady_ms = steady_ms;
	load_r->seconds = last_of(&window->seconds, &load_r->second_count);
	load_r->five_minutes =
		last_of(&window->fives, &load_r->five_minute_count);
	tell_service(window, steady_ms, &load_r->service);
	load_r->cold_start_count =
		cold < SCALING_COLD_STARTS ? cold : SCALING_COLD_STARTS;
	load_r->cold_starts_s =
		window->cold_starts_s + cold - load_r->cold_start_count;
}
