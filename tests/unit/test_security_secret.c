/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "core/loop.h"
#include "security/principal.h"
#include "security/role.h"
#include "security/secret.h"

/* The text of API keys, their hash, and the built-in roles. */

Test(secret, a_new_key_has_the_documented_form)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[SECRET_TEXT_LENGTH + 1], id[SECRET_ID_LENGTH + 1];
	char parsed[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(text, id, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(strlen(text), SECRET_TEXT_LENGTH);
	cr_assert_eq(strncmp(text, "atm_", 4), 0);
	cr_assert_eq(text[4 + SECRET_ID_LENGTH], '_');
	cr_assert(secret_parse(text, parsed));
	cr_assert_str_eq(parsed, id);
}

Test(secret, two_keys_share_nothing)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char one[SECRET_TEXT_LENGTH + 1], other[SECRET_TEXT_LENGTH + 1];
	char id[SECRET_ID_LENGTH + 1], other_id[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(one, id, &err), ATOM_OK);
	cr_assert_eq(secret_make(other, other_id, &err), ATOM_OK);
	cr_assert_str_neq(id, other_id);
	cr_assert_str_neq(one + 17, other + 17);
}

Test(secret, every_single_typo_is_told_without_a_look_up)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[SECRET_TEXT_LENGTH + 1], id[SECRET_ID_LENGTH + 1];
	char parsed[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(text, id, &err), ATOM_OK);
	for (size_t i = 0; i < SECRET_TEXT_LENGTH; i++) {
		char right = text[i];

		text[i] = right == 'a' ? 'b' : 'a';
		cr_assert_not(secret_parse(text, parsed),
			      "character %zu changed and nobody noticed", i);
		text[i] = right;
	}
	text[SECRET_TEXT_LENGTH - 1] = '\0';
	cr_assert_not(secret_parse(text, parsed), "one character short");
	cr_assert_not(secret_parse("", parsed));
	cr_assert_not(secret_parse("atm_", parsed));
}

static void begin(const char *pepper)
{
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t bytes[SECRET_PEPPER_BYTES] = { 0 };

	memcpy(bytes, pepper, strlen(pepper));
	if (loop_current() == NULL)
		cr_assert_eq(loops_init(1, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(secret_set_pepper(bytes, &err), ATOM_OK, "%s",
		     err.message);
}

/* HMAC fills a short key up with zeros (RFC 2104), so a pepper may stand for
 * the short key of a published test. */
Test(secret, the_hash_is_hmac_sha256)
{
	/* RFC 4231, test case 2: key "Jefe". */
	static const uint8_t want[SECRET_HASH_LENGTH] = {
		0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
		0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
		0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
		0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43
	};
	const char *text = "what do ya want for nothing?";
	uint8_t hash[SECRET_HASH_LENGTH];

	begin("Jefe");
	/* Twice: the keyed context is used again. */
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(secret_hash(text, strlen(text), hash), ATOM_OK);
		cr_assert_arr_eq(hash, want, sizeof(want));
	}
	secret_fini();
}

Test(role, the_built_in_roles_are_the_documented_ones)
{
	cr_assert_eq(role_permissions("caller"),
		     (uint32_t)PERMISSION_INVOKE_AGENT);
	cr_assert_eq(role_permissions("read_only"),
		     (uint32_t)(PERMISSION_VIEW_METRICS |
				PERMISSION_VIEW_PUBLIC_LOGS));
	cr_assert_eq(role_permissions("operator"),
		     (uint32_t)(PERMISSION_VIEW_METRICS |
				PERMISSION_RESTART_AGENT |
				PERMISSION_VIEW_LOGS));
	cr_assert_eq(role_permissions("admin"), 0x1ffu);
	cr_assert_eq(role_permissions("root"), 0u);
	cr_assert_eq(role_permissions(""), 0u);
}

Test(role, words_and_bits_name_each_other)
{
	for (uint32_t bit = 1; bit <= PERMISSION_INVOKE_AGENT; bit <<= 1)
		cr_assert_eq(permission_of(permission_name(bit)), bit);
	cr_assert_eq(permission_of("view"), PERMISSION_NONE);
}
