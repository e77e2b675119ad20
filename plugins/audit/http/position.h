/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_POSITION_H
#define AUDIT_HTTP_POSITION_H

/*
 * How far the sink has come, in a file `position` of its folder: two slots,
 * written in turn, each with a digest, so that a torn write leaves the one
 * before.  It may lag behind what was delivered after a crash, never run
 * ahead: a receiver gets some records twice then, and none is left out.
 */

#include <stdint.h>

#include <atomd/audit.h>

struct position {
	uint64_t delivered; /* ordinal of the last entry with a 2xx */
	uint64_t taken;	    /* of the last entry delivered or spilled */
	uint64_t sequence;  /* of that entry */
	uint64_t checkpoint;
	uint32_t range_count;
	uint8_t hash[32];
	uint8_t range[ATOM_AUDIT_RANGE_MAX][32];
};

struct position_file {
	int fd; /* -1: closed */
	uint64_t generation;
};

/* Opens or makes the file and reads what stands there; all zeroes where there
 * was nothing.  ATOM_EDATALOSS: there is something, and neither slot is
 * whole. */
atom_status position_open(struct position_file *file, int directory,
			  struct position *position_r, struct atom_error *err);
void position_close(struct position_file *file);
/* Not synced: see above. */
atom_status position_store(struct position_file *file,
			   const struct position *position,
			   struct atom_error *err);

#endif
