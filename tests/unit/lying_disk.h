/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_LYING_DISK_H
#define TESTS_UNIT_LYING_DISK_H

/*
 * A disk in memory, behind the table of calls of the file sink, that keeps
 * what was synced and, when the power goes, of the rest what it likes: of a
 * file's bytes a random number of pages from the first that was not synced on,
 * the last of them torn, or zeros in their place; of the names that were made,
 * moved and removed since the folder was synced a random number from the first
 * on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/audit/file/disk.h"

/* Puts its functions into the table of a plugin. */
void disk_install(struct disk *table);
/* Empty, well, and of no bound. */
void disk_begin(void);
void disk_end(void);

/* Every call after the next `calls` fails: the power is gone. */
void disk_cut_after(uint64_t calls);
/* What is left when it is back; handles are gone. */
void disk_restore_power(void);
/* Copies what a reader would see into a folder of the system. */
void disk_copy_to(const char *folder);
const char *disk_file(const char *name, size_t *length_r);

/* The n-th write, or sync of a file, from now on fails with EIO; 0 = none. */
extern uint64_t disk_write_to_fail, disk_sync_to_fail;
/* From each write no more than so many bytes are taken at once; 0 = all. */
extern size_t disk_write_max;
/* Bytes of all files together; 0 = no bound. */
extern size_t disk_capacity;
extern uint64_t disk_writes, disk_syncs, disk_calls;
/* A file of which a write or sync had failed was written or synced again. */
extern bool disk_failed_was_used;
extern unsigned int disk_seed;

/* Below `below`, which is at least 1. */
size_t disk_any(size_t below);

#endif
