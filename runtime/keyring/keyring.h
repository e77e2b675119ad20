/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_KEYRING_H
#define KEYRING_KEYRING_H

/*
 * The keys of encryption at rest.
 *
 *	key-encryption key (KEK)   outside: a file, a credential, a command
 *	   └─ wraps ─► data keys   256 random bits each, versions 1, 2, ...
 *	                  └─ HKDF-SHA256 ─► one key a purpose, AES-256-GCM
 *
 * The file `keyring` of the state folder holds the data keys, wrapped (RFC
 * 3394), and is authenticated as a whole (HMAC-SHA256): a file that was
 * changed, cut or made under another KEK is refused.  It is replaced
 * atomically and synced, its folder too; memory changes after the disk.
 *
 * A purpose says whose bytes they are: "state" for the daemon's records,
 * keyring_purpose() for a component's.  Each has a key of its own (RFC 5869),
 * so that what one has sealed never opens as another's.
 *
 * Sealed bytes:
 *
 *	magic d7 'A' 'S' 01 | key version, u32 big-endian | nonce, 12 bytes
 *	| ciphertext | tag, 16 bytes
 *
 * The nonce is random (NIST SP 800-38D, 8.2.2), asked of the kernel for each
 * text and never kept for later, so that neither a crash, nor a restored
 * backup, nor a copied virtual machine can use one twice.  8.3 of it allows
 * 2^32 texts under one key: they are counted, durably in blocks, and another
 * data key is due at half of that; beyond it nothing is sealed.
 *
 * A keyring opened with keyring_open_file() alone needs no daemon: it opens
 * sealed bytes, and seals none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#define KEYRING_KEY_BYTES 32
#define KEYRING_ID_BYTES  16
/* Bytes that a sealed text is longer than its plain one, exactly. */
#define KEYRING_OVERHEAD    36
#define KEYRING_PURPOSE_MAX 256
/* Versions that a keyring may hold at once. */
#define KEYRING_VERSIONS_MAX 200

/* The file's name in the state folder. */
#define KEYRING_FILE "keyring"

struct keyring;

/* --- without a daemon ---------------------------------------------------- */

/* Reads the keyring file at `path`, for opening only.  ATOM_ENOENT: there is
 * none; ATOM_EPERM: it was made under another KEK (err names both ids);
 * ATOM_EDATALOSS: it is damaged; ATOM_EIO, ATOM_ENOMEM. */
atom_status keyring_open_file(const char *path,
			      const uint8_t kek[KEYRING_KEY_BYTES],
			      struct keyring **keyring_r,
			      struct atom_error *err);
/* Wipes the keys.  No other thread uses it any more. */
void keyring_free(struct keyring **keyring);

/* The purpose of a component: "audit/file" of no agent (""), ... */
void keyring_purpose(const char *component, const char *agent,
		     char purpose_r[KEYRING_PURPOSE_MAX]);

/* [any] Opens what keyring_seal() made under the same purpose and identity.
 * `out` has room for sealed->length bytes, elsewhere.  ATOM_EDATALOSS: it does
 * not open, and err says whether the form, the key or the tag is wrong; what
 * it was to be is the caller's to name. */
atom_status keyring_unseal(struct keyring *keyring, const char *purpose,
			   const struct atom_span *identity,
			   const struct atom_span *sealed, char *out,
			   size_t *length_r, struct atom_error *err);
/* The key version in the head of sealed bytes; 0: they are not sealed. */
uint32_t keyring_version_of(const struct atom_span *bytes);

/* --- in the daemon: life ------------------------------------------------- */

/* Opens the keyring for sealing too, and notes in the file that more will be.
 * `previous` (may be NULL): where it is not under `kek` but under this one,
 * its data keys are wrapped anew, durably, before this returns.  `id` ("" =
 * any): the one it must be, in hexadecimal, or ATOM_EDATALOSS.  Other errors
 * as of keyring_open_file().  It is never made here, and what is refused is
 * not written to. */
atom_status keyring_open(const char *path, const char *id,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 const uint8_t previous[KEYRING_KEY_BYTES],
			 struct keyring **keyring_r, struct atom_error *err);
/* Makes it, with version 1.  `sealed`: no record of the store is plain
 * (keyring_state_sealed()).  Whoever calls knows that none was there. */
atom_status keyring_create(const char *path,
			   const uint8_t kek[KEYRING_KEY_BYTES], bool sealed,
			   struct keyring **keyring_r, struct atom_error *err);
/* Notes how much was sealed in truth, so that the next start need not assume
 * the whole block.  Before keyring_free(). */
atom_status keyring_close(struct keyring *keyring, struct atom_error *err);

/* --- in the daemon: sealing ---------------------------------------------- */

/* [any] Seals under the current data key.  `out` has room for plain->length +
 * KEYRING_OVERHEAD, elsewhere.  No lock; now and then, when care came too
 * late, it waits for a small file.  ATOM_ELIMIT: 2^32 texts under this key,
 * or one is too long; ATOM_EIO, ATOM_ENOMEM. */
atom_status keyring_seal(struct keyring *keyring, const char *purpose,
			 const struct atom_span *identity,
			 const struct atom_span *plain, char *out,
			 size_t *length_r, struct atom_error *err);
/* [any] What components seal cannot be listed: the versions that they may
 * have used are noted, and not retired unless an operator says so.  Before
 * keyring_seal() for a component; after the first time it costs a load. */
atom_status keyring_note_component(struct keyring *keyring,
				   struct atom_error *err);

/* --- in the daemon: changes, each durable when it returns ---------------- */

/* These write a small file and sync it. [pool, control at start] */

/* Another version, in force at once. */
atom_status keyring_rotate(struct keyring *keyring, uint32_t *version_r,
			   struct atom_error *err);
/* [any] Is it time for keyring_care()? */
bool keyring_needs_care(const struct keyring *keyring);
/* Reserve more texts, or rotate where the version has sealed its half;
 * *rotated_r says which. */
atom_status keyring_care(struct keyring *keyring, bool *rotated_r,
			 struct atom_error *err);
/* Wrap all data keys under another KEK; the old one opens the file no more.
 * The same one: nothing is done. */
atom_status keyring_set_kek(struct keyring *keyring,
			    const uint8_t kek[KEYRING_KEY_BYTES],
			    struct atom_error *err);
/* Records are to be moved to the current version: remembered until
 * keyring_end_rewrap(). */
atom_status keyring_begin_rewrap(struct keyring *keyring, uint32_t *version_r,
				 struct atom_error *err);
/* Nothing of the store is sealed under a version below `floor` but under the
 * `kept_count` ones of `kept`: the others are retired, unless components may
 * have used them.  `sealed`: and nothing is plain. */
atom_status keyring_end_rewrap(struct keyring *keyring, uint32_t floor,
			       const uint32_t *kept, size_t kept_count,
			       bool sealed, struct atom_error *err);
/* Ask that a version be retired with the next rewrap although components may
 * have used it.  ATOM_ENOENT: there is none; ATOM_EINVAL: it is the current
 * one. */
atom_status keyring_retire(struct keyring *keyring, uint32_t version,
			   struct atom_error *err);

/* --- in the daemon: looking ---------------------------------------------- */

struct keyring_version_status {
	uint32_t version;
	bool for_components;
	bool retire; /* asked for */
	int64_t created_ms;
	uint64_t messages; /* sealed so far, at most */
};

struct keyring_status {
	char id[2 * KEYRING_ID_BYTES + 1];
	char kek_id[17];
	uint64_t generation;
	uint32_t current;
	uint32_t rewrap; /* under way to this version; 0 = none */
	bool state_sealed;
	size_t count;
	struct keyring_version_status versions[KEYRING_VERSIONS_MAX];
};

/* [any] */
void keyring_status(struct keyring *keyring, struct keyring_status *status_r);
uint32_t keyring_current(const struct keyring *keyring);
/* [any] Must every record of the store be sealed?  False only between the
 * first start with a store that an older atomd has filled and the end of its
 * rewrap. */
bool keyring_state_sealed(const struct keyring *keyring);

#endif
