/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metric history packs samples into: chunks in memory, frames on the
 * disk.
 */
#include <criterion/criterion.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "core/metric.h"
#include "monitor/chunk.h"
#include "monitor/frame.h"

Test(history_packing, any_values_come_back_from_a_chunk_bit_by_bit)
{
	static const double odd[] = { 0,     1,	      1,     -1,   0.1,
				      1e300, -1e-300, 1e300, 12,   12,
				      13,    1 << 30, 7,     0.30, 0.31 };
	struct chunk *chunk = chunk_new();
	double values[CHUNK_ROWS];
	unsigned int seed = 7;
	double all[20][CHUNK_ROWS];

	cr_assert(chunk);
	for (unsigned int row = 0; row < CHUNK_ROWS; row++) {
		chunk_add_row(chunk, row);
		for (size_t c = 0; c < 20; c++) {
			uint64_t bits = 0;

			all[c][row] = c < 5 ? odd[(row + c) % ARRAY_SIZE(odd)]
				      : c < 10 ? row * (double)c
					       : 0;
			for (int i = 0; c >= 10 && i < 4; i++)
				bits = bits << 16 |
				       ((uint64_t)rand_r(&seed) & 0xffff);
			if (c >= 10)
				memcpy(&all[c][row], &bits, 8);
			/* Some begin late, some have holes. */
			if (row < c || (c % 3 == 0 && row % 5 == 0)) {
				all[c][row] = chunk_absent();
				continue;
			}
			cr_assert_eq(chunk_set(chunk, c, row, all[c][row]),
				     ATOM_OK);
		}
	}
	for (int packed = 0; packed < 2; packed++) {
		for (size_t c = 0; c < 20; c++) {
			chunk_column_values(chunk, c, values);
			cr_assert_eq(memcmp(values, all[c], sizeof(values)), 0,
				     "column %zu", c);
		}
		chunk_pack(chunk);
	}
	chunk_column_values(chunk, 20, values);
	cr_assert(chunk_is_absent(values[0]));
	chunk_free(&chunk);
}

/* A value that stays: one bit. */
Test(history_packing, what_does_not_move_takes_a_bit)
{
	struct chunk *chunk = chunk_new();
	size_t before = sizeof(*chunk) + sizeof(*chunk->columns);

	for (unsigned int row = 0; row < CHUNK_ROWS; row++) {
		chunk_add_row(chunk, row);
		cr_assert_eq(chunk_set(chunk, 0, row, 42.5), ATOM_OK);
	}
	chunk_pack(chunk);
	cr_assert_eq(chunk_bytes(chunk) - before,
		     (64 + CHUNK_ROWS - 1 + 7) / 8);
	chunk_free(&chunk);
}

static atom_status nothing(void *argument, const struct frame_series *s)
{
	(void)argument;
	return s->width > 0 ? ATOM_OK : ATOM_EDATALOSS;
}

/* Every cut and every flipped bit of a frame is refused or read within its
 * bounds (the sanitizers watch). */
Test(history_packing, a_frame_that_is_damaged_is_no_crash)
{
	const double bounds[] = { 1, 5 };
	const double values[] = { 1, 2, 3, 4, 5.5 };
	const struct frame_series is[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .width = 1,
		  .name = "a_total",
		  .label_count = 1,
		  .label_names = { "agent" },
		  .label_values = { "x" } },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .width = 4,
		  .name = "h",
		  .bound_count = 2,
		  .bounds = bounds },
	};
	struct buffer out = BUFFER_INIT(4096);
	struct frame_state state = { 0 };
	int64_t time_ms = 0;

	cr_assert_eq(frame_encode(&state, 77, is, 2, values, 5, &out), ATOM_OK);
	frame_state_fini(&state);
	for (size_t length = 0; length <= out.length; length++) {
		const struct atom_span cut = { out.bytes, length };

		cr_assert_eq(frame_decode(&state, &cut, nothing, NULL,
					  &time_ms) == ATOM_OK,
			     length == out.length);
		frame_state_fini(&state);
	}
	cr_assert_eq(time_ms, 77);
	for (size_t bit = 0; bit < out.length * 8; bit++) {
		const struct atom_span frame = { out.bytes, out.length };

		out.bytes[bit / 8] ^= (char)(1 << bit % 8);
		(void)frame_decode(&state, &frame, nothing, NULL, &time_ms);
		frame_state_fini(&state);
		out.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	buffer_fini(&out);
}
