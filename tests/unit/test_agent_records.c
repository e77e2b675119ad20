/* SPDX-License-Identifier: Apache-2.0 */

/* Records of revisions: what goes in comes out, and what is damaged is told. */

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "agent/records.h"
#include "config/parse.h"
#include "core/json.h"

static struct setting *tree_of(const char *text)
{
	struct buffer errors = BUFFER_INIT(65536);
	struct setting *root = NULL;

	cr_assert_eq(parse_text(text, strlen(text), "t", &root, &errors),
		     ATOM_OK, "%s", text);
	buffer_fini(&errors);
	return root;
}

static json_t *record_of(const char *text, int64_t undone_to)
{
	const struct record_change change = { .origin = RECORD_UNDO,
					      .who = "key:k1",
					      .why = "it was \"bad\"",
					      .undone_to = undone_to };
	struct atom_error err = ATOM_ERROR_INIT;
	struct setting *setting = tree_of(text);
	json_t *record = NULL;

	cr_assert_eq(record_make(setting, "/etc/atomd", 7, &change, 0, NULL, 6,
				 &record, &err),
		     ATOM_OK);
	setting_free(&setting);
	return record;
}

/* As the store would give it back. */
static atom_status decode(const char *value, int64_t number, json_t **record_r,
			  struct atom_error *err)
{
	const struct state_record stored = {
		.value = { value, strlen(value) },
	};

	return record_decode("echo", number, &stored, record_r, err);
}

static const char *const texts[] = {
	"name = \"echo\"; backend: { plugin = \"echo\"; };",
	"system_prompt = \"line one\\nline \\\"two\\\"\\n\\ttab \\\\ end\";",
	"a = 1; b = -5; c = 2147483648L; d = 0.1; e = 1e300; f = false;",
	"l = ( ); g: { }; m = ( { a = 1; }, ( 1, 2.5, \"x\" ) );",
	"k = \"${file:secret}\"; v = \"${env:V:-x}\"; u = \"\xc3\xa4\";",
};

Test(agent_records, a_text_comes_out_of_its_record_as_it_went_in)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct buffer value = BUFFER_INIT(1 << 20);
		json_t *made = record_of(texts[i], 2), *read = NULL;
		struct setting *before = tree_of(texts[i]), *after = NULL;
		char hash[65], again[65];

		cr_assert_eq(json_encode(made, &value), ATOM_OK);
		cr_assert_eq(decode(value.bytes, 7, &read, &err), ATOM_OK, "%s",
			     err.message);
		cr_assert_eq(record_setting("echo", read, &after, &err),
			     ATOM_OK, "%s", err.message);
		cr_assert_eq(record_hash(before, hash), ATOM_OK);
		cr_assert_eq(record_hash(after, again), ATOM_OK);
		cr_assert_str_eq(hash, again);
		cr_assert_str_eq(hash, json_text(read, "hash", ""));
		cr_assert_str_eq(json_text(read, "why", ""), "it was \"bad\"");
		cr_assert_str_eq(json_text(read, "origin", ""), "undo");
		cr_assert_eq(
			json_integer_value(json_object_get(read, "undone_to")),
			2);
		setting_free(&before);
		setting_free(&after);
		json_decref(made);
		json_decref(read);
		buffer_fini(&value);
	}
}

Test(agent_records, every_changed_character_of_a_text_is_noticed)
{
	json_t *record = record_of(texts[0], 0);
	const char *whole = json_text(record, "text", "");
	size_t length = strlen(whole);

	cr_assert_gt(length, 30);
	for (size_t i = 0; i < length; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct setting *setting = NULL;
		json_t *bad = json_deep_copy(record);
		char *text = strdup(whole);

		/* Space is no part of the text; all else is. */
		if (strchr(" \t\n", text[i]) == NULL) {
			text[i] = text[i] == 'x' ? 'y' : 'x';
			json_object_set_new(bad, "text", json_string(text));
			cr_assert_eq(
				record_setting("echo", bad, &setting, &err),
				ATOM_EDATALOSS, "%s", text);
			cr_assert_not_null(strstr(err.message, "undo echo"));
			cr_assert_null(setting);
		}
		free(text);
		json_decref(bad);
	}
	json_decref(record);
}

Test(agent_records, what_is_no_record_of_this_number_is_damage)
{
	static const char *const values[] = {
		"",
		"{",
		"[]",
		"{}",
		"null",
		"{\"revision\":7}",
		"{\"revision\":8,\"text\":\"\",\"hash\":\"\"}",
		"{\"revision\":7,\"text\":1,\"hash\":\"\"}",
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *record = NULL;

		cr_assert_eq(decode(values[i], 7, &record, &err),
			     ATOM_EDATALOSS, "%s", values[i]);
		cr_assert_null(record);
		cr_assert_not_null(strstr(err.message, "revision 7 of echo"));
	}
}

Test(agent_records, keys_are_in_the_order_of_numbers)
{
	char a[RECORD_KEY_MAX], b[RECORD_KEY_MAX];

	record_key("echo", 9, a);
	record_key("echo", 10, b);
	cr_assert_lt(strcmp(a, b), 0);
	cr_assert_str_eq(b, "echo/0000000010");
}
