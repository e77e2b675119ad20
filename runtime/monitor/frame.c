/* SPDX-License-Identifier: Apache-2.0 */

#include "monitor/frame.h"

#include <string.h>

#include "core/memory.h"
#include "monitor/chunk.h"

/* --- bytes --------------------------------------------------------------- */

static void put_number(struct buffer *out, uint64_t value, unsigned int bytes)
{
	char text[8];

	for (unsigned int i = 0; i < bytes; i++)
		text[i] = (char)(value >> 8 * i);
	buffer_append(out, text, bytes);
}

static void put_text(struct buffer *out, const char *text)
{
	size_t length = strlen(text);

	put_number(out, length, 2);
	buffer_append(out, text, length);
}

struct cursor {
	const char *at;
	size_t left;
	bool failed;
};

static const char *take(struct cursor *c, size_t length)
{
	const char *bytes = c->at;

	if (c->failed || length > c->left) {
		c->failed = true;
		return NULL;
	}
	c->at += length;
	c->left -= length;
	return bytes;
}

static uint64_t take_number(struct cursor *c, unsigned int bytes)
{
	const char *from = take(c, bytes);
	uint64_t value = 0;

	for (unsigned int i = 0; from && i < bytes; i++)
		value |= (uint64_t)(uint8_t)from[i] << 8 * i;
	return value;
}

/* Into `texts`, NUL-ended, of which `*used` bytes are used. */
static const char *take_text(struct cursor *c, char *texts, size_t size,
			     size_t *used)
{
	size_t length = (size_t)take_number(c, 2);
	const char *from = take(c, length);
	char *to = texts + *used;

	if (!from || length >= size - *used) {
		c->failed = true;
		return "";
	}
	memcpy(to, from, length);
	to[length] = '\0';
	*used += length + 1;
	return to;
}

/* --- state --------------------------------------------------------------- */

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

void frame_state_clear(struct frame_state *state)
{
	state->column_count = 0;
}

void frame_state_fini(struct frame_state *state)
{
	mem_free(TAKE(state->columns));
	state->column_count = state->capacity = 0;
}

/* More columns, absent until now. */
static atom_status widen(struct frame_state *state, uint32_t count)
{
	if (count > FRAME_COLUMNS_MAX)
		return ATOM_ELIMIT;
	if (count > state->capacity) {
		uint32_t capacity = count + count / 4 + 64;
		double *columns = mem_realloc(state->columns,
					      capacity * sizeof(*columns));

		if (!columns)
			return ATOM_ENOMEM;
		state->columns = columns;
		state->capacity = capacity;
	}
	while (state->column_count < count)
		state->columns[state->column_count++] = chunk_absent();
	return ATOM_OK;
}

/* --- encode -------------------------------------------------------------- */

static void put_series(struct buffer *out, const struct frame_series *s)
{
	put_number(out, (uint64_t)s->type, 1);
	put_number(out, s->flags, 1);
	put_number(out, s->width, 1);
	put_number(out, s->label_count, 1);
	put_number(out, s->bound_count, 1);
	put_text(out, s->name);
	for (size_t i = 0; i < s->label_count; i++) {
		put_text(out, s->label_names[i]);
		put_text(out, s->label_values[i]);
	}
	for (size_t i = 0; i < s->bound_count; i++)
		put_number(out, bits_of(s->bounds[i]), 8);
}

static void put_change(struct buffer *out, uint64_t changed)
{
	unsigned int high = (unsigned int)__builtin_clzll(changed) / 8;
	unsigned int low = (unsigned int)__builtin_ctzll(changed) / 8;

	put_number(out, high << 4 | low, 1);
	put_number(out, changed >> 8 * low, 8 - high - low);
}

atom_status frame_encode(struct frame_state *state, int64_t time_ms,
			 const struct frame_series *declared,
			 size_t declared_count, const double *values,
			 uint32_t column_count, struct buffer *out)
{
	atom_status status = widen(state, column_count);

	if (status)
		return status;
	put_number(out, (uint64_t)time_ms, 8);
	put_number(out, declared_count, 2);
	for (size_t i = 0; i < declared_count; i++)
		put_series(out, &declared[i]);
	put_number(out, column_count, 4);
	for (uint32_t i = 0; i < column_count; i += 8) {
		unsigned int bits = 0;

		for (uint32_t j = 0; j < 8 && i + j < column_count; j++)
			if (bits_of(values[i + j]) !=
			    bits_of(state->columns[i + j]))
				bits |= 1u << j;
		put_number(out, bits, 1);
	}
	for (uint32_t i = 0; i < column_count; i++) {
		uint64_t changed =
			bits_of(values[i]) ^ bits_of(state->columns[i]);

		if (changed != 0)
			put_change(out, changed);
		state->columns[i] = values[i];
	}
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}

/* --- decode -------------------------------------------------------------- */

static atom_status take_series(
	struct cursor *c, uint32_t *columns,
	atom_status (*declare)(void *argument, const struct frame_series *s),
	void *argument)
{
	double bounds[FRAME_BOUNDS_MAX];
	char texts[4096];
	size_t used = 0;
	struct frame_series s = { .bounds = bounds };

	s.type = (int32_t)take_number(c, 1);
	s.flags = (uint32_t)take_number(c, 1);
	s.width = (uint32_t)take_number(c, 1);
	s.label_count = (size_t)take_number(c, 1);
	s.bound_count = (size_t)take_number(c, 1);
	if (c->failed || s.type < ATOM_METRIC_COUNTER ||
	    s.type > ATOM_METRIC_HISTOGRAM || s.width == 0 ||
	    s.width > FRAME_WIDTH_MAX || s.label_count > FRAME_LABELS_MAX ||
	    s.bound_count > FRAME_BOUNDS_MAX ||
	    (s.type == ATOM_METRIC_HISTOGRAM && s.width != s.bound_count + 2))
		return ATOM_EDATALOSS;
	s.name = take_text(c, texts, sizeof(texts), &used);
	for (size_t i = 0; i < s.label_count; i++) {
		s.label_names[i] = take_text(c, texts, sizeof(texts), &used);
		s.label_values[i] = take_text(c, texts, sizeof(texts), &used);
	}
	for (size_t i = 0; i < s.bound_count; i++) {
		uint64_t bits = take_number(c, 8);

		memcpy(&bounds[i], &bits, sizeof(bits));
	}
	if (c->failed)
		return ATOM_EDATALOSS;
	*columns += s.width;
	return declare(argument, &s);
}

static atom_status take_values(struct cursor *c, struct frame_state *state)
{
	const uint32_t count = state->column_count;
	const char *changed = take(c, (count + 7) / 8);

	for (uint32_t i = 0; i < count && !c->failed; i++) {
		unsigned int zeros, high, low;
		uint64_t bits = bits_of(state->columns[i]);

		if (!((uint8_t)changed[i / 8] >> i % 8 & 1))
			continue;
		zeros = (unsigned int)take_number(c, 1);
		high = zeros >> 4;
		low = zeros & 15;
		if (high + low >= 8)
			return ATOM_EDATALOSS;
		bits ^= take_number(c, 8 - high - low) << 8 * low;
		memcpy(&state->columns[i], &bits, sizeof(bits));
	}
	return c->failed || c->left > 0 ? ATOM_EDATALOSS : ATOM_OK;
}

atom_status frame_decode(struct frame_state *state,
			 const struct atom_span *frame,
			 atom_status (*declare)(void *argument,
						const struct frame_series *s),
			 void *argument, int64_t *time_r)
{
	struct cursor c = { frame->bytes, frame->length, false };
	int64_t time_ms = (int64_t)take_number(&c, 8);
	size_t declared = (size_t)take_number(&c, 2);
	uint32_t columns = state->column_count;
	atom_status status = ATOM_OK;

	for (size_t i = 0; i < declared && status == ATOM_OK; i++)
		status = take_series(&c, &columns, declare, argument);
	if (status == ATOM_OK && take_number(&c, 4) != columns)
		status = ATOM_EDATALOSS;
	if (status == ATOM_OK)
		status = widen(state, columns);
	if (status == ATOM_OK)
		status = take_values(&c, state);
	if (status == ATOM_OK)
		*time_r = time_ms;
	return status;
}
