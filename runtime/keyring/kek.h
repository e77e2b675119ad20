/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_KEK_H
#define KEYRING_KEK_H

/*
 * Where the key-encryption key comes from, and what makes 32 bytes of it.
 *
 * A source gives, strictly: 32 bytes as they are, 64 hexadecimal digits, or
 * 44 characters of base64 (RFC 4648, section 4); the two texts with one line
 * end behind them at most.  Keys that nobody has drawn at random are refused:
 * 32 characters of text, the same few bytes over and over, bytes that count.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "keyring/keyring.h"

/* The file that is made in the state folder where no key is configured. */
#define KEK_FILE "keyring.kek"

/* The bytes that a source gave.  `name` says which, for the sentence.  The
 * bytes stay the caller's to wipe.  ATOM_EINVAL. [any] */
atom_status kek_parse(const char *bytes, size_t length, const char *name,
		      uint8_t kek_r[KEYRING_KEY_BYTES], struct atom_error *err);
/* ATOM_ENOENT: no such file; ATOM_EPERM: others may write to it; ATOM_EINVAL,
 * ATOM_EIO. [any] */
atom_status kek_read_file(const char *path, uint8_t kek_r[KEYRING_KEY_BYTES],
			  struct atom_error *err);
/* systemd's credential NAME: a file below $CREDENTIALS_DIRECTORY. [any] */
atom_status kek_read_credential(const char *name,
				uint8_t kek_r[KEYRING_KEY_BYTES],
				struct atom_error *err);
/* Makes the file with a random key, mode 0600, unless it is there.  What is
 * there must be readable by its owner only. */
atom_status kek_make_file(const char *path, uint8_t kek_r[KEYRING_KEY_BYTES],
			  struct atom_error *err);
/* The standard output of a command: NULL-ended arguments, no shell, the
 * daemon's environment.  After `timeout_ms` it is killed with its group:
 * ATOM_ETIMEOUT.  ATOM_EIO: it cannot be started, or failed; ATOM_EINVAL: what
 * it wrote is no key. */
atom_status kek_run(const char *const *command, int timeout_ms,
		    uint8_t kek_r[KEYRING_KEY_BYTES], struct atom_error *err);

#endif
