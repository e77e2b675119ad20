/* SPDX-License-Identifier: Apache-2.0 */
#include <atomd/backend.h>

#include <stdlib.h>
#include <string.h>

/*
 * Answers with what was asked: for the quickstart, tests and measurements.
 * The answer is `prefix` and the last user text, `repeat` times, in chunks of
 * a word (or `chunk_bytes`), cut after max_tokens words.  Shared style: it
 * works on the loop that has the call; with a delay it waits on a timer.
 */

struct echo_options {
	int64_t repeat;
	const char *prefix;
	int64_t delay_ms;
	int64_t chunk_delay_ms;
	int64_t chunk_bytes;
};

static const struct atom_option echo_options[] = {
	ATOM_OPTION_INT(struct echo_options, repeat, "1", 1, 100000, 0,
			"times to say it"),
	ATOM_OPTION_STRING(struct echo_options, prefix, "", 0,
			   "said before each"),
	ATOM_OPTION_DURATION(struct echo_options, delay_ms, "0", 0, 86400000, 0,
			     "wait before the answer"),
	ATOM_OPTION_DURATION(struct echo_options, chunk_delay_ms, "0", 0,
			     86400000, 0, "wait between chunks"),
	ATOM_OPTION_SIZE(struct echo_options, chunk_bytes, "0", 0, 1048576, 0,
			 "size of a chunk; 0 = a word"),
};

#define INPUT_MAX ((size_t)8 * 1024 * 1024)

struct echo {
	const struct atom_host *host;
	const struct atom_backend_host *backend;
	const struct atom_timer *timer;
	const struct echo_options *options;
};

/* One answer under way, of calls that need more than one step. */
struct answer {
	struct echo *echo;
	struct atom_timer_handle *timer;
	struct answer *next;
	atom_call call;
	char *text; /* prefix and input, said `left` times more */
	size_t length;
	size_t at;
	int64_t left;
	int64_t words;
	int64_t words_max; /* 0 = no limit */
	int64_t input_words;
	int waiting; /* for resume */
};

static _Thread_local struct answer *answers; /* of this loop, all of echo's */

static atom_status echo_create(const struct atom_host *host,
			       const void *options, void **self_r,
			       struct atom_error *err)
{
	struct echo *echo = calloc(1, sizeof(*echo));

	if (echo == NULL)
		return atom_fail(err, ATOM_ENOMEM, "echo: no memory");
	echo->host = host;
	echo->backend = atom_service(host, ATOM_BACKEND_HOST);
	echo->timer = atom_service(host, ATOM_TIMER);
	echo->options = options;
	if (echo->backend == NULL || echo->timer == NULL) {
		free(echo);
		return atom_fail(err, ATOM_ENOTSUP,
				 "echo: this host has no " ATOM_BACKEND_HOST
				 " or no " ATOM_TIMER);
	}
	*self_r = echo;
	return ATOM_OK;
}

static void echo_destroy(void *self)
{
	free(self);
}

/* Undoes JSON's escapes of the string at `json`, appended to `out`, which
 * has room for as many bytes; anything but a string is taken as it is. */
static size_t unescape(const struct atom_span *json, char *out)
{
	const char *in = json->bytes, *end = in + json->length;
	size_t n = 0;

	if (json->length < 2 || in[0] != '"') {
		memcpy(out, in, json->length);
		return json->length;
	}
	for (in++, end--; in < end; in++) {
		static const char from[] = "\"\\/bfnrt",
				  to[] = "\"\\/\b\f\n\r\t";
		const char *plain;
		unsigned long code;
		char hex[5] = "";

		if (*in != '\\' || in + 1 >= end) {
			out[n++] = *in;
			continue;
		}
		in++;
		plain = memchr(from, *in, sizeof(from) - 1);
		if (plain != NULL) {
			out[n++] = to[plain - from];
			continue;
		}
		if (*in != 'u' || end - in < 5)
			continue;
		memcpy(hex, in + 1, 4);
		code = strtoul(hex, NULL, 16);
		in += 4;
		if (code >= 0xd800 && code < 0xdc00 && end - in > 6) {
			memcpy(hex, in + 3, 4);
			code = 0x10000 + ((code - 0xd800) << 10) +
			       (strtoul(hex, NULL, 16) - 0xdc00);
			in += 6;
			out[n++] = (char)(0xf0 | code >> 18);
			out[n++] = (char)(0x80 | (code >> 12 & 0x3f));
			out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
			out[n++] = (char)(0x80 | (code & 0x3f));
		} else if (code < 0x80) {
			out[n++] = (char)code;
		} else if (code < 0x800) {
			out[n++] = (char)(0xc0 | code >> 6);
			out[n++] = (char)(0x80 | (code & 0x3f));
		} else {
			out[n++] = (char)(0xe0 | code >> 12);
			out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
			out[n++] = (char)(0x80 | (code & 0x3f));
		}
	}
	return n;
}

static int64_t count_words(const char *text, size_t length)
{
	int64_t words = 0;
	int inside = 0;

	for (size_t i = 0; i < length; i++) {
		int space = text[i] == ' ' || text[i] == '\n' ||
			    text[i] == '\t' || text[i] == '\r';

		words += !space && !inside;
		inside = !space;
	}
	return words;
}

/* The end of the JSON string that begins at `at`. */
static const char *string_end(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		at += *at == '\\' && at + 1 < end;
	return at;
}

/* Words of all texts that stand at "content" in the messages. */
static int64_t count_content_words(const struct atom_span *messages)
{
	static const char name[] = "\"content\"";
	const char *at = messages->bytes, *end = at + messages->length;
	int64_t words = 0;

	while (at < end) {
		const char *begin = at;

		if (*at++ != '"')
			continue;
		at = string_end(begin, end) + 1;
		if ((size_t)(at - begin) != sizeof(name) - 1 ||
		    memcmp(begin, name, sizeof(name) - 1) != 0)
			continue;
		while (at < end && (*at == ' ' || *at == ':'))
			at++;
		if (at >= end || *at != '"')
			continue;
		begin = at + 1;
		at = string_end(at, end);
		words += count_words(begin, (size_t)(at - begin));
		at++;
	}
	return words;
}

/* The next chunk: blanks and the word after them, or chunk_bytes that do not
 * cut a character. */
static size_t next_chunk(const struct answer *a)
{
	size_t left = a->length - a->at, n = 0;
	const char *text = a->text + a->at;

	if (a->echo->options->chunk_bytes > 0) {
		n = (size_t)a->echo->options->chunk_bytes;
		if (n >= left)
			return left;
		while (n < left && ((unsigned char)text[n] & 0xc0) == 0x80)
			n++;
		return n;
	}
	while (n < left && (unsigned char)text[n] <= ' ')
		n++;
	while (n < left && (unsigned char)text[n] > ' ')
		n++;
	return n;
}

static void answer_free(struct answer *a)
{
	struct answer **link = &answers;

	while (*link != NULL && *link != a)
		link = &(*link)->next;
	if (*link == a)
		*link = a->next;
	if (a->timer != NULL)
		a->echo->timer->free(&a->timer);
	free(a->text);
	free(a);
}

static void answer_end(struct answer *a, atom_status status, int cut)
{
	struct echo *echo = a->echo;
	atom_call call = a->call;
	struct atom_usage usage = {
		.struct_size = sizeof(usage),
		.finish_reason = cut ? ATOM_FINISH_LENGTH : ATOM_FINISH_STOP,
		.input_tokens = a->input_words,
		.output_tokens = a->words,
	};
	struct atom_error err = ATOM_ERROR_INIT;

	answer_free(a);
	echo->backend->usage(echo->host, call, &usage);
	if (status != ATOM_OK)
		atom_fail(&err, status, "echo: cancelled");
	echo->backend->finish(echo->host, call, status, &err);
}

/* Says chunks until the client is slow, a delay is due, or it is done. */
static void answer_go_on(struct answer *a)
{
	struct echo *echo = a->echo;
	int64_t pause_ms = echo->options->chunk_delay_ms;

	a->waiting = 0;
	while (a->left > 0) {
		size_t n = next_chunk(a);
		int64_t words = count_words(a->text + a->at, n);
		atom_status status;

		if (a->words_max > 0 && a->words + words > a->words_max) {
			answer_end(a, ATOM_OK, 1);
			return;
		}
		status =
			echo->backend->emit(echo->host, a->call, ATOM_EMIT_TEXT,
					    a->text + a->at, n);
		if (status != ATOM_OK && status != ATOM_EBUSY) {
			answer_end(a, ATOM_ECANCELED, 0);
			return;
		}
		a->words += words;
		a->at += n;
		if (a->at >= a->length) {
			a->at = 0;
			a->left--;
		}
		if (status == ATOM_EBUSY) {
			a->waiting = 1;
			return;
		}
		if (pause_ms > 0 && a->left > 0) {
			echo->timer->set(a->timer, pause_ms, 0);
			return;
		}
	}
	answer_end(a, ATOM_OK, 0);
}

static void on_timer(void *argument)
{
	answer_go_on(argument);
}

static struct answer *find(atom_call call)
{
	struct answer *a = answers;

	while (a != NULL && a->call != call)
		a = a->next;
	return a;
}

static atom_status echo_invoke(void *self, void *unit, atom_call call,
			       struct atom_error *err)
{
	struct echo *echo = self;
	const struct echo_options *o = echo->options;
	const struct atom_call_request *request =
		echo->backend->request(echo->host, call);
	size_t prefix = strlen(o->prefix);
	struct answer *a;

	(void)unit;
	if (request->input.length > INPUT_MAX) {
		atom_fail(err, ATOM_ELIMIT,
			  "echo: the input is longer than %zu bytes",
			  INPUT_MAX);
		(void)snprintf(err->code, sizeof(err->code), "too_large");
		return ATOM_ELIMIT;
	}
	a = calloc(1, sizeof(*a));
	if (a != NULL)
		a->text = malloc(prefix + request->input.length + 1);
	if (a == NULL || a->text == NULL) {
		free(a);
		return atom_fail(err, ATOM_ENOMEM, "echo: no memory");
	}
	a->echo = echo;
	a->call = call;
	memcpy(a->text, o->prefix, prefix);
	a->length = prefix + unescape(&request->input, a->text + prefix);
	a->left = a->length > 0 ? o->repeat : 0;
	a->words_max = request->max_tokens;
	a->input_words = count_content_words(&request->messages);
	a->next = answers;
	answers = a;
	if (o->delay_ms > 0 || o->chunk_delay_ms > 0) {
		atom_status status = echo->timer->create(echo->host, on_timer,
							 a, &a->timer, err);

		if (status != ATOM_OK) {
			answer_free(a);
			return status;
		}
	}
	if (o->delay_ms > 0)
		echo->timer->set(a->timer, o->delay_ms, 0);
	else
		answer_go_on(a);
	return ATOM_OK;
}

static void echo_cancel(void *self, void *unit, atom_call call, int32_t why)
{
	struct answer *a = find(call);

	(void)self;
	(void)unit;
	(void)why;
	if (a != NULL)
		answer_end(a, ATOM_ECANCELED, 0);
}

static void echo_resume(void *self, void *unit, atom_call call)
{
	struct answer *a = find(call);

	(void)self;
	(void)unit;
	if (a != NULL && a->waiting)
		answer_go_on(a);
}

static const struct atom_backend_ops echo_ops = {
	.struct_size = sizeof(echo_ops),
	.flags = ATOM_BACKEND_SHARED,
	.create = echo_create,
	.destroy = echo_destroy,
	.invoke = echo_invoke,
	.cancel = echo_cancel,
	.resume = echo_resume,
};

ATOM_PLUGIN("echo", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_BACKEND, "echo",
			   "answers with what was asked", &echo_ops,
			   echo_options, struct echo_options));
