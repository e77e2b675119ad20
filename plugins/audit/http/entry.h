/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_ENTRY_H
#define AUDIT_HTTP_ENTRY_H

/*
 * One record or checkpoint on its way to the receiver, in the form in which
 * it waits in memory and in the spill.  Numbers are little-endian:
 *
 *	 0  magic "ATE1"         16  ordinal, 8 bytes
 *	 4  kind                 24  sequence, 8 bytes
 *	 8  hashes in the range  32  hash, 32 bytes
 *	12  bytes of the line    64  digest, 16 bytes
 *	80  the range, then the line
 *
 * The digest is the beginning of the SHA-256 of all the rest.  Ordinals count
 * the entries of a sink from 1, records and checkpoints alike, over restarts.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/audit.h>

#define ENTRY_HEAD     80
#define ENTRY_LINE_MAX (64u * 1024 * 1024)

enum entry_kind {
	ENTRY_RECORD = 1,
	ENTRY_CHECKPOINT = 2
};

struct entry {
	uint32_t kind;
	uint32_t range_count; /* at most ATOM_AUDIT_RANGE_MAX */
	uint64_t ordinal;
	uint64_t sequence;
	const uint8_t *hash;   /* 32 bytes */
	const uint8_t *range;  /* range_count times 32 bytes */
	struct atom_span line; /* JSON, as the receiver gets it */
};

size_t entry_size(const struct entry *entry);
/* `out` has room for entry_size(). */
void entry_encode(const struct entry *entry, uint8_t *out);
/* The entry at `bytes`, which it points into.  ATOM_ENOENT: its end is not
 * there; ATOM_EDATALOSS: this is none, or it is damaged. */
atom_status entry_decode(const uint8_t *bytes, size_t length,
			 struct entry *entry, size_t *size_r);

/* Entries one behind the other. */
struct pack {
	uint8_t *bytes;
	size_t length;
	size_t capacity;
	size_t count;
};

atom_status pack_add(struct pack *pack, const struct entry *entry,
		     struct atom_error *err);
/* Takes `length` bytes, `count` entries, from its beginning. */
void pack_shift(struct pack *pack, size_t length, size_t count);
void pack_clear(struct pack *pack);
void pack_fini(struct pack *pack);

#endif
