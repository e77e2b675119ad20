/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_KEYRING_PRIV_H
#define KEYRING_KEYRING_PRIV_H

/*
 * A keyring in memory: what its file says (`image`), and the unwrapped key of
 * each version.  Versions that were retired stay as empty shells until the
 * end, because a thread may hold a pointer; there are few.
 *
 *	file_lock   one change at a time, held while the file is written
 *	lock        versions and image, held for moments; below file_lock
 *
 * Sealing takes neither: `current` and the counts are atomic, and each thread
 * has contexts of its own (seal.c).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "keyring/image.h"
#include "keyring/keyring.h"

struct version {
	struct version *next; /* older */
	uint32_t number;
	uint8_t *key;		    /* locked memory; NULL: retired */
	_Atomic uint64_t used;	    /* texts sealed */
	_Atomic uint64_t reserved;  /* of them, noted in the file */
	atomic_bool for_components; /* noted in the file */
};

struct keyring {
	uint64_t serial; /* of all keyrings of the process, for the caches */
	char *path;
	bool read_only;
	pthread_mutex_t file_lock;
	pthread_mutex_t lock;
	uint8_t *kek; /* NULL when read_only */
	struct image image;
	struct version *versions; /* newest first, retired ones too */
	struct version *_Atomic current;
	atomic_uint retirements; /* caches look again when it has moved */
	atomic_bool state_sealed;
};

/* NIST SP 800-38D, 8.3: at most 2^32 texts under one key with random nonces.
 * Tests lower these. */
extern uint64_t keyring_messages_max;	 /* 2^32: beyond, none */
extern uint64_t keyring_messages_rotate; /* 2^31: another key is due */
extern uint64_t keyring_messages_block;	 /* 2^22: noted at once */

struct keyring *keyring_new(const char *path, bool read_only);
/* The memory of a version, not yet in force; NULL unless ATOM_OK. */
atom_status keyring_version_new(const struct keyring *keyring,
				const struct image *image,
				const struct image_version *from,
				const uint8_t kek[KEYRING_KEY_BYTES],
				struct version **version_r,
				struct atom_error *err);
void keyring_version_free(struct version **version);
/* [lock held, or nobody else has it] It is the newest from now on. */
void keyring_version_add(struct keyring *keyring, struct version *version);
/* Versions in memory from those of the image. */
atom_status keyring_unwrap(struct keyring *keyring,
			   const uint8_t kek[KEYRING_KEY_BYTES],
			   struct atom_error *err);

/* [lock held] NULL: not here, or retired. */
struct version *keyring_find(const struct keyring *keyring, uint32_t number);
/* The key of a version for a purpose.  ATOM_EDATALOSS: there is no such
 * version. */
atom_status keyring_derive(struct keyring *keyring, uint32_t number,
			   const char *purpose,
			   uint8_t key_r[KEYRING_KEY_BYTES],
			   struct atom_error *err);
/* Note in the file that more will be sealed under the current version. */
atom_status keyring_reserve(struct keyring *keyring, struct version *version,
			    struct atom_error *err);
/* seal.c: forgets what this thread has cached. */
void seal_forget(void);

#endif
