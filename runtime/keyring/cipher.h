/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYRING_CIPHER_H
#define KEYRING_CIPHER_H

/*
 * The primitives of encryption at rest, all of them OpenSSL's, fetched once a
 * process: AES-256-GCM (NIST SP 800-38D), AES-256 key wrap (RFC 3394, NIST
 * SP 800-38F), HKDF-SHA256 (RFC 5869), HMAC-SHA256 (RFC 2104).  Nothing here
 * knows a keyring. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#define CIPHER_KEY_BYTES     32
#define CIPHER_NONCE_BYTES   12
#define CIPHER_TAG_BYTES     16
#define CIPHER_WRAPPED_BYTES (CIPHER_KEY_BYTES + 8)
#define CIPHER_HASH_BYTES    32
/* Bytes of one text; what OpenSSL's lengths, an int, hold with room. */
#define CIPHER_TEXT_MAX ((size_t)1 << 30)

/* --- AES-256-GCM --------------------------------------------------------- */

/* A key made ready for both directions: making it costs more than a short
 * text.  Used by one thread at a time. */
struct gcm;

struct gcm *gcm_new(const uint8_t key[CIPHER_KEY_BYTES]); /* NULL: no memory */
void gcm_free(struct gcm **gcm);
/* `out` has room for plain->length and may be plain->bytes.  A nonce is never
 * used twice under one key.  ATOM_ELIMIT beyond CIPHER_TEXT_MAX. */
atom_status gcm_seal(struct gcm *gcm, const uint8_t nonce[CIPHER_NONCE_BYTES],
		     const struct atom_span *associated,
		     const struct atom_span *plain, char *out,
		     uint8_t tag[CIPHER_TAG_BYTES]);
/* ATOM_EDATALOSS: the tag says no, and `out` is zeroed. */
atom_status gcm_open(struct gcm *gcm, const uint8_t nonce[CIPHER_NONCE_BYTES],
		     const struct atom_span *associated,
		     const struct atom_span *sealed, char *out,
		     const uint8_t tag[CIPHER_TAG_BYTES]);

/* --- keys from keys ------------------------------------------------------ */

/* HKDF-SHA256, extract and expand; `salt` and `info` may be empty. */
atom_status cipher_hkdf(const struct atom_span *key,
			const struct atom_span *salt,
			const struct atom_span *info, uint8_t *out,
			size_t length);
atom_status cipher_hmac(const uint8_t key[CIPHER_KEY_BYTES],
			const struct atom_span *bytes,
			uint8_t out[CIPHER_HASH_BYTES]);
/* A key under another one. */
atom_status cipher_wrap(const uint8_t wrapping[CIPHER_KEY_BYTES],
			const uint8_t key[CIPHER_KEY_BYTES],
			uint8_t wrapped_r[CIPHER_WRAPPED_BYTES]);
/* ATOM_EDATALOSS: not wrapped under this one, or changed since. */
atom_status cipher_unwrap(const uint8_t wrapping[CIPHER_KEY_BYTES],
			  const uint8_t wrapped[CIPHER_WRAPPED_BYTES],
			  uint8_t key_r[CIPHER_KEY_BYTES]);

#endif
