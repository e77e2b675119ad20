/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_SIZE ((size_t)1 << 16)

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* --- small texts ---------------------------------------------------------- */

static char *put(char *out, const char *text)
{
	size_t length = strlen(text);

	memcpy(out, text, length);
	return out + length;
}

static char *put_hex(char *out, uint64_t value)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		*out++ = "0123456789abcdef"[value >> shift & 15];
	return out;
}

static char *put_number(char *out, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	while (n > 0)
		*out++ = digits[--n];
	return out;
}

static bool hex(const char *from, uint64_t *value_r)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		char c = from[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*value_r = value;
	return true;
}

/* Letters that mean nothing, the same in every process. */
static const char *letters(void)
{
	static char text[TEXT_SIZE];
	uint64_t x = 0x9e3779b97f4a7c15u;

	if (text[0] != '\0')
		return text;
	for (size_t i = 0; i < TEXT_SIZE; i++) {
		/* xorshift64, Marsaglia 2003 */
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "0123456789. "[x >> 32 & 63];
	}
	return text;
}

/* `length` letters of an endless text, from a place that the checksum and
 * the piece's number choose. */
static char *put_text(char *out, uint64_t checksum, uint64_t piece,
		      size_t length)
{
	const char *text = letters();
	size_t at = (size_t)(checksum + piece * 4099) % TEXT_SIZE;

	while (length > 0) {
		size_t part = TEXT_SIZE - at < length ? TEXT_SIZE - at : length;

		memcpy(out, text + at, part);
		out += part;
		length -= part;
		at = 0;
	}
	return out;
}

/* --- questions ------------------------------------------------------------ */

static const char before_text[] = "\"content\":\"";

char *question_new(const struct shape *shape, size_t size, size_t *length_r,
		   size_t *number_at_r)
{
	static const char tail[] = "\"}]}";
	char head[512];
	int length = snprintf(
		head, sizeof(head),
		"{\"model\":\"" ANSWER_MODEL "\",%s\"max_tokens\":1000000,"
		"\"messages\":[{\"role\":\"user\",%sbench %016x "
		"size=%08u events=%08u interval_us=%08u ",
		shape->events > 0
			? "\"stream\":true,"
			  "\"stream_options\":{\"include_usage\":true},"
			: "",
		before_text, 0, shape->size, shape->events, shape->interval_us);
	size_t used = (size_t)length;
	char *body;

	if (length < 0 || used + sizeof(tail) > size)
		return NULL;
	body = malloc(size + 1);
	if (body == NULL)
		return NULL;
	memcpy(body, head, used);
	/* Words of seven letters: what counts tokens meets no monster. */
	for (size_t i = 0; used < size - (sizeof(tail) - 1); i++)
		body[used++] = i % 8 == 7 ? ' ' : (char)('a' + i % 26);
	memcpy(body + used, tail, sizeof(tail));
	*length_r = size;
	*number_at_r = (size_t)(strstr(body, before_text) - body) +
		       sizeof(before_text) - 1 + strlen("bench ");
	return body;
}

void question_number(char *digits, uint64_t number)
{
	put_hex(digits, number);
}

/* The array of messages, brackets included. */
static const char *messages(const char *body, size_t length, size_t *length_r)
{
	static const char name[] = "\"messages\":[";
	const char *at = memmem(body, length, name, sizeof(name) - 1);
	const char *end;

	if (at == NULL)
		return NULL;
	at += sizeof(name) - 2;
	end = memchr(at, ']', length - (size_t)(at - body));
	if (end == NULL)
		return NULL;
	*length_r = (size_t)(end - at) + 1;
	return at;
}

const char *question_text(const char *body, size_t length, size_t *length_r)
{
	size_t within;
	const char *at = messages(body, length, &within), *end;

	if (at == NULL)
		return NULL;
	end = at + within;
	at = memmem(at, within, before_text, sizeof(before_text) - 1);
	if (at == NULL)
		return NULL;
	at += sizeof(before_text) - 1;
	end = memchr(at, '"', (size_t)(end - at));
	if (end == NULL)
		return NULL;
	*length_r = (size_t)(end - at);
	return at;
}

/* Eight bytes at a time: a megabyte must not cost more than its transport. */
static uint64_t checksum(const char *bytes, size_t length)
{
	uint64_t sum = 0xcbf29ce484222325u ^ length, word;

	while (length > 0) {
		size_t part = length < 8 ? length : 8;

		word = 0;
		memcpy(&word, bytes, part);
		sum = (sum ^ word) * 0x9fb21c651e98df25u;
		sum ^= sum >> 29;
		bytes += part;
		length -= part;
	}
	return sum;
}

static bool read_count(const char **at, const char *end, const char *name,
		       uint32_t *value_r)
{
	size_t length = strlen(name);
	uint32_t value = 0;

	if ((size_t)(end - *at) < length + 8 || memcmp(*at, name, length) != 0)
		return false;
	*at += length;
	for (int i = 0; i < 8; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return false;
		value = value * 10 + (uint32_t)(**at - '0');
	}
	*value_r = value;
	return true;
}

bool question_read(const char *body, size_t length, struct answer *answer_r)
{
	size_t within;
	const char *at = messages(body, length, &within), *end;
	struct answer a;

	if (at == NULL)
		return false;
	a.checksum = checksum(at, within);
	at = question_text(body, length, &within);
	if (at == NULL || within < strlen("bench ") + ANSWER_NUMBER)
		return false;
	end = at + within;
	at += strlen("bench ") + ANSWER_NUMBER;
	if (!read_count(&at, end, " size=", &a.shape.size) ||
	    !read_count(&at, end, " events=", &a.shape.events) ||
	    !read_count(&at, end, " interval_us=", &a.shape.interval_us) ||
	    a.shape.size > ANSWER_SIZE_MAX || a.shape.size < ANSWER_STAMP)
		return false;
	*answer_r = a;
	return true;
}

/* --- answers -------------------------------------------------------------- */

size_t answer_bound(const struct answer *a)
{
	return ANSWER_FRAME_MAX + a->shape.size;
}

static char *put_head(char *out, const struct answer *a, const char *object)
{
	out = put(out, "{\"id\":\"chatcmpl-");
	out = put_hex(out, a->checksum);
	out = put(out, "\",\"object\":\"");
	out = put(out, object);
	return put(out, "\",\"created\":1700000000,\"model\":\"" ANSWER_MODEL
			"\",\"choices\":[");
}

static char *put_usage(char *out, const struct answer *a)
{
	uint64_t asked = a->checksum % 1000 + 1;
	uint64_t said = a->shape.size / 4 + a->shape.events;

	out = put(out, "],\"usage\":{\"prompt_tokens\":");
	out = put_number(out, asked);
	out = put(out, ",\"completion_tokens\":");
	out = put_number(out, said);
	out = put(out, ",\"total_tokens\":");
	out = put_number(out, asked + said);
	return put(out, "}}");
}

size_t answer_whole(const struct answer *a, char *out)
{
	char *at = put_head(out, a, "chat.completion");

	at = put(at, "{\"index\":0,\"message\":{\"role\":\"assistant\","
		     "\"content\":\"");
	at = put_text(at, a->checksum, 0, a->shape.size);
	at = put(at, "\",\"refusal\":null},\"logprobs\":null,"
		     "\"finish_reason\":\"stop\"}");
	at = put_usage(at, a);
	return (size_t)(at - out);
}

static const char before_piece[] = "{\"index\":0,\"delta\":{\"content\":\"";

size_t answer_event(const struct answer *a, uint32_t number, uint64_t stamp,
		    char *out)
{
	uint32_t last = answer_event_count(a) - 1;
	char *at = put(out, "data: ");

	if (number == last) {
		at = put(at, "[DONE]\n\n");
		return (size_t)(at - out);
	}
	at = put_head(at, a, "chat.completion.chunk");
	if (number == 0) {
		at = put(at, "{\"index\":0,\"delta\":{\"role\":\"assistant\","
			     "\"content\":\"\"},\"logprobs\":null,"
			     "\"finish_reason\":null}]}\n\n");
	} else if (answer_event_has_text(a, number)) {
		at = put(at, before_piece);
		at = put_hex(at, stamp);
		at = put_text(at, a->checksum, number,
			      a->shape.size - ANSWER_STAMP);
		at = put(at, "\"},\"logprobs\":null,"
			     "\"finish_reason\":null}]}\n\n");
	} else if (number == last - 2) {
		at = put(at, "{\"index\":0,\"delta\":{},\"logprobs\":null,"
			     "\"finish_reason\":\"stop\"}]}\n\n");
	} else {
		at = put(put_usage(at, a), "\n\n");
	}
	return (size_t)(at - out);
}

bool answer_event_stamp(const char *event, size_t length, uint64_t *stamp_r)
{
	const char *at =
		memmem(event, length, before_piece, sizeof(before_piece) - 1);

	if (at == NULL)
		return false;
	at += sizeof(before_piece) - 1;
	return length - (size_t)(at - event) >= ANSWER_STAMP &&
	       hex(at, stamp_r);
}
