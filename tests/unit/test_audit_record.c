/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "core/json.h"
#include "core/memory.h"

/* Records: the canonical form, what may be in them, and what may not. */

#define TIME_MS 1767323045678

static struct buffer line = BUFFER_INIT(AUDIT_LINE_MAX);

static const char *write_line(const struct audit_record *record)
{
	struct audit_entry *entry = audit_entry_new(record);

	cr_assert_not_null(entry);
	buffer_clear(&line);
	cr_assert_eq(audit_entry_write(entry, 12, TIME_MS, &line), ATOM_OK);
	mem_free(entry);
	return line.bytes;
}

Test(record, is_canonical_json)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_KEY_CREATE);

	record.user = "key:abc";
	record.address = "10.0.0.7";
	record.request_id = "req_1";
	audit_text(&record, "role", "admin");
	audit_text(&record, "agents", "a,b");
	audit_number(&record, "status", 201);
	audit_text(&record, "phase", "outcome");
	cr_assert_str_eq(
		write_line(&record),
		"{\"address\":\"10.0.0.7\",\"category\":\"security_events\","
		"\"details\":{\"agents\":\"a,b\",\"phase\":\"outcome\","
		"\"role\":\"admin\",\"status\":201},"
		"\"event_type\":\"key.create\",\"ocsf\":{\"activity\":"
		"\"Create\",\"class_name\":\"Account Change\","
		"\"class_uid\":3001},\"request_id\":\"req_1\","
		"\"sequence\":12,\"severity\":\"info\","
		"\"time\":\"2026-01-02T03:04:05.678Z\",\"user\":\"key:abc\"}");
}

static void check_sorted(const json_t *object, const char *text)
{
	const char *name, *last = "";
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		cr_assert(strcmp(last, name) < 0, "%s before %s in %s", last,
			  name, text);
		last = name;
		if (json_is_object(value))
			check_sorted(value, text);
		else
			cr_assert(json_is_string(value) ||
				  json_is_integer(value));
	}
}

/* jansson keeps the order in which it read the members. */
Test(record, every_event_is_well_formed_and_sorted)
{
	for (int i = AUDIT_NONE + 1; i < AUDIT_EVENT_COUNT; i++) {
		struct audit_record record = AUDIT_RECORD((enum audit_event)i);
		const struct audit_event_row *row =
			audit_event_row((enum audit_event)i);
		struct atom_error err = ATOM_ERROR_INIT;
		json_t *value = NULL;
		size_t count = 0;

		cr_assert_not_null(row->name, "event %d has no row", i);
		/* The other way round: the builder sorts. */
		while (row->details[count] != NULL)
			count++;
		while (count > 0)
			audit_text(&record, row->details[--count], "x");
		write_line(&record);
		cr_assert_eq(json_decode(line.bytes, line.length, &value, &err),
			     ATOM_OK, "%s: %s", row->name, err.message);
		check_sorted(value, line.bytes);
		cr_assert_eq(
			json_object_size(json_object_get(value, "details")),
			record.detail_count, "%s", line.bytes);
		json_decref(value);
	}
	cr_assert_eq(audit_details_refused(), 0);
	cr_assert_null(audit_event_row(AUDIT_EVENT_COUNT));
	cr_assert_null(audit_event_row(AUDIT_NONE));
}

Test(record, control_bytes_and_broken_text_are_escaped)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_LOGIN_FAILED);

	record.user = "a\"b\\c\nd\x1b[31m\x7f";
	record.address = "\xff\xfe";
	write_line(&record);
	cr_assert_not_null(strstr(
		line.bytes, "\"user\":\"a\\\"b\\\\c\\nd\\u001b[31m\\u007f\"}"));
	cr_assert_not_null(
		strstr(line.bytes, "\"address\":\"\xef\xbf\xbd\xef\xbf\xbd\""));
	for (size_t i = 0; i < line.length; i++)
		cr_assert((unsigned char)line.bytes[i] >= 0x20 &&
			  line.bytes[i] != 0x7f);
}

Test(record, what_the_event_does_not_list_stays_out)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_CALL);

	audit_text(&record, "prompt", "canary-in-the-prompt");
	audit_text(&record, "agent", "echo");
	audit_text(&record, "zzz", "canary-at-the-end");
	audit_text(&record, "agent", "canary-twice");
	write_line(&record);
	cr_assert_null(strstr(line.bytes, "canary"), "%s", line.bytes);
	cr_assert_not_null(
		strstr(line.bytes, "\"details\":{\"agent\":\"echo\"}"));
	cr_assert_eq(audit_details_refused(), 3);
}

Test(record, long_texts_are_cut_between_characters)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_CALL);
	char text[AUDIT_TEXT_MAX * 2];
	const char *at;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	/* A character of three bytes across the cut. */
	memcpy(text + AUDIT_TEXT_MAX - 1, "\xe2\x82\xac", 3);
	audit_text(&record, "agent", text);
	write_line(&record);
	at = strstr(line.bytes, "xxx");
	cr_assert_eq(strspn(at, "x"), AUDIT_TEXT_MAX - 1);
	cr_assert_eq(strncmp(at + AUDIT_TEXT_MAX - 1, "...\"", 4), 0);
}

Test(record, the_longest_one_fits)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_CALL);
	const char *const *name = audit_event_row(AUDIT_CALL)->details;
	char text[AUDIT_TEXT_MAX + 1];

	memset(text, 1, AUDIT_TEXT_MAX);
	text[AUDIT_TEXT_MAX] = '\0';
	for (; *name != NULL; name++)
		audit_text(&record, *name, text);
	cr_assert_leq(record.detail_count, AUDIT_DETAILS_MAX);
	record.user = record.address = record.request_id = text;
	write_line(&record);
	cr_assert_gt(line.length,
		     6 * (record.detail_count + 3) * AUDIT_TEXT_MAX);
}

Test(record, negative_and_large_numbers_are_written_whole)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_CALL);

	audit_number(&record, "duration_ms", INT64_MIN);
	audit_number(&record, "status", INT64_MAX);
	write_line(&record);
	cr_assert_not_null(strstr(line.bytes,
				  "\"duration_ms\":-9223372036854775808,"
				  "\"status\":9223372036854775807"));
}
