/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recent.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/table.h"

#define FIRST_CAPACITY 64
#define NONE	       UINT32_MAX
#define SERIES_MAX     20000

struct recent_call {
	uint64_t key[2];
	struct assignment counted; /* with a reference; trial NULL: nowhere */
	double score;		   /* NaN: not rated */
	bool by_grader;
	int64_t revision;
	uint32_t next; /* of the same bucket, older; NONE */
	char agent[RECENT_AGENT_MAX];
};

/* A ring of calls and a hash index of it, which grow together.  Buckets are
 * twice the calls: lists of one mostly. */
struct ring {
	struct recent_call *calls;
	uint32_t *buckets;
	uint32_t capacity; /* a power of two, or 0 */
	uint32_t count;
	uint32_t oldest;
};

static struct ring *rings[LOOP_MAX + 1];
static uint32_t score_family;

atom_status recent_init(struct atom_error *err)
{
	static const char *const labels[] = { "agent", "revision", NULL };
	static const double bounds[] = { 0.0, 0.1, 0.2, 0.3, 0.4, 0.5,
					 0.6, 0.7, 0.8, 0.9, 1.0 };
	static const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_HISTOGRAM,
		.name = "atomd_feedback_score",
		.help = "Scores that callers gave to answers, the first of "
			"each call.",
		.unit = "",
		.label_names = labels,
		.bounds = bounds,
		.bound_count = ARRAY_SIZE(bounds),
	};
	atom_status status = metric_declare(&spec, &score_family, err);

	if (status == ATOM_OK)
		metric_allow(score_family, SERIES_MAX);
	return status;
}

/* --- the ring ------------------------------------------------------------------ */

static uint32_t *bucket_of(const struct ring *ring, const uint64_t key[2])
{
	return &ring->buckets[key[0] & (2 * ring->capacity - 1)];
}

static void link_call(struct ring *ring, uint32_t at)
{
	uint32_t *bucket = bucket_of(ring, ring->calls[at].key);

	ring->calls[at].next = *bucket;
	*bucket = at;
}

static void drop_oldest(struct ring *ring)
{
	struct recent_call *call = &ring->calls[ring->oldest];
	uint32_t *from = bucket_of(ring, call->key);

	while (*from != ring->oldest)
		from = &ring->calls[*from].next;
	*from = call->next;
	trial_unref(call->counted.trial);
	ring->oldest = (ring->oldest + 1) & (ring->capacity - 1);
	ring->count--;
}

/* Twice as large, with the calls in their order; false: it stays. */
static bool grow(struct ring *ring)
{
	struct ring next = {
		.capacity = ring->capacity > 0 ? 2 * ring->capacity
					       : FIRST_CAPACITY,
		.count = ring->count,
	};

	next.calls = mem_array(next.capacity, sizeof(*next.calls));
	next.buckets =
		mem_array((size_t)2 * next.capacity, sizeof(*next.buckets));
	if (next.calls == NULL || next.buckets == NULL) {
		mem_free(next.calls);
		mem_free(next.buckets);
		return false;
	}
	for (uint32_t i = 0; i < 2 * next.capacity; i++)
		next.buckets[i] = NONE;
	for (uint32_t i = 0; i < ring->count; i++) {
		next.calls[i] =
			ring->calls[(ring->oldest + i) & (ring->capacity - 1)];
		link_call(&next, i);
	}
	mem_free(ring->calls);
	mem_free(ring->buckets);
	*ring = next;
	return true;
}

static void ring_fini(struct ring *ring)
{
	while (ring->count > 0)
		drop_oldest(ring);
	mem_free(ring->calls);
	mem_free(ring->buckets);
}

void recent_fini(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		if (rings[i] != NULL)
			ring_fini(rings[i]);
		mem_free(TAKE(rings[i]));
	}
}

static struct ring *own_ring(void)
{
	struct ring **ring = &rings[loop_index(loop_current())];

	if (*ring == NULL)
		*ring = mem_zalloc(sizeof(**ring));
	return *ring;
}

/* --- calls ----------------------------------------------------------------------- */

void recent_key(const char *request_id, const char *principal,
		uint64_t key_r[2])
{
	uint64_t owner = table_hash(principal, strlen(principal));
	/* Two hashes of different keys: 128 bits in all. */
	const uint64_t keys[2][2] = { { owner, 1 }, { owner, 2 } };

	for (size_t i = 0; i < 2; i++)
		key_r[i] = table_hash_keyed(keys[i], request_id,
					    strlen(request_id));
}

void recent_add(const char *request_id, const char *principal,
		const struct revision *revision,
		const struct assignment *counted)
{
	struct ring *ring = own_ring();
	struct recent_call *call;
	uint32_t at;

	if (ring == NULL || (ring->count == ring->capacity &&
			     (ring->capacity == RECENT_MAX || !grow(ring)) &&
			     ring->capacity == 0))
		return;
	if (ring->count == ring->capacity)
		drop_oldest(ring);
	at = (ring->oldest + ring->count) & (ring->capacity - 1);
	call = &ring->calls[at];
	*call = (struct recent_call){ .score = NAN,
				      .revision = revision_number(revision) };
	recent_key(request_id, principal, call->key);
	(void)snprintf(call->agent, sizeof(call->agent), "%s",
		       revision_agent(revision));
	if (counted != NULL) {
		call->counted = *counted;
		trial_ref(counted->trial);
	}
	link_call(ring, at);
	ring->count++;
}

/* --- ratings ---------------------------------------------------------------------- */

static struct recent_call *find(const struct ring *ring, const uint64_t key[2])
{
	if (ring == NULL || ring->capacity == 0)
		return NULL;
	for (uint32_t at = *bucket_of(ring, key); at != NONE;
	     at = ring->calls[at].next)
		if (ring->calls[at].key[0] == key[0] &&
		    ring->calls[at].key[1] == key[1])
			return &ring->calls[at];
	return NULL;
}

static void rate(struct recent_call *call, struct recent_rating *rating)
{
	const struct assignment *counted = &call->counted;
	double before = call->score, bound;

	rating->found = true;
	rating->replaced = !isnan(before) && !call->by_grader;
	rating->kept = rating->by_grader && !isnan(before);
	rating->revision = call->revision;
	(void)snprintf(rating->agent, sizeof(rating->agent), "%s", call->agent);
	if (rating->kept)
		return;
	call->score = rating->score;
	call->by_grader = rating->by_grader;
	if (!rating->replaced && !rating->by_grader) {
		char label[24];
		const char *values[] = { call->agent, label };

		(void)snprintf(label, sizeof(label), "%lld",
			       (long long)call->revision);
		metric_observe(metric_series(score_family, values),
			       rating->score);
	}
	if (counted->trial == NULL)
		return;
	bound = trial_rated_below(counted->trial);
	if ((before < bound) != (rating->score < bound)) /* NaN is not below */
		trial_rate(counted, rating->score < bound ? 1 : -1);
}

static void on_back(struct loop *loop, struct message *message)
{
	struct recent_rating *rating =
		CONTAINER_OF(message, struct recent_rating, message);

	(void)loop;
	rating->done(rating);
}

static void on_asked(struct loop *loop, struct message *message)
{
	struct recent_rating *rating =
		CONTAINER_OF(message, struct recent_rating, message);
	unsigned int index = loop_index(loop);
	struct recent_call *call = find(rings[index], rating->key);

	if (call != NULL)
		rate(call, rating);
	if (call == NULL && ++rating->asked < loops_serving()) {
		loop_post(loops_get((index + 1) % loops_serving()), message);
		return;
	}
	message->deliver = on_back;
	loop_post(rating->asker, message);
}

void recent_rate_on(struct recent_rating *rating, struct loop *loop)
{
	rating->asker = loop_current();
	rating->message.deliver = on_asked;
	loop_post(loop, &rating->message);
}

void recent_rate(struct recent_rating *rating)
{
	rating->asker = loop_current();
	rating->message.deliver = on_asked;
	loop_post(rating->asker, &rating->message);
}
