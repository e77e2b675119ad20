/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The numbers behind the series.
 *
 * Every series has a run of cells (doubles) at the same place in every shard:
 *
 *	counter		sum of additions
 *	gauge		sum of additions, value set (see metric_set)
 *	histogram	sum, count of each bucket, the last one for +Inf
 *
 * A shard is a directory of pages that are made when first written to and
 * never move, so that readers may sum while writers write.  The shard of a
 * loop has one writer: it loads, adds and stores, all relaxed, which is plain
 * code.  The shared shard's writers add by compare-and-swap.
 */

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric_priv.h"

#define PAGE_CELLS	2048
#define PAGES_MAX	1024
#define HISTOGRAM_PAGE	512
#define HISTOGRAM_PAGES 256

/* An id is the type in the upper two bits and, below, the first cell of a
 * counter or gauge, the number of a histogram. */
#define TYPE_SHIFT 30
#define INDEX_MASK ((1u << TYPE_SHIFT) - 1)

_Static_assert(ATOM_METRIC_HISTOGRAM < 4, "a type has two bits");

typedef _Atomic double cell;

struct page {
	_Alignas(64) cell cells[PAGE_CELLS];
	void *memory; /* what mem_free() takes: the page is aligned in it */
};

struct shard {
	_Alignas(64) _Atomic(struct page *) *pages;
};

struct histogram {
	const struct metric_buckets *buckets;
	uint32_t at; /* its first cell */
	_Atomic(struct exemplar_slot *) exemplars;
};

static struct shard shards[LOOP_MAX + 2];
static unsigned int shard_count; /* the last one is shared */
static _Thread_local unsigned int attached = UINT32_MAX;

/* Under the registry's lock, but read by all. */
static uint32_t cells_used;
static uint32_t histograms_used;
static _Atomic(struct histogram *) histograms[HISTOGRAM_PAGES];

void metric_attach(unsigned int index)
{
	attached = index;
}

static struct shard *shared_shard(void)
{
	return &shards[shard_count - 1];
}

/* --- cells --------------------------------------------------------------- */

__attribute__((noinline, cold)) static struct page *page_new(
	struct shard *shard, uint32_t number)
{
	void *memory = mem_zalloc(sizeof(struct page) + 63);

	if (!memory)
		return NULL;

	struct page *page =
		(struct page *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
	struct page *other = NULL;

	page->memory = memory;
	/* Only in the shared shard may somebody have been faster. */
	if (atomic_compare_exchange_strong_explicit(
		    &shard->pages[number], &other, page, memory_order_acq_rel,
		    memory_order_acquire))
		return page;
	mem_free(memory);
	return other;
}

/* The cell to write to; NULL without memory. */
static inline cell *cell_of(struct shard *shard, uint32_t at)
{
	struct page *page = atomic_load_explicit(&shard->pages[at / PAGE_CELLS],
						 memory_order_acquire);

	if (__builtin_expect(!page, 0)) {
		page = page_new(shard, at / PAGE_CELLS);
		if (!page)
			return NULL;
	}
	return &page->cells[at % PAGE_CELLS];
}

static inline double cell_read(const struct shard *shard, uint32_t at)
{
	struct page *page = atomic_load_explicit(&shard->pages[at / PAGE_CELLS],
						 memory_order_acquire);

	return page ? atomic_load_explicit(&page->cells[at % PAGE_CELLS],
					   memory_order_relaxed)
		    : 0;
}

static inline void add_alone(cell *c, double amount)
{
	double value = atomic_load_explicit(c, memory_order_relaxed);

	atomic_store_explicit(c, value + amount, memory_order_relaxed);
}

static inline void add_shared(cell *c, double amount)
{
	double value = atomic_load_explicit(c, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(c, &value, value + amount,
						      memory_order_relaxed,
						      memory_order_relaxed))
		continue;
}

__attribute__((noinline)) static void add_other(uint32_t at, double amount)
{
	cell *c = cell_of(shared_shard(), at);

	if (c)
		add_shared(c, amount);
}

static inline void add(uint32_t at, double amount)
{
	cell *c;

	if (attached >= shard_count - 1) {
		add_other(at, amount);
		return;
	}
	c = cell_of(&shards[attached], at);
	if (c)
		add_alone(c, amount);
}

static double sum(uint32_t at)
{
	double total = 0;

	for (unsigned int i = 0; i < shard_count; i++)
		total += cell_read(&shards[i], at);
	return total;
}

/* --- histograms ---------------------------------------------------------- */

static struct histogram *histogram_of(metric_id series)
{
	uint32_t number = series & INDEX_MASK;
	struct histogram *page = atomic_load_explicit(
		&histograms[number / HISTOGRAM_PAGE], memory_order_acquire);

	return &page[number % HISTOGRAM_PAGE];
}

const double *metric_bounds(metric_id series, size_t *count_r)
{
	const struct histogram *h = histogram_of(series);

	*count_r = h->buckets->count;
	return h->buckets->bounds;
}

struct exemplar_slot *metric_exemplars(metric_id series)
{
	return atomic_load_explicit(&histogram_of(series)->exemplars,
				    memory_order_acquire);
}

void metric_bucket_counts(metric_id series, double *counts)
{
	const struct histogram *h = histogram_of(series);

	for (uint32_t i = 0; i <= h->buckets->count; i++)
		counts[i] = sum(h->at + 1 + i);
}

/* --- updates ------------------------------------------------------------- */

int metric_type(metric_id series)
{
	return (int)(series >> TYPE_SHIFT);
}

/* Also before metric_init() and after metric_fini(): to nowhere. */
static inline bool takes(metric_id series, int type)
{
	return metric_type(series) == type && shard_count > 0;
}

void metric_add(metric_id series, double amount)
{
	if (takes(series, ATOM_METRIC_COUNTER) ||
	    takes(series, ATOM_METRIC_GAUGE))
		add(series & INDEX_MASK, amount);
}

/*
 * A gauge's value is the sum of all shards' additions plus the shared shard's
 * second cell.  Setting stores there what is missing to `value`: of several
 * writers the last store wins, nobody waits, and an addition that the sum
 * missed counts on top.
 */
void metric_set(metric_id series, double value)
{
	uint32_t at = series & INDEX_MASK;

	if (!takes(series, ATOM_METRIC_GAUGE))
		return;

	cell *set = cell_of(shared_shard(), at + 1);

	if (set)
		atomic_store_explicit(set, value - sum(at),
				      memory_order_relaxed);
}

/* By a thread that is no loop. */
__attribute__((noinline)) static bool observe_shared(uint32_t at,
						     uint32_t bucket,
						     double value)
{
	cell *cells = cell_of(shared_shard(), at);

	if (!cells)
		return false;
	add_shared(&cells[1 + bucket], 1);
	add_shared(&cells[0], value);
	return true;
}

static inline bool observe_alone(struct shard *shard, uint32_t at,
				 uint32_t bucket, double value)
{
	cell *cells = cell_of(shard, at);

	if (!cells)
		return false;
	add_alone(&cells[1 + bucket], 1);
	add_alone(&cells[0], value);
	return true;
}

static inline void observe(metric_id series, double value,
			   const struct metric_call *call)
{
	/* One value that is none would make the sum none for ever. */
	if (!takes(series, ATOM_METRIC_HISTOGRAM) || isnan(value))
		return;

	struct histogram *h = histogram_of(series);
	const uint32_t bucket = metric_bucket_of(h->buckets, value);
	const bool counted =
		attached < shard_count - 1
			? observe_alone(&shards[attached], h->at, bucket, value)
			: observe_shared(h->at, bucket, value);

	if (counted && call != NULL)
		exemplar_put(&h->exemplars, h->buckets->count + 1, bucket,
			     value, call);
}

void metric_observe(metric_id series, double value)
{
	observe(series, value, NULL);
}

void metric_observe_call(metric_id series, double value,
			 const struct metric_call *call)
{
	observe(series, value, call);
}

double metric_value(metric_id series)
{
	uint32_t at = series & INDEX_MASK;

	if (takes(series, ATOM_METRIC_COUNTER))
		return sum(at);
	if (takes(series, ATOM_METRIC_GAUGE))
		return sum(at) + cell_read(shared_shard(), at + 1);
	if (takes(series, ATOM_METRIC_HISTOGRAM))
		return sum(histogram_of(series)->at);
	return 0;
}

uint64_t metric_count(metric_id series)
{
	double counts[METRIC_BOUNDS_MAX + 1] = { 0 };
	double total = 0;
	size_t bound_count;

	if (!takes(series, ATOM_METRIC_HISTOGRAM))
		return 0;
	(void)metric_bounds(series, &bound_count);
	metric_bucket_counts(series, counts);
	for (size_t i = 0; i <= bound_count; i++)
		total += counts[i];
	return (uint64_t)total;
}

/* As Prometheus' histogram_quantile(): linear within the bucket, the first
 * one from 0, and the highest bound for what lies beyond. */
double metric_quantile(metric_id series, double q)
{
	double counts[METRIC_BOUNDS_MAX + 1] = { 0 };
	double total = 0, below = 0;
	size_t bound_count, i;

	if (!takes(series, ATOM_METRIC_HISTOGRAM) || !(q >= 0 && q <= 1))
		return NAN;

	const double *bounds = metric_bounds(series, &bound_count);

	metric_bucket_counts(series, counts);
	for (i = 0; i <= bound_count; i++)
		total += counts[i];
	if (total == 0)
		return NAN;

	const double rank = q * total;

	for (i = 0; i < bound_count; i++) {
		if (counts[i] > 0 && below + counts[i] >= rank)
			break;
		below += counts[i];
	}
	if (i == bound_count)
		return bounds[bound_count - 1];

	double low = i > 0 ? bounds[i - 1] : bounds[0] > 0 ? 0 : bounds[0];

	return low + (bounds[i] - low) * ((rank - below) / counts[i]);
}

/* --- room ---------------------------------------------------------------- */

/* The first of `count` cells on one page, or UINT32_MAX. */
static uint32_t take_cells(uint32_t count)
{
	uint32_t at = cells_used;

	if (at % PAGE_CELLS + count > PAGE_CELLS)
		at += PAGE_CELLS - at % PAGE_CELLS;
	if (at + count > PAGE_CELLS * PAGES_MAX)
		return UINT32_MAX;
	cells_used = at + count;
	return at;
}

static metric_id id_of(int type, uint32_t index)
{
	return (metric_id)type << TYPE_SHIFT | index;
}

metric_id metric_cells_new(int type, const struct metric_buckets *buckets)
{
	const uint32_t number = histograms_used;
	_Atomic(struct histogram *) *slot;
	struct histogram *page;

	if (shard_count == 0)
		return 0;
	if (type != ATOM_METRIC_HISTOGRAM) {
		uint32_t at = take_cells(type == ATOM_METRIC_GAUGE ? 2 : 1);

		return at == UINT32_MAX ? 0 : id_of(type, at);
	}

	if (number >= HISTOGRAM_PAGE * HISTOGRAM_PAGES)
		return 0;
	slot = &histograms[number / HISTOGRAM_PAGE];
	page = atomic_load_explicit(slot, memory_order_relaxed);
	if (!page) {
		page = mem_array(HISTOGRAM_PAGE, sizeof(*page));
		if (!page)
			return 0;
		atomic_store_explicit(slot, page, memory_order_release);
	}

	uint32_t at = take_cells(buckets->count + 2);

	if (at == UINT32_MAX)
		return 0;
	/* Written once, before anybody has the id. */
	page += number % HISTOGRAM_PAGE;
	page->buckets = buckets;
	page->at = at;
	histograms_used++;
	return id_of(type, number);
}

void metric_cells_clear(metric_id series)
{
	uint32_t at = series & INDEX_MASK;
	uint32_t count = metric_type(series) == ATOM_METRIC_GAUGE ? 2 : 1;

	if (metric_type(series) == ATOM_METRIC_HISTOGRAM) {
		const struct histogram *h = histogram_of(series);

		at = h->at;
		count = h->buckets->count + 2;
		exemplar_clear(metric_exemplars(series), h->buckets->count + 1);
	}
	for (unsigned int i = 0; i < shard_count; i++) {
		struct page *page =
			atomic_load_explicit(&shards[i].pages[at / PAGE_CELLS],
					     memory_order_acquire);

		for (uint32_t j = 0; page && j < count; j++)
			atomic_store_explicit(&page->cells[at % PAGE_CELLS + j],
					      0, memory_order_relaxed);
	}
}

atom_status metric_shards_init(unsigned int serving_loops)
{
	assert(serving_loops <= LOOP_MAX && shard_count == 0);
	/* Serving loops, control, and the one for everybody else. */
	for (unsigned int i = 0; i < serving_loops + 2; i++) {
		shards[i].pages = mem_array(PAGES_MAX, sizeof(struct page *));
		shard_count = i + 1;
		if (!shards[i].pages) {
			metric_shards_fini();
			return ATOM_ENOMEM;
		}
	}
	return ATOM_OK;
}

void metric_shards_fini(void)
{
	for (unsigned int i = 0; i < shard_count; i++) {
		for (uint32_t j = 0; shards[i].pages && j < PAGES_MAX; j++) {
			struct page *page = shards[i].pages[j];

			if (page)
				mem_free(page->memory);
		}
		mem_free((void *)TAKE(shards[i].pages));
	}
	shard_count = 0;
	for (uint32_t i = 0; i < histograms_used; i++)
		mem_free(histogram_of(id_of(ATOM_METRIC_HISTOGRAM, i))
				 ->exemplars);
	for (size_t i = 0; i < HISTOGRAM_PAGES; i++)
		mem_free(atomic_exchange(&histograms[i], NULL));
	cells_used = histograms_used = 0;
}
