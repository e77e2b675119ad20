/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/likeness.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/memory.h"
#include "core/text.h"

/* --- words ------------------------------------------------------------------- */

/* FNV-1a, 64 bits (Fowler, Noll, Vo): nobody gains by words that collide. */
#define HASH_FIRST UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)
/* Before the first word and behind the last. */
#define HASH_EDGE UINT64_C(0)

/* From here on a character is a word; CJK Radicals Supplement. */
#define ALONE_FROM 0x2e80

struct words {
	const unsigned char *at;
	const unsigned char *end;
};

static uint64_t mix(uint64_t hash, unsigned char byte)
{
	return (hash ^ byte) * HASH_PRIME;
}

/* Bytes of the character that stands here, 1 of what is none; *alone_r: it is
 * a word by itself. */
static size_t character(const struct words *w, bool *alone_r)
{
	size_t left = (size_t)(w->end - w->at);
	size_t n = text_utf8_length((const char *)w->at, left);
	unsigned int code = 0;

	if (n == 3)
		code = (unsigned int)(w->at[0] & 0x0f) << 12 |
		       (unsigned int)(w->at[1] & 0x3f) << 6 |
		       (unsigned int)(w->at[2] & 0x3f);
	*alone_r = n == 4 || code >= ALONE_FROM;
	return n > 0 ? n : 1;
}

static bool is_part(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

static unsigned char folded(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* The hash of the next word; false: there is none. */
static bool next_word(struct words *w, uint64_t *hash_r)
{
	uint64_t hash = HASH_FIRST;
	size_t parts = 0;

	while (w->at < w->end && !is_part(*w->at))
		w->at++;
	while (w->at < w->end && is_part(*w->at)) {
		bool alone;
		size_t n = character(w, &alone);

		if (alone && parts > 0)
			break;
		for (; n > 0; n--)
			hash = mix(hash, folded(*w->at++));
		parts++;
		if (alone)
			break;
	}
	*hash_r = hash;
	return parts > 0;
}

/* --- pairs ------------------------------------------------------------------- */

static uint64_t pair_of(uint64_t first, uint64_t second)
{
	/* The odd constant is 2^64 over the golden ratio (Knuth 6.4). */
	return first * UINT64_C(0x9e3779b97f4a7c15) ^ (second >> 31) ^ second;
}

static size_t pairs_of(const char *text, size_t length, uint64_t *pairs)
{
	struct words w = { (const unsigned char *)text,
			   (const unsigned char *)text + length };
	uint64_t before = HASH_EDGE, word;
	size_t count = 0;

	while (count < LIKENESS_WORDS_MAX && next_word(&w, &word)) {
		pairs[count++] = pair_of(before, word);
		before = word;
	}
	if (count > 0)
		pairs[count++] = pair_of(before, HASH_EDGE);
	return count;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static size_t in_common(const uint64_t *a, size_t a_count, const uint64_t *b,
			size_t b_count)
{
	size_t both = 0;

	for (size_t i = 0, k = 0; i < a_count && k < b_count;) {
		both += a[i] == b[k];
		if (a[i] == b[k]) {
			i++;
			k++;
		} else if (a[i] < b[k]) {
			i++;
		} else {
			k++;
		}
	}
	return both;
}

atom_status likeness_of_texts(const char *a, size_t a_length, const char *b,
			      size_t b_length, double *likeness_r)
{
	const size_t room = LIKENESS_WORDS_MAX + 1;
	uint64_t *pairs = mem_array(2 * room, sizeof(*pairs));
	uint64_t *others = pairs != NULL ? pairs + room : NULL;
	size_t a_count, b_count;

	if (pairs == NULL)
		return ATOM_ENOMEM;
	a_count = pairs_of(a, a_length, pairs);
	b_count = pairs_of(b, b_length, others);
	qsort(pairs, a_count, sizeof(*pairs), by_value);
	qsort(others, b_count, sizeof(*others), by_value);
	*likeness_r = a_count + b_count == 0
			      ? 1
			      : 2.0 *
					(double)in_common(pairs, a_count,
							  others, b_count) /
					(double)(a_count + b_count);
	mem_free(pairs);
	return ATOM_OK;
}

/* --- shapes ------------------------------------------------------------------ */

#define NAME_MAX_BYTES 512
/* Bytes that may be read over while members are looked for. */
#define WORK_MAX (INT64_C(4) * 1024 * 1024)

struct work {
	int64_t left;
};

static enum json_span_kind kind_of(const struct json_span *span)
{
	return span->kind == JSON_SPAN_FALSE ? JSON_SPAN_TRUE : span->kind;
}

static enum likeness_shape shapes(const struct json_span *a,
				  const struct json_span *b, struct work *work);

static size_t members_of(const struct json_span *object)
{
	struct json_iterator all = json_iterate(object);
	struct json_member member;
	size_t count = 0;

	while (json_next_member(&all, &member))
		count++;
	return count;
}

static enum likeness_shape objects(const struct json_span *a,
				   const struct json_span *b, struct work *work)
{
	struct json_iterator all = json_iterate(a);
	enum likeness_shape found = LIKENESS_SAME;
	struct json_member member;
	char name[NAME_MAX_BYTES];

	work->left -= (int64_t)(a->length + b->length);
	if (members_of(a) != members_of(b))
		return LIKENESS_DIFFERS;
	while (found == LIKENESS_SAME && json_next_member(&all, &member)) {
		struct json_span other;

		work->left -= (int64_t)b->length;
		if (work->left < 0 ||
		    !json_span_to_text(&member.name, name, sizeof(name)))
			return LIKENESS_UNKNOWN;
		other = json_span_member(b, name);
		found = shapes(&member.value, &other, work);
	}
	return found;
}

static enum likeness_shape arrays(const struct json_span *a,
				  const struct json_span *b, struct work *work)
{
	struct json_iterator of_a = json_iterate(a), of_b = json_iterate(b);
	enum likeness_shape found = LIKENESS_SAME;
	struct json_span x, y;

	work->left -= (int64_t)(a->length + b->length);
	while (found == LIKENESS_SAME && json_next_element(&of_a, &x) &&
	       json_next_element(&of_b, &y))
		found = shapes(&x, &y, work);
	return found;
}

/* As deep as a sound text is, JSON_SCAN_DEPTH_MAX. */
static enum likeness_shape shapes(const struct json_span *a,
				  const struct json_span *b, struct work *work)
{
	if (work->left < 0)
		return LIKENESS_UNKNOWN;
	if (kind_of(a) != kind_of(b))
		return LIKENESS_DIFFERS;
	if (a->kind == JSON_SPAN_OBJECT)
		return objects(a, b, work);
	if (a->kind == JSON_SPAN_ARRAY)
		return arrays(a, b, work);
	return LIKENESS_SAME;
}

enum likeness_shape likeness_of_shapes(const struct json_span *a,
				       const struct json_span *b)
{
	struct work work = { .left = WORK_MAX };

	return shapes(a, b, &work);
}
