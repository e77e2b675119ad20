/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_IMAGE_H
#define KEYRING_IMAGE_H

/*
 * The keyring file: its form, and how it is replaced.  Integers are
 * big-endian.
 *
 *	 0  16  "atomd-keyring/1\n"
 *	16  16  id: random, made once; the salt of every derivation
 *	32   8  id of the KEK: tells "another key" from "damaged"
 *	40   8  generation: rises with every replacement
 *	48   4  flags
 *	52   4  rewrap: records are being moved to this version; 0 = none
 *	56   4  zero
 *	60   4  count of versions, 1 to KEYRING_VERSIONS_MAX
 *	64  64 each, rising:
 *		 0   4  version, from 1
 *		 4   4  flags
 *		 8   8  when it was made, ms of realtime
 *		16   8  texts sealed under it, at most
 *		24  40  the data key, wrapped (RFC 3394)
 *	 -  32  HMAC-SHA256 of all before
 *
 * Three keys come from the KEK by HKDF-SHA256, salt the id: one wraps, one
 * authenticates, and 8 bytes of the third are the KEK's id, which tells
 * nothing of it.  The last version is the one that seals.
 */

#include <stdint.h>

#include <atomd/host.h>

#include "keyring/cipher.h"
#include "keyring/keyring.h"

#define IMAGE_HEAD_BYTES  64
#define IMAGE_ENTRY_BYTES 64
#define IMAGE_BYTES_MAX                                                        \
	(IMAGE_HEAD_BYTES + (size_t)KEYRING_VERSIONS_MAX * IMAGE_ENTRY_BYTES + \
	 CIPHER_HASH_BYTES)
#define IMAGE_KEK_ID_BYTES 8

/* Flags of the file: what the owner of records has finished once and for
 * all. */
#define IMAGE_STATE_SEALED 1u /* no record of the store is plain any more */
/* Flags of a version. */
#define IMAGE_FOR_COMPONENTS 1u /* atom.seal/1 may have sealed under it */
#define IMAGE_RETIRE	     2u /* asked: gone as soon as the daemon can */

struct image_version {
	uint32_t number;
	uint32_t flags;
	int64_t created_ms;
	uint64_t messages;
	uint8_t wrapped[CIPHER_WRAPPED_BYTES];
};

struct image {
	uint8_t id[KEYRING_ID_BYTES];
	uint64_t generation;
	uint32_t flags;
	uint32_t rewrap;
	uint32_t count;
	struct image_version versions[KEYRING_VERSIONS_MAX];
};

/* What the KEK is called in the file and in sentences. */
atom_status image_kek_id(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 uint8_t id_r[IMAGE_KEK_ID_BYTES]);
/* A data key under the KEK, and back. */
atom_status image_wrap(const struct image *image,
		       const uint8_t kek[KEYRING_KEY_BYTES],
		       const uint8_t key[KEYRING_KEY_BYTES],
		       uint8_t wrapped_r[CIPHER_WRAPPED_BYTES]);
atom_status image_unwrap(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 const uint8_t wrapped[CIPHER_WRAPPED_BYTES],
			 uint8_t key_r[KEYRING_KEY_BYTES]);

/* `out` has IMAGE_BYTES_MAX bytes. */
atom_status image_encode(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES], uint8_t *out,
			 size_t *length_r);
/* ATOM_EPERM: another KEK; ATOM_EDATALOSS: damaged or no keyring;
 * ATOM_ENOTSUP: of a newer atomd.  `name` is for the sentence. */
atom_status image_decode(const uint8_t *bytes, size_t length, const char *name,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 struct image *image_r, struct atom_error *err);

/* ATOM_ENOENT: there is no such file. */
atom_status image_read(const char *path, const uint8_t kek[KEYRING_KEY_BYTES],
		       struct image *image_r, struct atom_error *err);
/* Replaces the file as a whole, or leaves it; ATOM_OK: durable. */
atom_status image_write(const char *path, const uint8_t kek[KEYRING_KEY_BYTES],
			const struct image *image, struct atom_error *err);
/* The same for any small file, mode 0600. */
atom_status file_replace(const char *path, const void *bytes, size_t length,
			 struct atom_error *err);
/* A whole small file; ATOM_ENOENT, ATOM_ELIMIT beyond `size`; its mode. */
atom_status file_read(const char *path, void *bytes, size_t size,
		      size_t *length_r, uint32_t *mode_r,
		      struct atom_error *err);

#endif
