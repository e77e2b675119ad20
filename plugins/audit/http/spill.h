/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_SPILL_H
#define AUDIT_HTTP_SPILL_H

/*
 * Entries that wait on disk while the receiver is away: a queue in segment
 * files `spill-ORDINAL`, named by their first entry.  It is written at one
 * end and read from the other, and a segment is removed when its last entry
 * has been delivered.  The folder belongs to one sink alone (`lock`).
 *
 * What spill_append() has answered with ATOM_OK is synced.  A file whose
 * write or sync failed, or that an earlier run of the daemon wrote, is never
 * written again; the next append begins a new one.  So a segment may end in a
 * torn entry that was never acknowledged, and the same entries may stand in
 * two segments: reading stops at the first damaged entry of a segment and
 * passes over ordinals that it has seen.
 *
 * On disk an entry is sealed by the daemon's keyring (atom.seal/1), under its
 * ordinal, so that none opens in another's place.  Little-endian:
 *
 *	 0  magic "ATS1"                8  ordinal, 8 bytes
 *	 4  bytes of the sealed entry  16  the sealed entry (entry.h)
 *
 * Entries that an older version left as they are (entry.h) are read as well;
 * none is written.  What cannot be sealed is not spilled.
 *
 * Not locked: the sink does that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/audit/http/entry.h"
#include "plugins/audit/http/position.h"

struct segment {
	struct segment *next;
	uint64_t first;	 /* ordinal in its name */
	uint64_t length; /* bytes, of whole entries */
};

/* Told about what cannot be read: from byte `at` on, `lost` entries that had
 * been acknowledged; 0: none, the end is torn. */
typedef void (*spill_damage)(void *argument, const char *path, uint64_t at,
			     uint64_t lost);

struct spill {
	char *path; /* of the folder */
	int directory;
	int lock;
	int write_fd; /* of the last segment; -1: none may be written */
	int read_fd;  /* of the first; -1: not open */
	uint64_t read_at;
	const struct atom_host *host;
	const struct atom_seal *seal; /* NULL: entries are not sealed */
	uint8_t *buffer;	      /* holds one entry */
	size_t buffer_size;
	uint8_t *plain; /* the same, opened */
	size_t plain_size;
	struct pack sealed; /* what is appended, as it is on disk */
	struct segment *first;
	struct segment *last;
	uint64_t bytes; /* that wait, delivered parts of a segment included */
	uint64_t size_max;
	uint64_t segment_max;
	uint64_t consumed; /* ordinal of the last entry delivered */
	uint64_t appended; /* ordinal of the last entry in it, 0 = none */
	spill_damage damage;
	void *argument;
};

/* Who seals; `seal` NULL: nobody. */
struct spill_sealer {
	const struct atom_host *host;
	const struct atom_seal *seal;
};

/* Makes the folder (0700) where there is none, refuses one that others may
 * write into or another sink uses, and reads what is there: `position` is
 * moved on to the last whole entry.  On failure spill_close() is not
 * needed.  ATOM_EUNAVAILABLE: there is something sealed, and no keyring at
 * this time; ATOM_EDATALOSS: a segment's first entry does not open, as under
 * another keyring: nothing is given up. */
atom_status spill_open(struct spill *spill, const char *path,
		       const struct spill_sealer *sealer, uint64_t size_max,
		       spill_damage damage, void *argument,
		       struct position_file *file, struct position *position,
		       struct atom_error *err);
void spill_close(struct spill *spill);

bool spill_is_empty(const struct spill *spill);
/* Adds all of `pack` and syncs.  ATOM_EBUSY: no room; ATOM_EIO: the disk
 * failed.  On failure nothing was added. */
atom_status spill_append(struct spill *spill, const struct pack *pack,
			 struct atom_error *err);
/* Copies the oldest entries, at most `records` and, but for the first, at
 * most `bytes`, into `pack`.  ATOM_EIO: the disk failed. */
atom_status spill_peek(struct spill *spill, size_t records, size_t bytes,
		       struct pack *pack, struct atom_error *err);
/* The entries up to `ordinal` have been delivered. */
void spill_consume(struct spill *spill, uint64_t ordinal);

/* --- spill_seal.c, for spill.c and spill_segment.c alone ------------------- */

/* The entries of `pack`, sealed, into `out`. */
atom_status spill_seal_pack(struct spill *spill, const struct pack *pack,
			    struct pack *out, struct atom_error *err);
/* Of the sealed entry that begins so; 0: it is none. */
size_t spill_sealed_size(const uint8_t head[ENTRY_HEAD]);
/* Opens one of that size; the entry points into spill->plain.
 * ATOM_EDATALOSS: it does not open. */
atom_status spill_open_sealed(struct spill *spill, const uint8_t *bytes,
			      size_t size, struct entry *entry,
			      struct atom_error *err);

/* --- spill_segment.c, for spill.c alone ----------------------------------- */

#define SEGMENT_NAME_SIZE 32

void segment_name(char name[SEGMENT_NAME_SIZE], uint64_t first);
/* Reads the entry at byte `at` into the spill's buffer.  ATOM_ENOENT: the
 * file ends there; ATOM_EDATALOSS: it is torn, damaged, or (*size_r is not 0)
 * whole and does not open. */
atom_status segment_read(struct spill *spill, int fd, uint64_t at,
			 struct entry *entry, size_t *size_r,
			 struct atom_error *err);
/* Appends a segment to the list; NULL: out of memory. */
struct segment *segment_add(struct spill *spill, uint64_t first);
/* Removes the first one, with its file. */
void segment_remove_first(struct spill *spill);
/* The last one, which holds nothing. */
void segment_remove_last(struct spill *spill);
/* Reads the segments of the folder. */
atom_status segments_scan(struct spill *spill, struct position *position,
			  struct atom_error *err);

#endif
