/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_SIZE ((size_t)4096)

void check_fini(struct check *c)
{
	bytes_fini(&c->kept);
}

void check_begin(struct check *c, struct check_rules *rules,
		 const struct answer *answer)
{
	c->rules = rules;
	c->answer = *answer;
	bytes_clear(&c->kept, KEEP_SIZE);
	c->events = 0;
	c->said = 0;
	c->done = false;
	c->wrong = NULL;
}

static bool fail(struct check *c, const char *wrong)
{
	if (c->wrong == NULL)
		c->wrong = wrong;
	return false;
}

/* Room to say what should have come. */
static char *scratch(size_t size)
{
	static char *room;
	static size_t capacity;

	if (size > capacity) {
		free(room);
		room = malloc(size);
		capacity = size;
		if (room == NULL) {
			fprintf(stderr, "no memory for an answer\n");
			exit(1);
		}
	}
	return room;
}

/* The inside of the first "content" string. */
static const char *content(const char *json, size_t length, size_t *length_r)
{
	static const char name[] = "\"content\":\"";
	const char *at = memmem(json, length, name, sizeof(name) - 1), *end;

	if (at == NULL)
		return NULL;
	at += sizeof(name) - 1;
	end = memchr(at, '"', length - (size_t)(at - json));
	*length_r = end != NULL ? (size_t)(end - at) : 0;
	return end != NULL ? at : NULL;
}

/* --- streams -------------------------------------------------------------- */

static bool event_of_mock(struct check *c, const char *event, size_t length)
{
	char *expected = scratch(answer_bound(&c->answer));
	uint64_t stamp = 0, now = c->rules->now_ns;
	size_t expected_length;

	if (c->events >= answer_event_count(&c->answer))
		return fail(c, "more events than the model sent");
	if (answer_event_has_text(&c->answer, c->events)) {
		if (!answer_event_stamp(event, length, &stamp))
			return fail(c, "an event without its time");
		histogram_add(&c->rules->delays, now > stamp ? now - stamp : 0);
	}
	expected_length = answer_event(&c->answer, c->events, stamp, expected);
	c->done = c->events + 1 == answer_event_count(&c->answer);
	if (expected_length != length || memcmp(expected, event, length) != 0)
		return fail(c, "an event that the model did not send");
	return true;
}

static bool event_of_echo(struct check *c, const char *event, size_t length)
{
	static const char last[] = "data: [DONE]\n\n";
	const struct check_rules *rules = c->rules;
	size_t said;
	const char *text = content(event, length, &said);

	if (c->done)
		return fail(c, "an event after [DONE]");
	if (length == sizeof(last) - 1 && memcmp(event, last, length) == 0) {
		c->done = true;
		return true;
	}
	if (text == NULL)
		return true;
	if (said > rules->text_length - c->said ||
	    memcmp(text, rules->text + c->said, said) != 0)
		return fail(c, "text that was not said");
	c->said += said;
	return true;
}

static bool take_event(struct check *c, const char *event, size_t length)
{
	bool right;

	if (event[0] == ':') /* a proxy's heartbeat */
		return true;
	right = c->rules->kind == CHECK_MOCK ? event_of_mock(c, event, length)
					     : event_of_echo(c, event, length);
	c->events++;
	c->rules->events++;
	return right;
}

static const char *event_end(const char *bytes, size_t length)
{
	const char *end = memmem(bytes, length, "\n\n", 2);

	return end != NULL ? end + 2 : NULL;
}

/* An event that came in parts is put together; the others are not moved. */
static bool take_stream(struct check *c, const char *bytes, size_t length)
{
	const char *end;

	while (bytes_left(&c->kept) > 0 && length > 0) {
		size_t before = bytes_left(&c->kept);
		size_t part;
		bool right;

		if (bytes_front(&c->kept)[before - 1] == '\n' &&
		    bytes[0] == '\n')
			end = bytes + 1;
		else
			end = event_end(bytes, length);
		part = end != NULL ? (size_t)(end - bytes) : length;
		if (!bytes_add(&c->kept, bytes, part))
			return fail(c, "an event without end");
		bytes += part;
		length -= part;
		if (end == NULL)
			return true;
		right = take_event(c, bytes_front(&c->kept),
				   bytes_left(&c->kept));
		bytes_clear(&c->kept, KEEP_SIZE);
		if (!right)
			return false;
	}
	while (length > 0 && (end = event_end(bytes, length)) != NULL) {
		if (!take_event(c, bytes, (size_t)(end - bytes)))
			return false;
		length -= (size_t)(end - bytes);
		bytes = end;
	}
	if (length > 0 && !bytes_add(&c->kept, bytes, length))
		return fail(c, "an event without end");
	return true;
}

/* --- whole answers -------------------------------------------------------- */

static bool whole_of_mock(struct check *c)
{
	char *expected = scratch(answer_bound(&c->answer));
	size_t length = answer_whole(&c->answer, expected);

	if (bytes_left(&c->kept) != length ||
	    memcmp(bytes_front(&c->kept), expected, length) != 0)
		return fail(c, "an answer that the model did not give");
	return true;
}

static bool whole_of_echo(struct check *c)
{
	size_t said;
	const char *text =
		content(bytes_front(&c->kept), bytes_left(&c->kept), &said);

	if (text == NULL || said != c->rules->text_length ||
	    memcmp(text, c->rules->text, said) != 0)
		return fail(c, "text that was not said");
	return true;
}

bool check_body(struct check *c, const char *bytes, size_t length)
{
	if (c->answer.shape.events > 0)
		return take_stream(c, bytes, length);
	return bytes_add(&c->kept, bytes, length) ||
	       fail(c, "an answer without end");
}

bool check_end(struct check *c)
{
	if (c->wrong != NULL)
		return false;
	if (c->answer.shape.events > 0) {
		if (!c->done || bytes_left(&c->kept) > 0)
			return fail(c, "a stream that ended early");
		if (c->rules->kind == CHECK_ECHO &&
		    c->said != c->rules->text_length)
			return fail(c, "a stream that lost text");
		return true;
	}
	if (bytes_left(&c->kept) == 0)
		return fail(c, "an empty answer");
	return c->rules->kind == CHECK_MOCK ? whole_of_mock(c)
					    : whole_of_echo(c);
}
