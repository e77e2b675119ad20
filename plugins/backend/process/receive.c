/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "process_priv.h"

/*
 * Lines from the worker.  On a socket of its own a line that is not the
 * protocol's means that the worker is broken: it is replaced.  On standard
 * output anything may print, so such lines are logged and passed over, up to a
 * limit.
 */

#define JUNK_SHOWN 200 /* bytes of a bad line that are logged */

/* --- bad lines ------------------------------------------------------------ */

static void bad_line(struct worker *w, const char *line, size_t length,
		     const char *what)
{
	int shown = (int)(length < JUNK_SHOWN ? length : JUNK_SHOWN);
	int64_t most = w->backend->options->junk_lines_max;

	if (w->backend->options->transport != TRANSPORT_STDIO) {
		worker_log(w, ATOM_LOG_WARN, "worker_bad_line", "%.*s", shown,
			   line);
		worker_fail(w,
			    "the worker %s sent a line that is not the "
			    "protocol's: expected one JSON object with an op, "
			    "found %s; it is replaced",
			    w->name, what);
		return;
	}
	worker_log(w, ATOM_LOG_WARN, "worker_junk", "%.*s", shown, line);
	if (++w->junk_lines > most)
		worker_fail(w,
			    "the worker %s printed more than %lld lines in a "
			    "row that are not the protocol's; it is replaced",
			    w->name, (long long)most);
}

/* --- ready ---------------------------------------------------------------- */

static uint32_t read_caps(const struct json_value *caps)
{
	static const struct {
		const char *word;
		uint32_t cap;
	} known[] = {
		{ "cancel", CAP_CANCEL },
		{ "ping", CAP_PING },
		{ "credit", CAP_CREDIT },
	};
	struct json_value cap;
	uint32_t found = 0;
	size_t at = 0;

	while (json_next_element(caps, &at, &cap))
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (json_equals(&cap, known[i].word))
				found |= known[i].cap;
	return found;
}

static bool read_ready(struct worker *w, const struct json_object *line)
{
	struct json_value protocol = json_member(line, "protocol");
	struct json_value concurrency = json_member(line, "concurrency");
	struct json_value caps = json_member(line, "caps");
	int64_t number, most = 1;

	if (!json_to_integer(&protocol, &number))
		return false;
	if (concurrency.kind != JSON_NONE &&
	    (!json_to_integer(&concurrency, &most) || most < 1))
		return false;
	if (caps.kind != JSON_NONE && caps.kind != JSON_ARRAY)
		return false;
	if (number != 1) {
		worker_fail(w,
			    "the worker %s speaks protocol %lld; this atomd "
			    "speaks protocol 1",
			    w->name, (long long)number);
		return true;
	}
	if (most < w->concurrency)
		w->concurrency = (int32_t)most;
	w->caps = read_caps(&caps);
	worker_ready(w);
	return true;
}

/* --- which line it is ------------------------------------------------------- */

static const struct {
	const char *op;
	bool (*take)(struct worker *w, struct call *call,
		     const struct json_object *line);
} about_calls[] = {
	{ "chunk", receive_chunk },
	{ "event", receive_event },
	{ "result", receive_result },
	{ "error", receive_error },
};

/* NULL, or what is wrong with the line. */
static const char *take_object(struct worker *w, const struct json_object *line)
{
	struct json_value op = json_member(line, "op");

	if (op.kind != JSON_STRING)
		return "an object without an op";
	if (w->state == WORKER_STARTING) {
		if (!json_equals(&op, "ready"))
			return "another line before ready";
		return read_ready(w, line) ? NULL : "a broken ready";
	}
	for (size_t i = 0; i < sizeof(about_calls) / sizeof(about_calls[0]);
	     i++) {
		struct json_value id = json_member(line, "id");
		struct call *call;

		if (!json_equals(&op, about_calls[i].op))
			continue;
		if (id.kind != JSON_STRING)
			return "a line about a call without its id";
		call = call_of_id(w, &id);
		if (call == NULL)
			return NULL;
		return about_calls[i].take(w, call, line)
			       ? NULL
			       : "a member of the wrong type";
	}
	if (json_equals(&op, "pong") && w->ping_sent) {
		w->ping_sent = false;
		w->ping_at_ms =
			now_ms(w->backend) + w->backend->options->ping_every_ms;
	}
	return NULL;
}

static void take_line(struct worker *w, const char *line, size_t length)
{
	struct json_object object;
	struct bytes repaired = { .at = NULL };
	const char *what;

	if (length > 0 && line[length - 1] == '\r')
		length--;
	if (length == 0)
		return;
	what = json_read_object(line, length, &object);
	if (what == NULL && object.lone_surrogate) {
		bytes_append(&repaired, line, length);
		if (repaired.failed) {
			what = "more than there is memory for";
		} else {
			json_replace_lone_surrogates(repaired.at, length);
			what = json_read_object(repaired.at, length, &object);
		}
	}
	if (what == NULL)
		what = take_object(w, &object);
	if (what == NULL)
		w->junk_lines = 0;
	else
		bad_line(w, line, length, what);
	bytes_fini(&repaired);
}

/* --- where lines end --------------------------------------------------------- */

static bool wants_lines(const struct worker *w)
{
	return !w->held && !w->fault;
}

/* Of a line, or of what there is of one; false: it is too long. */
static bool check_length(struct worker *w, size_t length)
{
	size_t most = (size_t)w->backend->options->line_max;

	if (length <= most)
		return true;
	worker_fail(w,
		    "the worker %s sent a line of more than %zu bytes "
		    "(line_max); it is replaced",
		    w->name, most);
	return false;
}

/* Takes whole lines; returns how many bytes they had.  The first `searched`
 * bytes hold no line end. */
static size_t take_lines(struct worker *w, const char *bytes, size_t length,
			 size_t searched)
{
	size_t at = 0;

	while (at < length && wants_lines(w)) {
		const char *end = memchr(bytes + at + searched, '\n',
					 length - at - searched);

		if (end == NULL || !check_length(w, (size_t)(end - bytes) - at))
			break;
		searched = 0;
		take_line(w, bytes + at, (size_t)(end - bytes) - at);
		at = (size_t)(end - bytes) + 1;
	}
	return at;
}

static void check_rest(struct worker *w)
{
	if (wants_lines(w))
		(void)check_length(w, w->input.length);
}

void receive_held(struct worker *w)
{
	size_t taken;

	if (w->receiving || w->input.length == 0)
		return;
	w->receiving = true;
	taken = take_lines(w, w->input.at, w->input.length, w->searched);
	w->receiving = false;
	if (w->fault) {
		bytes_clear(&w->input);
		w->searched = 0;
		return;
	}
	bytes_consume(&w->input, taken);
	/* Held: what is left holds whole lines. */
	w->searched = w->held ? 0 : w->input.length;
	check_rest(w);
}

void receive(struct worker *w, const char *bytes, size_t length)
{
	size_t taken = 0;

	if (w->fault)
		return;
	if (w->input.length == 0 && !w->receiving) {
		w->receiving = true;
		taken = take_lines(w, bytes, length, 0);
		w->receiving = false;
		if (w->fault)
			return;
		bytes_append(&w->input, bytes + taken, length - taken);
		w->searched = w->held ? 0 : w->input.length;
	} else {
		bytes_append(&w->input, bytes, length);
		receive_held(w);
	}
	if (w->input.failed)
		worker_fail(w, "no memory for a line of the worker %s",
			    w->name);
	else
		check_rest(w);
}
