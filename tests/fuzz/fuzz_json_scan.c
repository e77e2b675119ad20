/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as JSON: the scanner and jansson must agree on what is sound, and
 * whatever the scanner calls sound must be readable by its spans.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define MEMBERS 32

/* Reads everything in a value; spans must be sound values of their own. */
static void walk(const struct json_span *value)
{
	struct json_iterator iterator = json_iterate(value);
	struct json_member member;
	struct json_span element;
	struct json_scan_error error;
	char text[64];
	int64_t number;

	if (json_scan_value(value->at, value->length, JSON_SCAN_DEPTH_MAX,
			    &element, &error) != ATOM_OK ||
	    element.kind != value->kind || element.at != value->at ||
	    element.length != value->length ||
	    element.escaped != value->escaped)
		abort();
	(void)json_span_to_text(value, text, sizeof(text));
	(void)json_span_to_int(value, &number);
	if (value->kind == JSON_SPAN_ARRAY)
		while (json_next_element(&iterator, &element))
			walk(&element);
	if (value->kind == JSON_SPAN_OBJECT)
		while (json_next_member(&iterator, &member)) {
			walk(&member.name);
			walk(&member.value);
		}
}

/* jansson refuses numbers beyond its types and names with a NUL. */
static bool excused(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);

	return code == json_error_numeric_overflow ||
	       code == json_error_null_byte_in_key ||
	       code == json_error_null_character;
}

static void compare(const char *text, size_t size)
{
	struct json_span value;
	struct json_scan_error failure;
	json_error_t error;
	atom_status status = json_scan_value(text, size, JSON_SCAN_DEPTH_MAX,
					     &value, &failure);
	json_t *other = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL,
				   &error);

	if (status == ATOM_OK) {
		if (!other && !excused(&error))
			abort();
		walk(&value);
	} else {
		if (failure.offset > size || !failure.what)
			abort();
		/* jansson takes a NUL for the end of the text. */
		if (other && status != ATOM_ELIMIT && !memchr(text, '\0', size))
			abort();
	}
	json_decref(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct json_member members[MEMBERS];
	struct json_scan_error failure;
	size_t count;

	compare((const char *)bytes, size);
	if (json_scan_object((const char *)bytes, size, JSON_SCAN_DEPTH_MAX,
			     members, MEMBERS, &count, &failure) == ATOM_OK) {
		for (size_t i = 0; i < count; i++) {
			walk(&members[i].name);
			walk(&members[i].value);
		}
	}
	return 0;
}
