/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_SOURCE_PRIV_H
#define CONFIG_SOURCE_PRIV_H

/*
 * The bytes of one file, read in a way that neither hangs nor fills the
 * memory whatever the name leads to: a FIFO, a device, a folder, a file that
 * grows while it is read.
 */

#include <sys/types.h>

#include "core/buffer.h"

/* Which file it was, to find the same one under another name. */
struct source_identity {
	dev_t device;
	ino_t inode;
};

/* Reads all of `path`, at most out->max bytes, into the empty `out`.
 * ATOM_ENOENT, ATOM_EPERM (no right to read it), ATOM_EINVAL (no regular
 * file, a NUL byte), ATOM_ELIMIT, ATOM_EIO, ATOM_ENOMEM; the message is a
 * phrase that follows the name: "is no regular file".  `identity_r` may be
 * NULL. */
atom_status source_read(const char *path, struct buffer *out,
			struct source_identity *identity_r,
			struct atom_error *err);
/* Is it UTF-8 throughout?  Else *at_r is the first byte that is not. */
bool source_is_utf8(const char *bytes, size_t length, size_t *at_r);

#endif
