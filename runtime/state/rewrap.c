/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving all records to the current data key, and plain ones of an older atomd
 * into encryption: a walk over all buckets, a page at a time, each page a job
 * of the pool and a pause after it.
 *
 *	counting ──► moving ──► checking ──► idle
 *	   │ none old   ▲          │ found some
 *	   └────────────┼─► idle   ▼
 *	                └──── checking again
 *
 * A pass counts when it begins after the writer has let go of what it sealed
 * before: from then on nothing is sealed under a key older than `floor`.  A
 * whole pass that finds nothing old is the proof that nothing is left.
 * Records are written back under the condition that nobody has changed them
 * meanwhile; whoever has, has sealed them anew.
 */
#include "state/state_priv.h"

#include <stdio.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "keyring/keyring.h"

#define PAGE_RECORDS 256
#define PAGE_BYTES   ((size_t)4 * 1024 * 1024)
/* Between pages: where something was written twice as long as it took, so
 * that two thirds of the disk are others'. */
#define PAUSE_MS       10
#define WRITE_PAUSE_MS 50
#define RETRY_MS       1000

struct walk {
	struct work work;
	struct timer timer;
	bool begun; /* [control] a step is under way or due */
	bool again; /* [control] begin anew */

	pthread_mutex_t lock; /* of `status` */
	struct state_rewrap status;

	/* The pool's, of one pass. */
	bool in_pass;
	bool counting;
	uint32_t floor;
	char (*buckets)[ATOM_STORE_BUCKET_MAX + 1];
	size_t bucket_count;
	size_t bucket_capacity;
	size_t bucket;
	char after[ATOM_STORE_KEY_MAX];
	size_t after_length;
	uint64_t found;			     /* old ones that can be moved */
	uint32_t kept[KEYRING_VERSIONS_MAX]; /* of those that cannot */
	size_t kept_count;

	/* Of one page. */
	struct state_transaction *moves[PAGE_RECORDS];
	size_t move_count;
	size_t move_bytes;
	size_t visited;
	char last[ATOM_STORE_KEY_MAX];
	size_t last_length;
	bool full;
	bool ran;
	bool over; /* the whole walk */
	int64_t pause_ms;
	atom_status status_of_page;
	struct atom_error error;
};

static struct walk walk = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- progress ------------------------------------------------------------ */

void state_rewrap_status(struct state_rewrap *status_r)
{
	(void)pthread_mutex_lock(&walk.lock);
	*status_r = walk.status;
	(void)pthread_mutex_unlock(&walk.lock);
}

static void set_phase(enum state_rewrap_phase phase)
{
	(void)pthread_mutex_lock(&walk.lock);
	walk.status.phase = phase;
	walk.status.checked = 0;
	walk.status.damaged = 0;
	(void)pthread_mutex_unlock(&walk.lock);
}

static void progress(int64_t left, uint64_t moved, uint64_t checked,
		     uint64_t damaged)
{
	struct state_rewrap *s = &walk.status;
	uint64_t left_now;

	(void)pthread_mutex_lock(&walk.lock);
	/* Records come and go beside the walk. */
	s->left = left < 0 && (uint64_t)-left > s->left
			  ? 0
			  : s->left + (uint64_t)left;
	s->moved += moved;
	s->checked += checked;
	s->damaged += damaged;
	left_now = s->left;
	(void)pthread_mutex_unlock(&walk.lock);
	metrics_rewrap_left(left_now);
}

static void say(const char *message)
{
	(void)pthread_mutex_lock(&walk.lock);
	(void)snprintf(walk.status.message, sizeof(walk.status.message), "%s",
		       message);
	(void)pthread_mutex_unlock(&walk.lock);
}

/* --- a page -------------------------------------------------------------- */

static void keep_version(uint32_t number)
{
	for (size_t i = 0; i < walk.kept_count; i++)
		if (walk.kept[i] == number)
			return;
	if (number != 0 && walk.kept_count < KEYRING_VERSIONS_MAX)
		walk.kept[walk.kept_count++] = number;
}

/* Adds the record, opened, to what is written back. */
static atom_status add_move(const char *bucket,
			    const struct atom_store_record *record)
{
	struct state_transaction *t = state_transaction_new();
	size_t room = record->value.length + 1;
	char *plain = mem_alloc(room);
	struct atom_span value = { plain, 0 };
	atom_status status = ATOM_ENOMEM;

	if (t && plain)
		status = seal_open(bucket, record->key, record->value, plain,
				   &value.length, &walk.error);
	if (status == ATOM_OK)
		status = state_transaction_put(t, bucket, record->key, value,
					       record->version, &walk.error);
	mem_wipe_free(plain, room);
	if (status == ATOM_OK) {
		walk.moves[walk.move_count++] = TAKE(t);
		walk.move_bytes += record->value.length;
	}
	state_transaction_free(&t);
	return status;
}

static int32_t look_at(void *argument, const struct atom_store_record *record)
{
	uint32_t number = keyring_version_of(&record->value);
	atom_status status = ATOM_OK;

	walk.visited++;
	memcpy(walk.last, record->key.bytes, record->key.length);
	walk.last_length = record->key.length;
	if (number >= walk.floor)
		return 0;
	if (walk.counting) {
		walk.found++;
		progress(1, 0, 0, 0);
		return 0;
	}
	status = add_move(argument, record);
	if (status == ATOM_EDATALOSS) {
		keep_version(number);
		progress(-1, 0, 0, 1);
		return 0;
	}
	if (status != ATOM_OK) {
		walk.status_of_page = status;
		return 1;
	}
	walk.full = walk.move_bytes >= PAGE_BYTES;
	return walk.full;
}

static void write_moves(void)
{
	atom_status statuses[PAGE_RECORDS];

	if (walk.move_count == 0)
		return;
	state_commit_each(walk.moves, walk.move_count, statuses, &walk.error);
	for (size_t i = 0; i < walk.move_count; i++) {
		if (statuses[i] == ATOM_OK || statuses[i] == ATOM_ECONFLICT) {
			walk.found++;
			progress(-1, statuses[i] == ATOM_OK, 0, 0);
		} else {
			walk.status_of_page = statuses[i];
		}
		state_transaction_free(&walk.moves[i]);
	}
}

/* The next page of the bucket; *done_r: it was the last. */
static void take_page(bool *done_r)
{
	const struct atom_span no_prefix = { "", 0 };
	const struct atom_span after = { walk.after, walk.after_length };
	char *bucket = walk.buckets[walk.bucket];
	atom_status status;

	walk.move_count = 0;
	walk.move_bytes = 0;
	walk.visited = 0;
	walk.full = false;
	walk.status_of_page = ATOM_OK;
	status = state.ops->scan(state.self, bucket, &no_prefix, &after,
				 PAGE_RECORDS, look_at, bucket, &walk.error);
	if (status != ATOM_OK)
		walk.status_of_page = status;
	write_moves();
	*done_r = false;
	if (walk.status_of_page != ATOM_OK)
		return;
	progress(0, 0, walk.visited, 0);
	memcpy(walk.after, walk.last, walk.last_length);
	walk.after_length = walk.last_length;
	*done_r = !walk.full && walk.visited < PAGE_RECORDS;
}

/* --- a pass -------------------------------------------------------------- */

static int32_t add_bucket(void *argument, const char *bucket)
{
	size_t capacity = walk.bucket_capacity ? walk.bucket_capacity * 2 : 16;
	bool *no_memory = argument;
	void *buckets;

	if (seal_is_plain(bucket))
		return 0;
	if (walk.bucket_count == walk.bucket_capacity) {
		buckets = mem_realloc(walk.buckets,
				      capacity * sizeof(*walk.buckets));
		*no_memory = !buckets;
		if (!buckets)
			return 1;
		walk.buckets = buckets;
		walk.bucket_capacity = capacity;
	}
	(void)snprintf(walk.buckets[walk.bucket_count++], sizeof(*walk.buckets),
		       "%s", bucket);
	return 0;
}

static atom_status begin_pass(struct keyring *keyring)
{
	bool no_memory = false;
	atom_status status;

	walk.floor = keyring_current(keyring);
	walk.bucket_count = 0;
	walk.bucket = 0;
	walk.after_length = 0;
	walk.found = 0;
	walk.kept_count = 0;
	writer_barrier();
	status = state.ops->buckets(state.self, add_bucket, &no_memory,
				    &walk.error);
	if (status == ATOM_OK && no_memory)
		status = atom_fail(&walk.error, ATOM_ENOMEM,
				   "no memory for the buckets' names");
	walk.in_pass = status == ATOM_OK;
	return status;
}

/* Nothing was left: the keyring may let go of old keys. */
static atom_status finish(struct keyring *keyring)
{
	atom_status status =
		keyring_end_rewrap(keyring, walk.floor, walk.kept,
				   walk.kept_count, true, &walk.error);
	struct state_rewrap done;

	if (status != ATOM_OK)
		return status;
	walk.over = true;
	state_rewrap_status(&done);
	log_line(ATOM_LOG_INFO, "rewrapped",
		 "every record is sealed under the current data key",
		 LOG_NUMBER("version", walk.floor),
		 LOG_NUMBER("moved", done.moved),
		 LOG_NUMBER("damaged", done.damaged));
	(void)pthread_mutex_lock(&walk.lock);
	walk.status.phase = STATE_REWRAP_IDLE;
	walk.status.left = 0;
	(void)pthread_mutex_unlock(&walk.lock);
	metrics_rewrap_left(0);
	return ATOM_OK;
}

static atom_status end_pass(struct keyring *keyring)
{
	walk.in_pass = false;
	if (walk.found == 0)
		return finish(keyring);
	set_phase(walk.counting ? STATE_REWRAP_MOVING : STATE_REWRAP_CHECKING);
	walk.counting = false;
	return ATOM_OK;
}

static atom_status step(struct keyring *keyring)
{
	bool done = false;
	atom_status status = ATOM_OK;

	if (!walk.in_pass)
		status = begin_pass(keyring);
	if (status != ATOM_OK)
		return status;
	if (walk.bucket == walk.bucket_count)
		return end_pass(keyring);
	take_page(&done);
	if (walk.status_of_page == ATOM_OK && done) {
		walk.bucket++;
		walk.after_length = 0;
	}
	return walk.status_of_page;
}

/* --- the job ------------------------------------------------------------- */

static void run(struct work *work)
{
	int64_t began_ns = os.monotonic_ns();
	int64_t took_ms;
	atom_status status;

	(void)work;
	walk.ran = true;
	walk.move_count = 0;
	status = step(seal_keyring());
	took_ms = (os.monotonic_ns() - began_ns) / 1000000;
	walk.pause_ms = PAUSE_MS;
	if (walk.move_count > 0)
		walk.pause_ms = 2 * took_ms > WRITE_PAUSE_MS ? 2 * took_ms
							     : WRITE_PAUSE_MS;
	if (status != ATOM_OK)
		walk.pause_ms = RETRY_MS;
	say(status != ATOM_OK ? walk.error.message : "");
	read_end();
}

static void done(struct work *work, atom_status status)
{
	(void)work;
	(void)status;
	if (!walk.ran) {
		read_end();
		return;
	}
	if (walk.over && !walk.again)
		walk.begun = false;
	else
		(void)timer_set(loop_control(), &walk.timer, walk.pause_ms);
}

static void fire(struct timer *timer)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (walk.again) {
		walk.again = false;
		walk.over = false;
		walk.in_pass = false;
		walk.counting = true;
		(void)pthread_mutex_lock(&walk.lock);
		walk.status =
			(struct state_rewrap){ .phase = STATE_REWRAP_COUNTING };
		(void)pthread_mutex_unlock(&walk.lock);
	}
	walk.ran = false;
	walk.work.run = run;
	walk.work.done = done;
	status = read_begin(&err);
	if (status == ATOM_OK && work_submit(loop_control(), &walk.work) == 0)
		return;
	if (status == ATOM_OK)
		read_end();
	say(err.message);
	(void)timer_set(loop_control(), timer, RETRY_MS);
}

atom_status state_rewrap(struct atom_error *err)
{
	if (!seal_keyring())
		return atom_fail(err, ATOM_ESTATE,
				 "there is no keyring: nothing is encrypted");
	(void)pthread_mutex_lock(&walk.lock);
	if (walk.status.phase == STATE_REWRAP_IDLE)
		walk.status =
			(struct state_rewrap){ .phase = STATE_REWRAP_COUNTING };
	(void)pthread_mutex_unlock(&walk.lock);
	walk.again = true;
	if (walk.begun)
		return ATOM_OK;
	walk.timer.fire = fire;
	if (timer_set(loop_control(), &walk.timer, 0) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a timer");
	walk.begun = true;
	return ATOM_OK;
}

void rewrap_fini(void)
{
	timer_stop(&walk.timer);
	walk.begun = false;
	mem_free(TAKE(walk.buckets));
	walk.bucket_count = 0;
	walk.bucket_capacity = 0;
}
