/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/os.h"
#include "core/text.h"
#include "keyring/kek.h"

/* What is taken as a key-encryption key, and what is refused. */

static struct atom_error err = ATOM_ERROR_INIT;
static uint8_t key[KEYRING_KEY_BYTES];
static uint8_t out[KEYRING_KEY_BYTES];
static char hexadecimal[2 * KEYRING_KEY_BYTES + 3];
static unsigned char base64[48];

static void begin(void)
{
	cr_assert_eq(os.random(key, sizeof(key)), 0);
	text_to_hex(key, sizeof(key), hexadecimal);
	cr_assert_eq(EVP_EncodeBlock(base64, key, sizeof(key)), 44);
}

static atom_status parse(const void *bytes, size_t length)
{
	return kek_parse(bytes, length, "the key", out, &err);
}

static atom_status parse_text(const char *text)
{
	return parse(text, strlen(text));
}

TestSuite(kek, .init = begin);

Test(kek, three_forms_give_the_same_key)
{
	char again[64 + 3];

	cr_assert_eq(parse(key, sizeof(key)), ATOM_OK, "%s", err.message);
	cr_assert_arr_eq(out, key, sizeof(key));
	cr_assert_eq(parse_text(hexadecimal), ATOM_OK);
	cr_assert_arr_eq(out, key, sizeof(key));
	cr_assert_eq(parse_text((const char *)base64), ATOM_OK);
	cr_assert_arr_eq(out, key, sizeof(key));
	/* One line end, and either case of digits. */
	(void)snprintf(again, sizeof(again), "%s\n", hexadecimal);
	cr_assert_eq(parse_text(again), ATOM_OK);
	(void)snprintf(again, sizeof(again), "%s\r\n", hexadecimal);
	cr_assert_eq(parse_text(again), ATOM_OK);
	for (char *at = again; *at; at++)
		if (*at >= 'a')
			*at = (char)(*at - 'a' + 'A');
	cr_assert_eq(parse_text(again), ATOM_OK);
	cr_assert_arr_eq(out, key, sizeof(key));
}

Test(kek, other_lengths_and_characters_are_refused_with_a_sentence)
{
	char text[80];

	for (size_t length = 0; length < 70; length++) {
		if (length == 32)
			continue;
		memset(text, '!', sizeof(text));
		memcpy(text, key, length < 32 ? length : 32);
		cr_assert_eq(parse(text, length), ATOM_EINVAL,
			     "%zu bytes were taken", length);
	}
	cr_assert(strstr(err.message, "openssl rand"), "%s", err.message);
	for (size_t i = 0; i < 64; i++) {
		(void)snprintf(text, sizeof(text), "%s", hexadecimal);
		text[i] = 'g';
		cr_assert_eq(parse_text(text), ATOM_EINVAL);
	}
	(void)snprintf(text, sizeof(text), " %.63s", hexadecimal);
	cr_assert_eq(parse_text(text), ATOM_EINVAL);
	(void)snprintf(text, sizeof(text), "%s\n\n", hexadecimal);
	cr_assert_eq(parse_text(text), ATOM_EINVAL);
	(void)snprintf(text, sizeof(text), "%s\r", hexadecimal);
	(void)snprintf(text, sizeof(text), "%s ", (const char *)base64);
	cr_assert_eq(parse_text(text), ATOM_EINVAL);
}

Test(kek, base64_is_canonical)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkl"
				       "mnopqrstuvwxyz0123456789+/";
	const char *last;
	char text[48];

	/* The last character carries four bits; those with the other two set
	 * stand for no bytes of their own. */
	(void)snprintf(text, sizeof(text), "%s", (const char *)base64);
	last = strchr(alphabet, text[42]);
	cr_assert(last && (last - alphabet) % 4 == 0);
	for (int bits = 1; bits < 4; bits++) {
		text[42] = last[bits];
		cr_assert_eq(parse_text(text), ATOM_EINVAL);
	}
	text[42] = *last;
	cr_assert_eq(parse_text(text), ATOM_OK);
	text[43] = 'A';
	cr_assert_eq(parse_text(text), ATOM_EINVAL);
	text[43] = '=';
	text[42] = '=';
	cr_assert_eq(parse_text(text), ATOM_EINVAL);
}

Test(kek, keys_that_nobody_drew_are_refused)
{
	uint8_t weak[KEYRING_KEY_BYTES] = { 0 };
	char text[65];

	cr_assert_eq(parse(weak, sizeof(weak)), ATOM_EINVAL, "zeros");
	for (size_t i = 0; i < sizeof(weak); i++)
		weak[i] = (uint8_t)(i * 3);
	cr_assert_eq(parse(weak, sizeof(weak)), ATOM_EINVAL, "0 3 6 ...");
	for (size_t i = 0; i < sizeof(weak); i++)
		weak[i] = (uint8_t)(200 + i % 8);
	cr_assert_eq(parse(weak, sizeof(weak)), ATOM_EINVAL, "eight bytes");
	cr_assert_eq(parse_text("correct horse battery staple 123"),
		     ATOM_EINVAL, "a sentence");
	/* Half of a hexadecimal key is a key of half the length. */
	cr_assert_eq(parse(hexadecimal, 32), ATOM_EINVAL);
	for (size_t i = 0; i < 64; i++)
		text[i] = "0123456789abcdef"[i % 16];
	text[64] = '\0';
	cr_assert_eq(parse_text(text), ATOM_EINVAL, "digits in a row");
	cr_assert(strstr(err.message, "random"), "%s", err.message);
}

/* --- files --------------------------------------------------------------- */

static char folder[64];
static char path[96];

static void begin_file(void)
{
	begin();
	(void)snprintf(folder, sizeof(folder), "/tmp/atomd-kek-XXXXXX");
	cr_assert(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/%s", folder, KEK_FILE);
}

static void end_file(void)
{
	(void)unlink(path);
	cr_assert_eq(rmdir(folder), 0, "something is left in the folder");
}

TestSuite(kek_file, .init = begin_file, .fini = end_file);

static void write_key(const void *bytes, size_t length, mode_t mode)
{
	FILE *f = fopen(path, "we");

	cr_assert(f);
	cr_assert_eq(fwrite(bytes, 1, length, f), length);
	cr_assert_eq(fclose(f), 0);
	cr_assert_eq(chmod(path, mode), 0);
}

Test(kek_file, is_read_whatever_bytes_it_holds)
{
	key[3] = 0;
	key[31] = '\n';
	write_key(key, sizeof(key), 0400);
	cr_assert_eq(kek_read_file(path, out, &err), ATOM_OK, "%s",
		     err.message);
	cr_assert_arr_eq(out, key, sizeof(key));
	write_key(hexadecimal, 64, 0444);
	cr_assert_eq(kek_read_file(path, out, &err), ATOM_OK);
}

Test(kek_file, others_may_not_write_it_and_it_is_a_file)
{
	write_key(key, sizeof(key), 0660);
	cr_assert_eq(kek_read_file(path, out, &err), ATOM_EPERM);
	cr_assert(strstr(err.message, "chmod"), "%s", err.message);
	cr_assert_eq(kek_read_file(folder, out, &err), ATOM_EINVAL);
	(void)unlink(path);
	cr_assert_eq(kek_read_file(path, out, &err), ATOM_ENOENT);
	cr_assert(strstr(err.message, path), "%s", err.message);
}

Test(kek_file, is_made_once_and_nobody_else_may_read_it)
{
	uint8_t first[KEYRING_KEY_BYTES];
	struct stat st;

	cr_assert_eq(kek_make_file(path, first, &err), ATOM_OK, "%s",
		     err.message);
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(kek_make_file(path, out, &err), ATOM_OK);
	cr_assert_arr_eq(out, first, sizeof(first));
	cr_assert_eq(chmod(path, 0640), 0);
	cr_assert_eq(kek_make_file(path, out, &err), ATOM_EPERM);
}

Test(kek_file, a_credential_is_a_name_below_systemds_folder)
{
	write_key(key, sizeof(key), 0400);
	cr_assert_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	cr_assert_eq(kek_read_credential(KEK_FILE, out, &err), ATOM_EINVAL);
	cr_assert(strstr(err.message, "LoadCredential"), "%s", err.message);
	cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	cr_assert_eq(kek_read_credential(KEK_FILE, out, &err), ATOM_OK);
	cr_assert_arr_eq(out, key, sizeof(key));
	cr_assert_eq(kek_read_credential("../x", out, &err), ATOM_EINVAL);
	cr_assert_eq(kek_read_credential("absent", out, &err), ATOM_ENOENT);
}

/* --- commands ------------------------------------------------------------ */

static atom_status run(const char *script, int timeout_ms)
{
	const char *const command[] = { "sh", "-c", script, hexadecimal, NULL };

	return kek_run(command, timeout_ms, out, &err);
}

Test(kek, a_command_writes_it)
{
	cr_assert_eq(run("echo $0", 10000), ATOM_OK, "%s", err.message);
	cr_assert_arr_eq(out, key, sizeof(key));
	/* In pieces, and from a child of its own. */
	cr_assert_eq(
		run("printf %.30s $0; printf ${0#??????????????????????????"
		    "????} | cat",
		    10000),
		ATOM_OK, "%s", err.message);
	cr_assert_arr_eq(out, key, sizeof(key));
}

Test(kek, a_command_that_fails_says_too_much_or_nothing_is_refused)
{
	cr_assert_eq(run("echo $0; exit 3", 10000), ATOM_EIO);
	cr_assert(strstr(err.message, "status 3"), "%s", err.message);
	cr_assert_eq(run("true", 10000), ATOM_EINVAL);
	cr_assert_eq(run("echo $0 $0 $0 $0", 10000), ATOM_EINVAL);
	cr_assert_eq(run("exec cat /dev/zero", 10000), ATOM_EINVAL);
	cr_assert_eq(run("kill -TERM $$", 10000), ATOM_EIO);
	{
		const char *const absent[] = { "/nowhere/at/all", NULL };

		cr_assert_eq(kek_run(absent, 1000, out, &err), ATOM_EIO);
		cr_assert(strstr(err.message, "/nowhere/at/all"));
	}
}

Test(kek, a_command_that_does_not_end_is_killed_with_its_children)
{
	/* Once it says nothing, once it has said all and stays. */
	cr_assert_eq(run("sleep 1000 | cat", 100), ATOM_ETIMEOUT);
	cr_assert_eq(run("echo $0; exec sleep 1000 >/dev/null", 100),
		     ATOM_ETIMEOUT);
	cr_assert(strstr(err.message, "killed"), "%s", err.message);
}
