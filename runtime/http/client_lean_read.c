/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"

/*
 * The answer, from the socket to the plugin, through the strict parser that
 * the server uses, too.
 *
 * The plugin may end the transfer, or pause it, in every callback; `inside`
 * keeps its memory until these functions have returned.
 */

/* --- ends --------------------------------------------------------------------- */

static void end_with(struct atom_http_transfer *t, const struct atom_error *err)
{
	transfer_end(t, err->status, err);
}

static void no_answer(struct atom_http_transfer *t, const char *reason)
{
	struct atom_error err = ATOM_ERROR_INIT;

	transfer_explain_answer(t, reason, &err);
	end_with(t, &err);
}

/* `extra` bytes have come that nobody asked for. */
static void finish(struct atom_http_transfer *t, size_t extra)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (extra > 0)
		t->lean.keep_alive = false;
	transfer_end(t, ATOM_OK, &err);
}

/* --- the head ------------------------------------------------------------------ */

void lean_partial_free(struct atom_http_transfer *t)
{
	struct lean_partial *partial = TAKE(t->lean.partial);

	if (partial == NULL)
		return;
	mem_free(partial->bytes);
	mem_free(partial);
}

static bool partial_add(struct lean_partial *partial, const char *bytes,
			size_t length)
{
	size_t wanted = partial->length + length;
	char *longer;

	if (wanted > partial->capacity) {
		wanted += wanted / 2;
		longer = mem_realloc(partial->bytes, wanted);
		if (longer == NULL)
			return false;
		partial->bytes = longer;
		partial->capacity = wanted;
	}
	memcpy(partial->bytes + partial->length, bytes, length);
	partial->length += length;
	return true;
}

/* The parser's progress and all that has come are kept. */
static bool partial_begin(struct atom_http_transfer *t,
			  const struct http_head *head, const char *bytes,
			  size_t length)
{
	struct lean_partial *partial = mem_zalloc(sizeof(*partial));

	if (partial == NULL)
		return false;
	t->lean.partial = partial;
	partial->head = *head;
	return partial_add(partial, bytes, length);
}

static void refuse_head(struct atom_http_transfer *t,
			const struct http_head *head)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (head->scanned >= head->size_max)
		transfer_explain_head(t, &err);
	else if (head->n_fields >= head->fields_max)
		atom_fail(&err, ATOM_ELIMIT,
			  "the head of the answer of %s has over %d fields",
			  t->where, HTTP_FIELDS_MAX);
	else
		transfer_explain_answer(t, head->why, &err);
	end_with(t, &err);
}

/* A place where it stays until the end: its own, if it came in pieces, or that
 * of the request's head, which is not needed any more.  The last line feed, of
 * an empty line, gives way to a NUL. */
static bool keep_head(struct atom_http_transfer *t, const char *text,
		      size_t size)
{
	struct lean *lean = &t->lean;

	if (lean->partial != NULL) {
		lean->head = lean->head_memory = TAKE(lean->partial->bytes);
		lean_partial_free(t);
	} else if (lean->request_sent == lean->request_length &&
		   size <= lean->request_room) {
		lean->head = memcpy(lean->request, text, size);
	} else {
		lean->head = lean->head_memory = mem_alloc(size);
		if (lean->head == NULL)
			return false;
		memcpy(lean->head, text, size);
	}
	lean->head[size - 1] = '\0';
	lean->head_length = size;
	return true;
}

static void head_came(struct atom_http_transfer *t,
		      const struct http_head *head)
{
	struct atom_error err = ATOM_ERROR_INIT;
	uint16_t status = head->status;

	t->lean.framing = head->framing;
	t->lean.keep_alive = head->keep_alive;
	t->lean.left = head->content_length;
	if (head->framing == HTTP_BODY_LENGTH &&
	    head->content_length > t->answer_max) {
		transfer_explain_announced(t, &err);
		end_with(t, &err);
		return;
	}
	if (!keep_head(t, head->text, head->size)) {
		lean_fail(t, ENOMEM);
		return;
	}
	(void)transfer_tell_head(t, status);
}

/* A whole head: the last, or one before it (1xx). */
static void head_is_whole(struct atom_http_transfer *t,
			  const struct http_head *head)
{
	t->head_bytes += head->size;
	if (head->status == 101)
		no_answer(t, "it switches protocols unasked");
	else if (head->status < 200)
		lean_partial_free(t);
	else
		head_came(t, head);
}

/* How many of the bytes were of the head. */
static size_t take_head(struct atom_http_transfer *t, const char *bytes,
			size_t length)
{
	struct lean_partial *partial = t->lean.partial;
	struct http_head *head = &t->client->lean.head;
	const char *text = bytes;
	size_t before = 0, total = length, size;

	if (partial != NULL) {
		before = partial->length;
		if (!partial_add(partial, bytes, length)) {
			lean_fail(t, ENOMEM);
			return length;
		}
		head = &partial->head;
		text = partial->bytes;
		total = partial->length;
	} else {
		http_head_init_response(
			head, (enum http_method)t->lean.method,
			(uint32_t)(HTTP_HEAD_MAX - t->head_bytes));
	}
	switch (http_head_parse(head, text, total)) {
	case HTTP_PARSE_REFUSED:
		refuse_head(t, head);
		return length;
	case HTTP_PARSE_MORE:
		if (partial == NULL && !partial_begin(t, head, bytes, length))
			lean_fail(t, ENOMEM);
		return length;
	case HTTP_PARSE_DONE:
		break;
	}
	size = head->size - before;
	head_is_whole(t, head);
	return size;
}

const char *lean_header(struct atom_http_transfer *t, const char *name)
{
	char *at = t->lean.head, *end = at + t->lean.head_length, *value;
	size_t length = strlen(name);

	/* Line by line; values that were asked for end in a NUL already. */
	while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL &&
	       (size_t)(end - ++at) > length) {
		if (at[length] != ':' || strncasecmp(at, name, length) != 0)
			continue;
		value = at + length + 1;
		value += strspn(value, " \t");
		at = value + strcspn(value, "\r");
		while (at > value && (at[-1] == ' ' || at[-1] == '\t'))
			at--;
		*at = '\0';
		return value;
	}
	return NULL;
}

/* --- the body ------------------------------------------------------------------- */

/* False when it has ended. */
static bool give(struct atom_http_transfer *t, const char *bytes, size_t length)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (length > t->answer_max - t->received) {
		transfer_explain_length(t, &err);
		end_with(t, &err);
		return false;
	}
	t->received += length;
	return transfer_tell_data(t, bytes, length);
}

/* What follows while the plugin has paused. */
static void hold(struct atom_http_transfer *t, const char *bytes, size_t length)
{
	t->lean.held = mem_alloc(length);
	t->lean.held_length = length;
	if (t->lean.held == NULL) {
		lean_fail(t, ENOMEM);
		return;
	}
	memcpy(t->lean.held, bytes, length);
}

/* One step of a chunked body: how many bytes of it, 0 when it has ended. */
static size_t take_chunk(struct atom_http_transfer *t, const char *bytes,
			 size_t length)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct http_text payload;
	size_t used;

	switch (http_chunked_next(&t->lean.chunked, bytes, length, &used,
				  &payload)) {
	case HTTP_PARSE_REFUSED:
		transfer_explain_cut(t, t->lean.chunked.why, &err);
		end_with(t, &err);
		return 0;
	case HTTP_PARSE_DONE:
		finish(t, length - used);
		return 0;
	case HTTP_PARSE_MORE:
		break;
	}
	return payload.len == 0 || give(t, payload.at, payload.len) ? used : 0;
}

static size_t take_run(struct atom_http_transfer *t, const char *bytes,
		       size_t length)
{
	if (t->lean.framing == HTTP_BODY_LENGTH) {
		if (length > t->lean.left)
			length = (size_t)t->lean.left;
		t->lean.left -= length;
	}
	return give(t, bytes, length) ? length : 0;
}

/* Nothing more is to come. */
static bool is_whole(const struct atom_http_transfer *t)
{
	return t->lean.framing == HTTP_BODY_NONE ||
	       (t->lean.framing == HTTP_BODY_LENGTH && t->lean.left == 0);
}

static void take_body(struct atom_http_transfer *t, const char *bytes,
		      size_t length)
{
	size_t used;

	while (!is_whole(t)) {
		if (length == 0)
			return;
		if (t->paused) {
			hold(t, bytes, length);
			return;
		}
		used = t->lean.framing == HTTP_BODY_CHUNKED
			       ? take_chunk(t, bytes, length)
			       : take_run(t, bytes, length);
		if (t->ended)
			return;
		bytes += used;
		length -= used;
	}
	finish(t, length);
}

void lean_take(struct atom_http_transfer *t, const char *bytes, size_t length)
{
	struct http_client *client = t->client;
	size_t used;

	client->inside++;
	t->last_ms = loop_now_ms(client->loop);
	while (length > 0 && t->phase < PHASE_BEGUN && !t->ended) {
		used = take_head(t, bytes, length);
		bytes += used;
		length -= used;
	}
	if (t->phase == PHASE_BEGUN && !t->ended)
		take_body(t, bytes, length);
	if (!t->ended)
		lean_watch(t);
	client->inside--;
	client_reap(client);
}

/* --- the socket -------------------------------------------------------------------- */

void lean_readable(struct atom_http_transfer *t)
{
	struct lean_pool *pool = &t->client->lean;
	ssize_t n;

	do {
		n = os.recv(t->lean.connection->fd, pool->bytes,
			    LEAN_READ_BYTES, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		lean_take(t, pool->bytes, (size_t)n);
	else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		lean_watch(t);
	else if (n == 0 && t->phase == PHASE_BEGUN &&
		 t->lean.framing == HTTP_BODY_UNTIL_CLOSE)
		finish(t, 0);
	else
		lean_fail(t, n < 0 ? errno : 0);
}
