/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_DISK_H
#define AUDIT_FILE_DISK_H

/*
 * All that this plugin asks of the disk, in one table.  Here each entry is
 * the system's own call; a test puts others in their place, so that the n-th
 * write or sync fails, or a sync lies and the power goes.
 *
 * The entries keep the calls' meaning, errno included, but that nothing is
 * interrupted: EINTR never comes out.  Names are relative to the folder.
 */

#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct disk {
	/* The folder, made with its parents (0700) where it is absent. */
	int (*folder)(const char *path);
	/* One writer: locks the folder until it is closed; EWOULDBLOCK. */
	int (*lock)(int folder);
	/* Never follows a symbolic link. */
	int (*open)(int folder, const char *name, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*read)(int fd, void *bytes, size_t length, off_t at);
	ssize_t (*write)(int fd, const void *bytes, size_t length, off_t at);
	int (*truncate)(int fd, off_t length);
	int (*stat)(int fd, struct stat *result);
	int (*sync)(int fd);	       /* fdatasync(2) of a file */
	int (*sync_names)(int folder); /* fsync(2) of the folder */
	int (*rename)(int folder, const char *from, const char *to);
	int (*unlink)(int folder, const char *name);
	/* Each name in the folder, in any order; non-zero ends it. */
	int (*list)(int folder, int (*each)(void *argument, const char *name),
		    void *argument);
	/* Bytes that the caller may still fill. */
	int (*space)(int folder, uint64_t *free_r);
};

/* Not exported from the plugin; a build for tests has another linker map. */
extern struct disk audit_disk __attribute__((visibility("default")));

#endif
