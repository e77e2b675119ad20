/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "gateway/desk.h"
#include "gateway/handlers.h"
#include "gateway/log_filter.h"
#include "gateway/parameter.h"
#include "gateway/reply.h"
#include "security/standing.h"

/*
 * GET /admin/v1/logs: the lines that are kept in memory, one JSON object a
 * line.  `follow=1` goes on with those that come, until the client leaves, its
 * key is revoked or expires, or the daemon stops.  No thread is asked: the log may be read on any.
 */

#define LINES_MAX     4096 /* as many as the log keeps */
#define BYTES_MAX     ((size_t)16 * 1024 * 1024)
#define LOOK_EVERY_MS 500
#define FOLLOWERS_MAX 64
#define NDJSON	      "application/x-ndjson"

static _Atomic int followers;

/* What is collected in one look: the last `limit` lines that fit. */
struct look {
	const struct log_filter *filter;
	struct buffer text;
	size_t limit;
	size_t lines;
	size_t starts[LINES_MAX]; /* a ring of where the last lines begin */
};

static bool collect(void *argument, const struct log_kept *line)
{
	struct look *look = argument;
	size_t start = look->text.length;

	if (log_filter_append(look->filter, line->json, line->length,
			      &look->text))
		look->starts[look->lines++ % LINES_MAX] = start;
	return !look->text.failed;
}

/* The collected text from the first line that counts. */
static const char *last_lines(const struct look *look, size_t *length_r)
{
	size_t count = look->lines < look->limit ? look->lines : look->limit;
	size_t from = count == 0
			      ? look->text.length
			      : look->starts[(look->lines - count) % LINES_MAX];

	*length_r = look->text.length - from;
	return count == 0 ? "" : look->text.bytes + from;
}

/* --- following ------------------------------------------------------------------- */

struct follower {
	struct http_request *request;
	struct loop *loop;
	struct timer timer;
	struct log_filter filter;
	uint64_t after;
	bool blocked; /* the client is slow */
	struct standing standing;
};

static void follower_end(struct follower *f)
{
	timer_stop(&f->timer);
	atomic_fetch_sub(&followers, 1);
	mem_free(f);
}

static void on_gone(struct http_request *request)
{
	follower_end(http_user(request));
	http_request_release(request);
}

static void on_drain(struct http_request *request)
{
	struct follower *f = http_user(request);

	f->blocked = false;
}

static bool follow_one(void *argument, const struct log_kept *line)
{
	struct follower *f = argument;
	struct buffer *out = desk_scratch(desk_of(f->loop));

	f->after = line->sequence;
	if (!log_filter_append(&f->filter, line->json, line->length, out) ||
	    out->failed)
		return true;
	f->blocked = http_stream_write(f->request, out->bytes, out->length) !=
		     ATOM_OK;
	return !f->blocked;
}

static void on_look(struct timer *timer)
{
	struct follower *f = CONTAINER_OF(timer, struct follower, timer);
	struct http_request *request = f->request;
	bool stands = standing_holds(&f->standing, request);

	if (!f->blocked && stands)
		(void)log_visit(f->after, follow_one, f);
	if (stands && !health_is_stopping() &&
	    timer_set(f->loop, timer, LOOK_EVERY_MS) == ATOM_OK)
		return;
	follower_end(f);
	http_stream_end(request, true);
	http_request_release(request);
}

static struct follower *follower_new(struct http_request *request,
				     const struct principal *principal,
				     const struct log_filter *filter,
				     struct api_error *e)
{
	struct follower *f = NULL;

	if (atomic_fetch_add(&followers, 1) >= FOLLOWERS_MAX) {
		api_error_set(e, "rate_limit_exceeded", NULL,
			      "%d clients follow the log already",
			      FOLLOWERS_MAX);
		e->retry_after_ms = 10000;
	} else {
		f = mem_zalloc(sizeof(*f));
		if (f == NULL)
			api_error_set(e, "internal_error", NULL, "no memory");
	}
	if (f == NULL) {
		atomic_fetch_sub(&followers, 1);
		return NULL;
	}
	f->request = request;
	f->loop = http_loop(request);
	f->filter = *filter;
	standing_begin(&f->standing, principal);
	f->timer.fire = on_look;
	http_set_user(request, f);
	http_on_gone(request, on_gone);
	http_on_drain(request, on_drain);
	return f;
}

/* --- the request ------------------------------------------------------------------ */

static bool read_query(struct http_request *request, struct log_filter *filter,
		       int64_t *limit_r, bool *follow_r, struct api_error *e)
{
	char limit[16] = "", follow[8] = "";

	if (!parameter_read(request, "agent", filter->agent,
			    sizeof(filter->agent), e) ||
	    !parameter_read(request, "request", filter->request,
			    sizeof(filter->request), e) ||
	    !parameter_read(request, "limit", limit, sizeof(limit), e))
		return false;
	(void)http_query_value(request, "follow", follow, sizeof(follow));
	*follow_r = (strcmp(follow, "1") == 0 || strcmp(follow, "true") == 0) &&
		    strcmp(http_method(request), "HEAD") != 0;
	*limit_r = LINES_MAX;
	if (!http_query_has(request, "limit"))
		return true;
	if (text_to_int(limit, limit_r) && *limit_r >= 0 &&
	    *limit_r <= 1000000000) {
		if (*limit_r > LINES_MAX)
			*limit_r = LINES_MAX;
		return true;
	}
	api_error_set(e, "invalid_request", "limit",
		      "limit: expected a number of lines, found '%s'", limit);
	return false;
}

static void answer(struct http_request *request, struct look *look)
{
	size_t length;
	const char *lines = last_lines(look, &length);

	http_answer(request, 200, NDJSON, lines, length);
	http_request_release(request);
}

static void begin_following(struct follower *f, const struct look *look)
{
	size_t length;
	const char *lines = last_lines(look, &length);

	http_request_forget(f->request);
	http_stream_begin(f->request, 200, NDJSON);
	if (length > 0)
		(void)http_stream_write(f->request, lines, length);
	/* A line of its own that is empty: the head leaves at once, and
	 * readers of lines skip it. */
	else
		(void)http_stream_write(f->request, "\n", 1);
	if (timer_set(f->loop, &f->timer, LOOK_EVERY_MS) != ATOM_OK)
		on_look(&f->timer);
}

void handle_logs(struct http_request *request,
		 const struct admission *admission)
{
	struct log_filter filter = {
		.only_public = !principal_has(&admission->principal,
					      PERMISSION_VIEW_LOGS),
	};
	struct look *look = NULL;
	struct follower *f = NULL;
	bool follow = false, sound;
	struct api_error e;
	uint64_t last;
	int64_t limit;

	sound = read_query(request, &filter, &limit, &follow, &e);
	if (sound) {
		look = mem_zalloc(sizeof(*look));
		sound = look != NULL;
		if (!sound)
			api_error_set(&e, "internal_error", NULL, "no memory");
	}
	if (sound && follow) {
		f = follower_new(request, &admission->principal, &filter, &e);
		sound = f != NULL;
	}
	if (!sound) {
		mem_free(look);
		reply_error(request, &e);
		return;
	}
	look->filter = &filter;
	look->limit = (size_t)limit;
	buffer_init(&look->text, BYTES_MAX);
	last = log_visit(0, collect, look);
	if (follow) {
		f->after = last;
		begin_following(f, look);
	} else {
		answer(request, look);
	}
	buffer_fini(&look->text);
	mem_free(look);
}
