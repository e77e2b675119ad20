/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/feed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/sse.h"
#include "http/server.h"
#include "security/principal.h"
#include "security/standing.h"

/* One event as it goes over the wire, shared by all streams. */
struct told {
	_Atomic unsigned int references;
	uint64_t sequence;
	size_t length;
	char bytes[];
};

struct stream {
	struct stream *next, **previous;
	struct http_request *request;
	uint64_t after; /* the last event it has */
	uint64_t picture;
	struct timer look;
	int64_t ends_ns;
	bool blocked; /* it takes no more for now */
	struct standing standing;
};

/* What a loop has of it. */
static struct line {
	struct stream *streams;
	struct message kick;
	atomic_bool kicked;
} lines[LOOP_MAX + 1];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under it; `sequence` is that of the last event. */
static struct told *ring[FEED_EVENTS];
static struct told *picture;
static uint64_t sequence, pictures;

static _Atomic unsigned int watched;
static atomic_bool ended;
static metric_id streams_metric, missed_metric;

/* --- texts -------------------------------------------------------------------- */

static struct told *told_new(const char *name, const struct buffer *json)
{
	struct buffer text = BUFFER_INIT(json->length + 64);
	struct told *told = NULL;

	sse_event(&text, name, json->bytes, json->length);
	if (!text.failed)
		told = mem_alloc(sizeof(*told) + text.length);
	if (told != NULL) {
		atomic_init(&told->references, 1);
		told->sequence = 0;
		told->length = text.length;
		memcpy(told->bytes, text.bytes, text.length);
	}
	buffer_fini(&text);
	return told;
}

static struct told *told_ref(struct told *told)
{
	if (told != NULL)
		(void)atomic_fetch_add(&told->references, 1);
	return told;
}

static void told_unref(struct told *told)
{
	if (told != NULL && atomic_fetch_sub(&told->references, 1) == 1)
		mem_free(told);
}

/* --- a stream [loop] ------------------------------------------------------------ */

static void stream_leave(struct stream *stream)
{
	timer_stop(&stream->look);
	*stream->previous = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
	(void)atomic_fetch_sub(&watched, 1);
	metric_add(streams_metric, -1);
	mem_free(stream);
}

static void stream_end(struct stream *stream)
{
	static const char again[] = "event: again\ndata: {}\n\n";
	struct http_request *request = stream->request;

	stream_leave(stream);
	(void)http_stream_write(request, again, sizeof(again) - 1);
	http_stream_end(request, true);
	http_request_release(request);
}

static void write_text(struct stream *stream, const void *bytes, size_t length)
{
	stream->blocked =
		http_stream_write(stream->request, bytes, length) != ATOM_OK;
}

static void write_missed(struct stream *stream, uint64_t count)
{
	struct buffer text = BUFFER_INIT(128);

	metric_add(missed_metric, (double)count);
	(void)buffer_printf(&text, "event: missed\ndata: {\"events\":%llu}\n\n",
			    (unsigned long long)count);
	if (!text.failed)
		write_text(stream, text.bytes, text.length);
	buffer_fini(&text);
}

/* The event after `after`, or the oldest that is kept; NULL: none. */
static struct told *next_event(uint64_t after)
{
	uint64_t oldest =
		sequence > FEED_EVENTS ? sequence - FEED_EVENTS + 1 : 1;
	uint64_t wanted = after + 1 > oldest ? after + 1 : oldest;

	while (wanted <= sequence && ring[wanted % FEED_EVENTS] == NULL)
		wanted++;
	return wanted <= sequence ? told_ref(ring[wanted % FEED_EVENTS]) : NULL;
}

/* What it has not got yet, as far as it takes it. */
static void stream_tell(struct stream *stream)
{
	struct told *told;
	uint64_t number = 0;

	while (!stream->blocked) {
		(void)pthread_mutex_lock(&lock);
		told = next_event(stream->after);
		(void)pthread_mutex_unlock(&lock);
		if (told == NULL)
			break;
		if (told->sequence > stream->after + 1)
			write_missed(stream,
				     told->sequence - stream->after - 1);
		stream->after = told->sequence;
		write_text(stream, told->bytes, told->length);
		told_unref(told);
	}
	if (stream->blocked)
		return;
	(void)pthread_mutex_lock(&lock);
	told = pictures > stream->picture ? told_ref(picture) : NULL;
	number = pictures;
	(void)pthread_mutex_unlock(&lock);
	if (told == NULL)
		return;
	stream->picture = number;
	write_text(stream, told->bytes, told->length);
	told_unref(told);
}

static void on_gone(struct http_request *request)
{
	stream_leave(http_user(request));
	http_request_release(request);
}

static void on_drain(struct http_request *request)
{
	struct stream *stream = http_user(request);

	stream->blocked = false;
	stream_tell(stream);
}

static void on_look(struct timer *timer)
{
	struct stream *stream = CONTAINER_OF(timer, struct stream, look);

	if (os.monotonic_ns() >= stream->ends_ns ||
	    !standing_holds(&stream->standing, stream->request) ||
	    timer_set(http_loop(stream->request), timer, FEED_LOOK_MS) !=
		    ATOM_OK)
		stream_end(stream);
}

bool feed_join(struct http_request *request, const struct principal *principal)
{
	struct loop *loop = http_loop(request);
	struct line *line = &lines[loop_index(loop)];
	struct stream *stream = NULL;

	if (atomic_fetch_add(&watched, 1) < FEED_STREAMS_MAX &&
	    !atomic_load(&ended))
		stream = mem_zalloc(sizeof(*stream));
	if (stream != NULL) {
		stream->look.fire = on_look;
		stream->ends_ns =
			os.monotonic_ns() + (int64_t)FEED_AGE_MS * 1000000;
		standing_begin(&stream->standing, principal);
		if (timer_set(loop, &stream->look, FEED_LOOK_MS) != ATOM_OK)
			mem_free(TAKE(stream));
	}
	if (stream == NULL) {
		(void)atomic_fetch_sub(&watched, 1);
		return false;
	}
	metric_add(streams_metric, 1);
	stream->request = request;
	stream->next = line->streams;
	stream->previous = &line->streams;
	if (stream->next != NULL)
		stream->next->previous = &stream->next;
	line->streams = stream;
	/* From now on: the picture that is there may be of yesterday. */
	(void)pthread_mutex_lock(&lock);
	stream->after = sequence;
	stream->picture = pictures;
	(void)pthread_mutex_unlock(&lock);
	http_set_user(request, stream);
	http_on_gone(request, on_gone);
	http_on_drain(request, on_drain);
	http_request_forget(request);
	http_stream_begin(request, 200, "text/event-stream");
	write_text(stream, ": atomd\n\n", 9);
	stream_tell(stream);
	return true;
}

unsigned int feed_watched(void)
{
	return atomic_load(&watched);
}

/* --- telling -------------------------------------------------------------------- */

static void on_kick(struct loop *loop, struct message *message)
{
	struct line *line = CONTAINER_OF(message, struct line, kick);
	struct stream *stream, *next;

	(void)loop;
	atomic_store(&line->kicked, false);
	for (stream = line->streams; stream != NULL; stream = next) {
		next = stream->next;
		if (atomic_load(&ended) ||
		    !standing_holds(&stream->standing, stream->request))
			stream_end(stream);
		else if (!stream->blocked)
			stream_tell(stream);
	}
}

static void kick_all(void)
{
	if (feed_watched() == 0)
		return;
	for (unsigned int i = 0; i < loops_serving(); i++)
		if (!atomic_exchange(&lines[i].kicked, true))
			loop_post(loops_get(i), &lines[i].kick);
}

void feed_picture(const struct buffer *json)
{
	struct told *told = told_new("overview", json), *old;

	if (told == NULL)
		return;
	(void)pthread_mutex_lock(&lock);
	old = picture;
	picture = told;
	pictures++;
	(void)pthread_mutex_unlock(&lock);
	told_unref(old);
	kick_all();
}

void feed_event(const char *name, const char *agent,
		const struct atom_span *json)
{
	struct buffer text = BUFFER_INIT(2 * FEED_EVENT_BYTES);
	char time[TEXT_TIME_MAX];
	struct told *told, *old;

	/* Those who come later begin with the picture. */
	if (feed_watched() == 0)
		return;
	text_of_time(os.realtime_ms(), time);
	(void)buffer_printf(&text, "{\"time\":\"%s\",\"name\":", time);
	(void)buffer_append_json_string(&text, name);
	(void)buffer_append_text(&text, ",\"agent\":");
	(void)buffer_append_json_string(&text, agent);
	(void)buffer_append_text(&text, ",\"details\":");
	if (json->length > 0 && json->length <= FEED_EVENT_BYTES)
		(void)buffer_append(&text, json->bytes, json->length);
	else
		(void)buffer_append_text(&text, "{}");
	(void)buffer_append_char(&text, '}');
	told = text.failed ? NULL : told_new("event", &text);
	buffer_fini(&text);
	(void)pthread_mutex_lock(&lock);
	/* Without memory its number is told all the same, as one missed. */
	sequence++;
	old = ring[sequence % FEED_EVENTS];
	ring[sequence % FEED_EVENTS] = told;
	if (told != NULL)
		told->sequence = sequence;
	(void)pthread_mutex_unlock(&lock);
	told_unref(old);
	kick_all();
}

/* --- life ----------------------------------------------------------------------- */

atom_status feed_init(struct atom_error *err)
{
	(void)err;
	atomic_store(&ended, false);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i].kick.deliver = on_kick;
	streams_metric = metric_single(
		ATOM_METRIC_GAUGE, "atomd_overview_streams",
		"Clients that watch the overview, dashboards for instance.");
	missed_metric = metric_single(
		ATOM_METRIC_COUNTER, "atomd_overview_events_missed_total",
		"Events that a client of the overview was too slow for.");
	return ATOM_OK;
}

void feed_end(void)
{
	atomic_store(&ended, true);
	kick_all();
}

void feed_fini(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ring); i++)
		told_unref(TAKE(ring[i]));
	told_unref(TAKE(picture));
	sequence = 0;
	pictures = 0;
}
