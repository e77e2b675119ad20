/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_FILE_H
#define PLUGIN_FILE_H

/*
 * One plugin file: is it safe to look at, what does it hold, and the private
 * copy that is probed and loaded in its place.
 *
 * The installed file itself is never loaded: dlopen(3) answers a second load
 * of one path with the first library, and overwriting a mapped file ends the
 * process with SIGBUS.  The copy is a sealed memfd, so what was hashed is what
 * runs.  [any], one thread a file.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <atomd/plugin.h>

#define PLUGIN_FILE_MAX (64 * 1024 * 1024) /* bytes */
#define PLUGIN_HASH	32		   /* SHA-256 */

/* What tells that a file was not touched since. */
struct file_identity {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified_ns;
	int64_t changed_ns;
};

struct plugin_file {
	int copy_fd; /* the sealed copy */
	int file_fd; /* the installed file */
	const unsigned char *bytes;
	size_t length;
	uint8_t hash[PLUGIN_HASH];
};

/* The folder's real path into `real_r`.  ATOM_ENOENT when there is none,
 * ATOM_EPERM when others could put files there. */
atom_status plugin_folder_check(const char *folder, char real_r[PATH_MAX],
				struct atom_error *err);

/* The real path and identity of `name` in `real_folder`: a regular file
 * inside of it that nobody else may write.  On failure *identity_r is filled
 * as far as it is known.  Messages go behind "FILE: ". */
atom_status plugin_file_check(const char *real_folder, const char *name,
			      char real_r[PATH_MAX],
			      struct file_identity *identity_r,
			      struct atom_error *err);
bool file_identity_equal(const struct file_identity *a,
			 const struct file_identity *b);

/* Copies, seals, maps and hashes it. */
atom_status plugin_file_open(const char *real_path, struct plugin_file *file_r,
			     struct atom_error *err);
void plugin_file_close(struct plugin_file *file);

/* Puts the copy's bytes into `directory` (made when absent) under a name made
 * of `plugin_name` and the hash; its path into `path_r`. */
atom_status plugin_file_export(const struct plugin_file *file,
			       const char *directory, const char *plugin_name,
			       char path_r[PATH_MAX], struct atom_error *err);

#endif
