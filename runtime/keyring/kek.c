/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/kek.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/os.h"
#include "keyring/image.h"

#define HEX_LENGTH    ((size_t)2 * KEYRING_KEY_BYTES)
#define BASE64_LENGTH ((size_t)44)
/* What is longer is no key. */
#define SOURCE_BYTES_MAX 256
/* Of 32 random bytes fewer are different once in 10^20 times. */
#define DISTINCT_LEAST 16

/* --- forms --------------------------------------------------------------- */

static bool parse_hex(const char *text, uint8_t out[KEYRING_KEY_BYTES])
{
	for (size_t i = 0; i < KEYRING_KEY_BYTES; i++) {
		int high = OPENSSL_hexchar2int((unsigned char)text[2 * i]);
		int low = OPENSSL_hexchar2int((unsigned char)text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* 33 bytes, the last of which the one `=` stands for.  Only what encodes to
 * the same text again is taken, so that no bit is without meaning. */
static bool parse_base64(const char *text, uint8_t out[KEYRING_KEY_BYTES])
{
	unsigned char again[BASE64_LENGTH + 1];
	unsigned char bytes[KEYRING_KEY_BYTES + 1];
	bool good;

	if (text[BASE64_LENGTH - 1] != '=' || text[BASE64_LENGTH - 2] == '=')
		return false;
	good = EVP_DecodeBlock(bytes, (const unsigned char *)text,
			       (int)BASE64_LENGTH) == (int)sizeof(bytes) &&
	       EVP_EncodeBlock(again, bytes, KEYRING_KEY_BYTES) ==
		       (int)BASE64_LENGTH &&
	       memcmp(again, text, BASE64_LENGTH) == 0;
	if (good)
		memcpy(out, bytes, KEYRING_KEY_BYTES);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(again, sizeof(again));
	return good;
}

static bool is_text(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isprint((unsigned char)bytes[i]))
			return false;
	return true;
}

/* --- strength ------------------------------------------------------------ */

static size_t distinct_of(const uint8_t key[KEYRING_KEY_BYTES])
{
	bool seen[256] = { false };
	size_t count = 0;

	for (size_t i = 0; i < KEYRING_KEY_BYTES; i++) {
		count += !seen[key[i]];
		seen[key[i]] = true;
	}
	return count;
}

static bool counts(const uint8_t key[KEYRING_KEY_BYTES])
{
	uint8_t step = (uint8_t)(key[1] - key[0]);

	for (size_t i = 2; i < KEYRING_KEY_BYTES; i++)
		if ((uint8_t)(key[i] - key[i - 1]) != step)
			return false;
	return true;
}

static atom_status check_strength(const uint8_t key[KEYRING_KEY_BYTES],
				  const char *name, struct atom_error *err)
{
	if (distinct_of(key) >= DISTINCT_LEAST && !counts(key))
		return ATOM_OK;
	return atom_fail(err, ATOM_EINVAL,
			 "%s holds a key that was not drawn at random: make "
			 "one with `openssl rand -hex 32`",
			 name);
}

/* --- sources ------------------------------------------------------------- */

atom_status kek_parse(const char *bytes, size_t length, const char *name,
		      uint8_t kek_r[KEYRING_KEY_BYTES], struct atom_error *err)
{
	bool parsed = false;
	size_t text = length;

	if (length == KEYRING_KEY_BYTES) {
		if (is_text(bytes, length))
			return atom_fail(
				err, ATOM_EINVAL,
				"%s holds 32 characters of text, which "
				"are no 32 random bytes: make a key "
				"with `openssl rand -hex 32`",
				name);
		memcpy(kek_r, bytes, length);
		return check_strength(kek_r, name, err);
	}
	if (text > 0 && bytes[text - 1] == '\n')
		text--;
	if (text > 0 && text < length && bytes[text - 1] == '\r')
		text--;
	if (text == HEX_LENGTH)
		parsed = parse_hex(bytes, kek_r);
	else if (text == BASE64_LENGTH)
		parsed = parse_base64(bytes, kek_r);
	if (!parsed)
		return atom_fail(err, ATOM_EINVAL,
				 "%s holds no key: expected 32 bytes, 64 "
				 "hexadecimal digits or 44 characters of "
				 "base64, found %zu bytes that are none of "
				 "them; make one with `openssl rand -hex 32`",
				 name, length);
	return check_strength(kek_r, name, err);
}

static atom_status read_key(const char *path, uint32_t forbidden,
			    uint8_t kek_r[KEYRING_KEY_BYTES],
			    struct atom_error *err)
{
	char bytes[SOURCE_BYTES_MAX];
	uint32_t mode = 0;
	size_t length = 0;
	atom_status status =
		file_read(path, bytes, sizeof(bytes), &length, &mode, err);

	if (status == ATOM_ELIMIT)
		status = atom_fail(err, ATOM_EINVAL,
				   "%s holds no key: it has %d bytes or more",
				   path, SOURCE_BYTES_MAX);
	if (status == ATOM_OK && (mode & forbidden) != 0)
		status = atom_fail(
			err, ATOM_EPERM,
			"%s can be %s by others (mode %04" PRIo32
			"): chmod 0600 it, and think of making a new "
			"key",
			path, (mode & forbidden & 0022) ? "written" : "read",
			mode);
	if (status == ATOM_OK)
		status = kek_parse(bytes, length, path, kek_r, err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return status;
}

/* Secrets that containers mount are often readable by all in there. */
atom_status kek_read_file(const char *path, uint8_t kek_r[KEYRING_KEY_BYTES],
			  struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status = read_key(path, 0022, kek_r, &why);

	if (status == ATOM_OK)
		return ATOM_OK;
	return atom_fail(err, status, "security.encryption: %s", why.message);
}

atom_status kek_read_credential(const char *name,
				uint8_t kek_r[KEYRING_KEY_BYTES],
				struct atom_error *err)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];

	if (directory == NULL || directory[0] == '\0')
		return atom_fail(err, ATOM_EINVAL,
				 "security.encryption.credential: systemd gave "
				 "this process no credentials (no "
				 "$CREDENTIALS_DIRECTORY); add "
				 "LoadCredential=%s:PATH to the unit",
				 name);
	if (name[0] == '.' || strchr(name, '/') != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "security.encryption.credential: \"%s\" is no "
				 "name of a credential",
				 name);
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >=
	    sizeof(path))
		return atom_fail(err, ATOM_ELIMIT,
				 "security.encryption.credential: the path is "
				 "too long");
	return kek_read_file(path, kek_r, err);
}

atom_status kek_make_file(const char *path, uint8_t kek_r[KEYRING_KEY_BYTES],
			  struct atom_error *err)
{
	atom_status status = read_key(path, 0077, kek_r, err);

	if (status != ATOM_ENOENT)
		return status;
	if (os.random(kek_r, KEYRING_KEY_BYTES) != 0)
		return atom_fail(err, ATOM_EIO, "no random bytes to be had");
	return file_replace(path, kek_r, KEYRING_KEY_BYTES, err);
}
