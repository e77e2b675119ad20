/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_CHUNK_H
#define MONITOR_CHUNK_H

/*
 * A run of at most CHUNK_ROWS samples of many series in memory: the times
 * once, for all are sampled together, and each series' values behind one
 * another as Gorilla packs them (Pelkonen et al., "Gorilla: A Fast, Scalable,
 * In-Memory Time Series Database", VLDB 2015, section 4.1.2: the XOR with the
 * value before, without the zeros around it).  A value that stays costs one
 * bit.
 *
 * A column begins at any row, and a row that it has no value for holds
 * CHUNK_ABSENT.  Owned by one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#define CHUNK_ROWS 80

struct chunk_column {
	uint8_t *bits;
	uint64_t last;
	uint32_t bit_count;
	uint32_t capacity; /* bytes; 0: they are the chunk's `packed` */
	uint8_t leading;   /* of the window in force; 255 = none yet */
	uint8_t trailing;
	uint8_t first_row;
	uint8_t rows;
};

struct chunk {
	int64_t times_ms[CHUNK_ROWS];
	unsigned int rows;
	struct chunk_column *columns;
	size_t column_count;
	uint8_t *packed;
};

struct chunk *chunk_new(void);
void chunk_free(struct chunk **chunk);
/* Another row, later than the one before; not more than CHUNK_ROWS. */
void chunk_add_row(struct chunk *chunk, int64_t time_ms);
/* The value of `column` in `row`, which is the last one, or the one before
 * where the column has none yet.  Rows that were left out are absent.
 * ATOM_ENOMEM: the column is as before. */
atom_status chunk_set(struct chunk *chunk, size_t column, unsigned int row,
		      double value);
/* No more comes: gives back what is not used. */
void chunk_pack(struct chunk *chunk);
size_t chunk_bytes(const struct chunk *chunk);

/* The NaN that no arithmetic makes (Prometheus' staleness marker). */
double chunk_absent(void);
bool chunk_is_absent(double value);

/* All rows of a column; absent where it has none. */
void chunk_column_values(const struct chunk *chunk, size_t column,
			 double values_r[CHUNK_ROWS]);

#endif
