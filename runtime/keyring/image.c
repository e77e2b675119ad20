/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/image.h"

#include <openssl/crypto.h>
#include <string.h>

#include "core/text.h"

static const char magic[] = "atomd-keyring/1\n";
#define MAGIC_BYTES	 (sizeof(magic) - 1)
#define MAGIC_NAME_BYTES 14 /* "atomd-keyring/" */

/* --- integers ------------------------------------------------------------ */

static uint8_t *put(uint8_t *at, uint64_t value, size_t width)
{
	for (size_t i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> 8 * (width - 1 - i));
	return at + width;
}

static uint64_t get(const uint8_t **at, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		value = value << 8 | *(*at)++;
	return value;
}

/* --- keys from the KEK --------------------------------------------------- */

static atom_status derive(const uint8_t id[KEYRING_ID_BYTES],
			  const uint8_t kek[KEYRING_KEY_BYTES],
			  const char *what, uint8_t *out, size_t length)
{
	const struct atom_span key = { (const char *)kek, KEYRING_KEY_BYTES };
	const struct atom_span salt = { (const char *)id, KEYRING_ID_BYTES };
	const struct atom_span info = { what, strlen(what) };

	return cipher_hkdf(&key, &salt, &info, out, length);
}

atom_status image_kek_id(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 uint8_t id_r[IMAGE_KEK_ID_BYTES])
{
	return derive(image->id, kek, "atomd keyring/1 kek id", id_r,
		      IMAGE_KEK_ID_BYTES);
}

atom_status image_wrap(const struct image *image,
		       const uint8_t kek[KEYRING_KEY_BYTES],
		       const uint8_t key[KEYRING_KEY_BYTES],
		       uint8_t wrapped_r[CIPHER_WRAPPED_BYTES])
{
	uint8_t wrapping[CIPHER_KEY_BYTES];
	atom_status status = derive(image->id, kek, "atomd keyring/1 wrap",
				    wrapping, sizeof(wrapping));

	if (status == ATOM_OK)
		status = cipher_wrap(wrapping, key, wrapped_r);
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	return status;
}

atom_status image_unwrap(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 const uint8_t wrapped[CIPHER_WRAPPED_BYTES],
			 uint8_t key_r[KEYRING_KEY_BYTES])
{
	uint8_t wrapping[CIPHER_KEY_BYTES];
	atom_status status = derive(image->id, kek, "atomd keyring/1 wrap",
				    wrapping, sizeof(wrapping));

	if (status == ATOM_OK)
		status = cipher_unwrap(wrapping, wrapped, key_r);
	OPENSSL_cleanse(wrapping, sizeof(wrapping));
	return status;
}

static atom_status authenticate(const uint8_t id[KEYRING_ID_BYTES],
				const uint8_t kek[KEYRING_KEY_BYTES],
				const uint8_t *bytes, size_t length,
				uint8_t mac_r[CIPHER_HASH_BYTES])
{
	const struct atom_span all = { (const char *)bytes, length };
	uint8_t key[CIPHER_KEY_BYTES];
	atom_status status =
		derive(id, kek, "atomd keyring/1 mac", key, sizeof(key));

	if (status == ATOM_OK)
		status = cipher_hmac(key, &all, mac_r);
	OPENSSL_cleanse(key, sizeof(key));
	return status;
}

/* --- encode -------------------------------------------------------------- */

atom_status image_encode(const struct image *image,
			 const uint8_t kek[KEYRING_KEY_BYTES], uint8_t *out,
			 size_t *length_r)
{
	uint8_t *at = out;
	atom_status status;

	memcpy(at, magic, MAGIC_BYTES);
	at += MAGIC_BYTES;
	memcpy(at, image->id, KEYRING_ID_BYTES);
	at += KEYRING_ID_BYTES;
	status = image_kek_id(image, kek, at);
	if (status != ATOM_OK)
		return status;
	at += IMAGE_KEK_ID_BYTES;
	at = put(at, image->generation, 8);
	at = put(at, image->flags, 4);
	at = put(at, image->rewrap, 4);
	at = put(at, 0, 4);
	at = put(at, image->count, 4);
	for (uint32_t i = 0; i < image->count; i++) {
		const struct image_version *v = &image->versions[i];

		at = put(at, v->number, 4);
		at = put(at, v->flags, 4);
		at = put(at, (uint64_t)v->created_ms, 8);
		at = put(at, v->messages, 8);
		memcpy(at, v->wrapped, sizeof(v->wrapped));
		at += sizeof(v->wrapped);
	}
	status = authenticate(image->id, kek, out, (size_t)(at - out), at);
	*length_r = (size_t)(at - out) + CIPHER_HASH_BYTES;
	return status;
}

/* --- decode -------------------------------------------------------------- */

static atom_status damaged(const char *name, struct atom_error *err)
{
	return atom_fail(err, ATOM_EDATALOSS,
			 "%s is damaged: restore it from a backup (without it "
			 "nothing that was sealed can be read)",
			 name);
}

static atom_status check_form(const uint8_t *bytes, size_t length,
			      const char *name, struct atom_error *err)
{
	if (length < MAGIC_BYTES || memcmp(bytes, magic, MAGIC_NAME_BYTES) != 0)
		return atom_fail(err, ATOM_EDATALOSS,
				 "%s is no keyring of atomd's: restore it from "
				 "a backup",
				 name);
	if (memcmp(bytes, magic, MAGIC_BYTES) != 0)
		return atom_fail(err, ATOM_ENOTSUP,
				 "%s is of another version of atomd, or "
				 "damaged: this one reads %.*s",
				 name, (int)MAGIC_BYTES - 1, magic);
	if (length < IMAGE_HEAD_BYTES + IMAGE_ENTRY_BYTES + CIPHER_HASH_BYTES ||
	    length > IMAGE_BYTES_MAX)
		return damaged(name, err);
	return ATOM_OK;
}

/* Another key than that of the file? */
static atom_status check_kek(const struct image *image, const uint8_t *found,
			     const char *name, const uint8_t *kek,
			     struct atom_error *err)
{
	char wanted[2 * IMAGE_KEK_ID_BYTES + 1];
	char given[2 * IMAGE_KEK_ID_BYTES + 1];
	uint8_t id[IMAGE_KEK_ID_BYTES];
	atom_status status = image_kek_id(image, kek, id);

	if (status != ATOM_OK)
		return atom_fail(err, status, "OpenSSL offers no HKDF");
	if (memcmp(id, found, sizeof(id)) == 0)
		return ATOM_OK;
	text_to_hex(found, IMAGE_KEK_ID_BYTES, wanted);
	text_to_hex(id, IMAGE_KEK_ID_BYTES, given);
	return atom_fail(err, ATOM_EPERM,
			 "%s is under the key-encryption key %s, not under the "
			 "one given, %s: give the right one, or the old one "
			 "as security.encryption.previous_key",
			 name, wanted, given);
}

static atom_status decode_versions(const uint8_t *at, struct image *image,
				   const char *name, struct atom_error *err)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < image->count; i++) {
		struct image_version *v = &image->versions[i];

		v->number = (uint32_t)get(&at, 4);
		v->flags = (uint32_t)get(&at, 4);
		v->created_ms = (int64_t)get(&at, 8);
		v->messages = get(&at, 8);
		memcpy(v->wrapped, at, sizeof(v->wrapped));
		at += sizeof(v->wrapped);
		if (v->number <= last)
			return damaged(name, err);
		last = v->number;
	}
	return ATOM_OK;
}

atom_status image_decode(const uint8_t *bytes, size_t length, const char *name,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 struct image *image_r, struct atom_error *err)
{
	uint8_t mac[CIPHER_HASH_BYTES];
	const uint8_t *at, *kek_id;
	size_t covered;
	uint64_t zero;
	atom_status status = check_form(bytes, length, name, err);

	if (status != ATOM_OK)
		return status;
	at = bytes + MAGIC_BYTES;
	covered = length - CIPHER_HASH_BYTES;
	memcpy(image_r->id, at, KEYRING_ID_BYTES);
	at += KEYRING_ID_BYTES;
	kek_id = at;
	at += IMAGE_KEK_ID_BYTES;
	image_r->generation = get(&at, 8);
	image_r->flags = (uint32_t)get(&at, 4);
	image_r->rewrap = (uint32_t)get(&at, 4);
	zero = get(&at, 4);
	image_r->count = (uint32_t)get(&at, 4);
	status = check_kek(image_r, kek_id, name, kek, err);
	if (status == ATOM_OK)
		status = authenticate(image_r->id, kek, bytes, covered, mac);
	if (status != ATOM_OK)
		return status;
	if (CRYPTO_memcmp(mac, bytes + covered, sizeof(mac)) != 0 ||
	    zero != 0 || image_r->count < 1 ||
	    image_r->count > KEYRING_VERSIONS_MAX ||
	    covered != IMAGE_HEAD_BYTES +
			       (size_t)image_r->count * IMAGE_ENTRY_BYTES)
		return damaged(name, err);
	return decode_versions(at, image_r, name, err);
}
