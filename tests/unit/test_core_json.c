/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON through jansson within our limits.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "failing_memory.h"

static atom_status decode(const char *text, json_t **value_r,
			  struct atom_error *err)
{
	return json_decode(text, strlen(text), value_r, err);
}

Test(core_json, sound_values_go_round)
{
	static const char *const texts[] = {
		"{}",
		"[1,-2,0.5,true,false,null]",
		"\"x\"",
		"{\"a\":{\"b\":[\"\xc3\xa4\",\"\\n\"]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buffer out = BUFFER_INIT(1000);
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *value = NULL;

		cr_assert_eq(decode(texts[i], &value, &err), ATOM_OK, "%s",
			     err.message);
		cr_assert_eq(json_encode(value, &out), ATOM_OK);
		cr_assert_str_eq(out.bytes, texts[i]);
		json_decref(value);
		buffer_fini(&out);
	}
}

Test(core_json, wrong_text_is_refused_with_its_place)
{
	static const struct {
		const char *text;
		const char *place;
	} cases[] = {
		{ "", "line 1" },
		{ "{\"a\":1,}", "line 1, column 8" },
		{ "{\n  \"a\": tru\n}", "line 2" },
		{ "[1] x", "line 1, column 5" },
		{ "{\"a\":1,\"a\":2}", "line 1" },
		{ "{\"x\":{\"a\":1,\"a\":2}}", "line 1" },
		{ "\"\xff\"", "line 1" },
		{ "\"\\ud800\"", "line 1" },
		{ "\"\\u0000\"", "line 1" },
		{ "[99999999999999999999]", "line 1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *value = NULL;

		cr_expect_eq(decode(cases[i].text, &value, &err), ATOM_EINVAL,
			     "%s", cases[i].text);
		cr_expect(strstr(err.message, cases[i].place), "%s: %s",
			  cases[i].text, err.message);
		cr_expect_null(value);
	}
}

Test(core_json, sixty_four_deep_and_no_deeper)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[2 * 65 + 1];
	json_t *value = NULL;

	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	text[130] = '\0';
	cr_assert_eq(decode(text, &value, &err), ATOM_EINVAL);
	cr_assert(strstr(err.message, "column 65"), "%s", err.message);
	cr_assert_eq(json_decode(text + 1, 128, &value, &err), ATOM_OK);
	json_decref(value);
}

Test(core_json, without_memory_it_says_so)
{
	for (unsigned int n = 1;; n++) {
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *value = NULL;

		failing_memory_begin(n);

		atom_status status =
			decode("{\"a\":[1,\"two\"]}", &value, &err);

		if (!failing_memory_end()) {
			cr_assert_eq(status, ATOM_OK);
			json_decref(value);
			break;
		}
		cr_assert_neq(status, ATOM_OK);
		cr_assert_null(value);
	}
}

/* jansson does not see that a text has lost what there was no memory for. */
Test(core_json, a_text_is_whole_or_none)
{
	static const char text[] =
		"[\"0123456789 0123456789 0123456789 0123456789\"]";
	unsigned int n;

	for (n = 1;; n++) {
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *value = NULL;
		atom_status status;

		failing_memory_begin(n);
		status = decode(text, &value, &err);
		if (!failing_memory_end()) {
			cr_assert_eq(status, ATOM_OK);
			json_decref(value);
			break;
		}
		cr_assert_eq(status, ATOM_ENOMEM, "%u: %d", n, status);
		cr_assert_null(value);
	}
	cr_assert_gt(n, 5);
}

Test(core_json, what_is_written_is_whole_or_nothing)
{
	json_t *value = json_pack("{s:s,s:s}", "name",
				  "0123456789 0123456789 0123456789", "other",
				  "0123456789 0123456789 0123456789");
	char *whole = json_write(value, JSON_COMPACT);
	bool failed = true;

	cr_assert_not_null(whole);
	for (unsigned int n = 1; failed; n++) {
		char *text;

		failing_memory_begin(n);
		text = json_write(value, JSON_COMPACT);
		failed = failing_memory_end();
		if (failed)
			cr_assert_null(text, "%u", n);
		else
			cr_assert_str_eq(text, whole);
		free(text);
	}
	free(whole);
	json_decref(value);
}

Test(core_json, a_member_lost_for_want_of_memory_is_counted)
{
	const unsigned int before = json_failures();
	json_t *value = json_object();

	failing_memory_begin(1);
	(void)json_object_set_new(value, "name", json_string("text"));
	cr_assert(failing_memory_end());
	cr_assert_eq(json_object_size(value), 0);
	cr_assert_gt(json_failures(), before);
	json_decref(value);
}

Test(core_json, encoding_stops_at_the_maximum)
{
	json_t *value = json_pack("{s:s}", "name", "0123456789");
	struct buffer out = BUFFER_INIT(12);

	cr_assert_eq(buffer_append_text(&out, "before"), ATOM_OK);
	cr_assert_eq(json_encode(value, &out), ATOM_ELIMIT);
	cr_assert_str_eq(out.bytes, "before");
	cr_assert_eq(json_encode(NULL, &out), ATOM_EINVAL);
	json_decref(value);
	buffer_fini(&out);
}

/* jansson goes on after a name that did not fit. */
Test(core_json, a_name_that_does_not_fit_is_not_left_out)
{
	json_t *value = json_pack("{s:i}", "a long name", 1);
	struct buffer out = BUFFER_INIT(8);

	cr_assert_eq(json_encode(value, &out), ATOM_ELIMIT);
	cr_assert_str_eq(out.bytes, "");
	json_decref(value);
	buffer_fini(&out);
}

Test(core_json, a_members_text_or_the_fallback)
{
	json_t *value = json_pack("{s:s,s:i}", "name", "echo", "count", 3);

	cr_assert_str_eq(json_text(value, "name", "none"), "echo");
	cr_assert_str_eq(json_text(value, "count", "none"), "none");
	cr_assert_str_eq(json_text(value, "other", "none"), "none");
	cr_assert_null(json_text(NULL, "name", NULL));
	json_decref(value);
}
