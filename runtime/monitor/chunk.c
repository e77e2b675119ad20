/* SPDX-License-Identifier: Apache-2.0 */

#include "monitor/chunk.h"

#include <assert.h>
#include <string.h>

#include "core/memory.h"

#define ABSENT_BITS 0x7ff0000000000002ull
#define NO_WINDOW   255
#define LENGTH_BITS 6
/* Five bits for the leading zeros: more count as this many. */
#define LEADING_BITS 5
#define LEADING_MAX  31
/* The most that one value takes: two control bits and a whole window. */
#define VALUE_BITS_MAX (2 + LEADING_BITS + LENGTH_BITS + 64)

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static double value_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

double chunk_absent(void)
{
	return value_of(ABSENT_BITS);
}

bool chunk_is_absent(double value)
{
	return bits_of(value) == ABSENT_BITS;
}

/* --- bits ---------------------------------------------------------------- */

/* The highest of `count` bits first; there is room. */
static void put(struct chunk_column *c, uint64_t value, unsigned int count)
{
	while (count > 0) {
		unsigned int free_bits = 8 - c->bit_count % 8;
		unsigned int taken = count < free_bits ? count : free_bits;
		uint8_t piece;

		assert(taken <= 8);
		piece = (uint8_t)(value >> (count - taken) &
				  ((1u << taken) - 1));
		if (free_bits == 8)
			c->bits[c->bit_count / 8] = 0;
		c->bits[c->bit_count / 8] |=
			(uint8_t)(piece << (free_bits - taken));
		c->bit_count += taken;
		count -= taken;
	}
}

static uint64_t get(const uint8_t *bits, uint32_t *at, unsigned int count)
{
	uint64_t value = 0;

	while (count > 0) {
		unsigned int left = 8 - *at % 8;
		unsigned int taken = count < left ? count : left;

		assert(taken <= 8);
		value = value << taken |
			(bits[*at / 8] >> (left - taken) & ((1u << taken) - 1));
		*at += taken;
		count -= taken;
	}
	return value;
}

static bool reserve(struct chunk_column *c, unsigned int more_bits)
{
	uint32_t needed = (c->bit_count + more_bits + 7) / 8;

	if (needed <= c->capacity)
		return true;

	uint32_t capacity = needed + needed / 2;
	uint8_t *bits = mem_realloc(c->bits, capacity);

	if (!bits)
		return false;
	c->bits = bits;
	c->capacity = capacity;
	return true;
}

/* --- values -------------------------------------------------------------- */

static void put_value(struct chunk_column *c, uint64_t value)
{
	uint64_t changed = value ^ c->last;

	c->last = value;
	if (c->rows == 0) {
		put(c, value, 64);
		return;
	}
	if (changed == 0) {
		put(c, 0, 1);
		return;
	}

	unsigned int leading = (unsigned int)__builtin_clzll(changed);
	unsigned int trailing = (unsigned int)__builtin_ctzll(changed);

	if (leading > LEADING_MAX)
		leading = LEADING_MAX;
	if (c->leading != NO_WINDOW && leading >= c->leading &&
	    trailing >= c->trailing) {
		put(c, 2, 2);
		put(c, changed >> c->trailing, 64u - c->leading - c->trailing);
		return;
	}
	c->leading = (uint8_t)leading;
	c->trailing = (uint8_t)trailing;
	put(c, 3, 2);
	put(c, leading, LEADING_BITS);
	put(c, 64 - leading - trailing - 1, LENGTH_BITS);
	put(c, changed >> trailing, 64 - leading - trailing);
}

static struct chunk_column *column_at(struct chunk *chunk, size_t number,
				      unsigned int row)
{
	struct chunk_column *columns;

	if (number < chunk->column_count)
		return &chunk->columns[number];
	columns = mem_realloc(chunk->columns, (number + 1) * sizeof(*columns));
	if (!columns)
		return NULL;
	chunk->columns = columns;
	for (size_t i = chunk->column_count; i <= number; i++)
		columns[i] = (struct chunk_column){
			.leading = NO_WINDOW,
			.first_row = (uint8_t)row,
		};
	chunk->column_count = number + 1;
	return &columns[number];
}

atom_status chunk_set(struct chunk *chunk, size_t column, unsigned int row,
		      double value)
{
	struct chunk_column *c = column_at(chunk, column, row);

	assert(row < chunk->rows && !chunk->packed);
	if (!c || !reserve(c, (unsigned int)(CHUNK_ROWS + VALUE_BITS_MAX)))
		return ATOM_ENOMEM;
	if (c->rows == 0)
		c->first_row = (uint8_t)row;
	assert(c->first_row + c->rows <= row);
	while (c->first_row + c->rows < row) {
		if (!reserve(c, 2 * VALUE_BITS_MAX))
			return ATOM_ENOMEM;
		put_value(c, ABSENT_BITS);
		c->rows++;
	}
	put_value(c, bits_of(value));
	c->rows++;
	return ATOM_OK;
}

void chunk_column_values(const struct chunk *chunk, size_t column,
			 double values_r[CHUNK_ROWS])
{
	const struct chunk_column *c;
	unsigned int leading = 0, length = 64, row = 0;
	uint64_t value = 0;
	uint32_t at = 0;

	for (unsigned int i = 0; i < CHUNK_ROWS; i++)
		values_r[i] = chunk_absent();
	if (column >= chunk->column_count)
		return;
	c = &chunk->columns[column];
	for (row = 0; row < c->rows; row++) {
		if (row == 0) {
			value = get(c->bits, &at, 64);
		} else if (get(c->bits, &at, 1)) {
			if (get(c->bits, &at, 1)) {
				leading = (unsigned int)get(c->bits, &at,
							    LEADING_BITS);
				length = (unsigned int)get(c->bits, &at,
							   LENGTH_BITS) +
					 1;
			}
			value ^= get(c->bits, &at, length)
				 << (64 - leading - length);
		}
		values_r[c->first_row + row] = value_of(value);
	}
}

/* --- life ---------------------------------------------------------------- */

struct chunk *chunk_new(void)
{
	return mem_zalloc(sizeof(struct chunk));
}

void chunk_free(struct chunk **chunk)
{
	struct chunk *c = TAKE(*chunk);

	if (!c)
		return;
	for (size_t i = 0; i < c->column_count; i++)
		if (c->columns[i].capacity > 0)
			mem_free(c->columns[i].bits);
	mem_free(c->columns);
	mem_free(c->packed);
	mem_free(c);
}

void chunk_add_row(struct chunk *chunk, int64_t time_ms)
{
	assert(chunk->rows < CHUNK_ROWS);
	chunk->times_ms[chunk->rows++] = time_ms;
}

void chunk_pack(struct chunk *chunk)
{
	size_t length = 0;
	uint8_t *to;

	for (size_t i = 0; i < chunk->column_count; i++)
		length += (chunk->columns[i].bit_count + 7) / 8;
	if (length == 0 || chunk->packed)
		return;
	/* Without memory it stays as it is, only larger. */
	chunk->packed = to = mem_alloc(length);
	for (size_t i = 0; to && i < chunk->column_count; i++) {
		struct chunk_column *c = &chunk->columns[i];
		size_t bytes = (c->bit_count + 7) / 8;

		if (bytes == 0)
			continue;
		memcpy(to, c->bits, bytes);
		mem_free(c->bits);
		c->bits = to;
		c->capacity = 0;
		to += bytes;
	}
}

size_t chunk_bytes(const struct chunk *chunk)
{
	size_t bytes =
		sizeof(*chunk) + chunk->column_count * sizeof(*chunk->columns);

	for (size_t i = 0; i < chunk->column_count; i++)
		bytes += chunk->columns[i].capacity > 0
				 ? chunk->columns[i].capacity
				 : (chunk->columns[i].bit_count + 7) / 8;
	return bytes;
}
