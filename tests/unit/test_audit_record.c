/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit_priv.h"
#include "audit/call.h"
#include "audit/record.h"
#include "core/json.h"
#include "core/memory.h"
#include "failing_memory.h"

/* Records: the canonical form, what may be in them, and what may not. */

#define TIME "2026-01-02T03:04:05.678Z"

static struct buffer line = BUFFER_INIT(AUDIT_LINE_MAX);

static const char *write_line(const struct audit_record *record)
{
	struct audit_entry *entry = audit_entry_new(record);

	cr_assert_not_null(entry);
	buffer_clear(&line);
	cr_assert_eq(audit_entry_write(entry, 12, TIME, &line), ATOM_OK);
	audit_entry_free(entry);
	return line.bytes;
}

/* What could not be made was once spared for the next one, and crashed it. */
Test(batch, without_memory_is_none_and_the_next_one_is_whole)
{
	for (unsigned int n = 1;; n++) {
		struct audit_batch *batch;
		bool failed;

		failing_memory_begin(n);
		batch = batch_new(8);
		failed = failing_memory_end();
		cr_assert_eq(batch == NULL, failed);
		if (failed)
			batch = batch_new(8);
		cr_assert_not_null(batch->records);
		cr_assert_not_null(batch->starts);
		if (!failed) {
			batch_unref(&batch);
			break;
		}
		/* So that the next round makes a new one. */
		mem_free(batch->records);
		mem_free(batch->starts);
		buffer_fini(&batch->json);
		mem_free(batch);
	}
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

/* --- calls: made another way, and the same ----------------------------------- */

static const char *write_call(const struct audit_call *call)
{
	static struct buffer out = BUFFER_INIT(AUDIT_LINE_MAX);
	struct audit_entry *entry = audit_call_entry(call);

	cr_assert_not_null(entry);
	buffer_clear(&out);
	cr_assert_eq(audit_entry_write(entry, 12, TIME, &out), ATOM_OK);
	audit_entry_free(entry);
	cr_assert_eq(out.length, strlen(out.bytes));
	return out.bytes;
}

/* The line that the general way makes of the same. */
static const char *write_generally(const struct audit_call *call)
{
	struct audit_record record = AUDIT_RECORD(
		call->status >= 500 ? AUDIT_CALL_FAILED : AUDIT_CALL);
	const struct {
		const char *name, *text;
	} texts[] = {
		{ "agent", call->agent },
		{ "code", call->code },
		{ "revision", call->revision },
		{ "session", call->session },
	};

	record.user = call->user;
	record.address = call->address;
	record.request_id = call->request_id;
	for (size_t i = 0; i < 4; i++)
		if (texts[i].text != NULL && texts[i].text[0] != '\0')
			audit_text(&record, texts[i].name, texts[i].text);
	if (call->duration_ms >= 0)
		audit_number(&record, "duration_ms", call->duration_ms);
	audit_number(&record, "input_bytes", call->input_bytes);
	audit_number(&record, "input_tokens", call->input_tokens);
	audit_number(&record, "output_bytes", call->output_bytes);
	audit_number(&record, "output_tokens", call->output_tokens);
	audit_number(&record, "status", call->status);
	if (call->stream)
		audit_number(&record, "stream", 1);
	return write_line(&record);
}

Test(record, a_call_is_the_line_that_the_general_way_makes)
{
	char longest[AUDIT_TEXT_MAX + 1], longer[2 * AUDIT_TEXT_MAX];
	char control[AUDIT_TEXT_MAX + 50];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	/* Cut in the middle of a character. */
	for (size_t i = 0; i + 3 < sizeof(longer); i += 3)
		memcpy(longer + i, "\xe2\x82\xac", 4);
	memset(control, 1, sizeof(control) - 1);
	control[sizeof(control) - 1] = '\0';

	const struct audit_call calls[] = {
		{ .user = "key:4fQ2kPz81hWs",
		  .address = "203.0.113.77",
		  .request_id = "req_01j9x2m4c8v5k7n3p6q8r0s2t4",
		  .agent = "summarizer",
		  .revision = "3",
		  .session = "a1b2c3",
		  .code = "",
		  .duration_ms = 1234567890123,
		  .input_bytes = 10,
		  .input_tokens = 9,
		  .output_bytes = INT64_MAX,
		  .output_tokens = 100,
		  .status = 200,
		  .stream = true },
		{ .duration_ms = -1,
		  .input_tokens = -1,
		  .output_tokens = INT64_MIN,
		  .status = 499 },
		{ .user = longer,
		  .address = longest,
		  .request_id = control,
		  .agent = control,
		  .code = longer,
		  .revision = control,
		  .session = longest,
		  .status = 503 },
		{ .user = "\"\\\x7f\n\xff", .agent = "a", .status = 599 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		cr_assert_str_eq(write_call(&calls[i]),
				 write_generally(&calls[i]));
	cr_assert_eq(audit_details_refused(), 0);
}

/* Over many blocks, in another order than they were made. */
Test(record, entries_of_calls_live_until_each_has_ended)
{
	enum {
		COUNT = 3000
	};
	static struct audit_entry *entries[COUNT];
	static struct buffer out = BUFFER_INIT(AUDIT_LINE_MAX);
	char id[32], expected[64];

	for (int i = 0; i < COUNT; i++) {
		(void)snprintf(id, sizeof(id), "req_%d", i);
		entries[i] = audit_call_entry(&(struct audit_call){
			.request_id = id, .status = 200 });
		cr_assert_not_null(entries[i]);
	}
	for (int k = 0; k < COUNT; k++) {
		int i = (int)((unsigned int)k * 7919 % COUNT);

		buffer_clear(&out);
		cr_assert_eq(audit_entry_write(entries[i], 1, TIME, &out),
			     ATOM_OK);
		(void)snprintf(expected, sizeof(expected),
			       "\"request_id\":\"req_%d\",", i);
		cr_assert(strstr(out.bytes, expected), "%s", out.bytes);
		audit_entry_free(entries[i]);
	}
	buffer_fini(&out);
}
