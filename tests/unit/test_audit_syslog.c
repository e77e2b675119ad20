/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of RFC 5424 byte by byte, and the queue that they wait in. */
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "plugins/audit/syslog/message.h"
#include "plugins/audit/syslog/outbox.h"

static const uint8_t hash[32] = { 0xab, 0xcd };

#define HASH                                \
	"abcd00000000000000000000000000000" \
	"0000000000000000000000000000000"

static struct message_origin origin = {
	.facility = 13,
	.mark = true,
	.size_max = 4096,
	.hostname = "mymachine.example.com",
	.app_name = "atomd",
	.procid = "8710",
	.sd_id = "atomd@32473",
};

static struct message message = {
	.severity = ATOM_LOG_WARN,
	.time_ms = 1065910455003,
	.sequence = UINT64_MAX,
	.hash = hash,
	.msgid = "ID47",
	.category = "security_events",
};

static void set_text(const char *text)
{
	message.text = (struct atom_span){ text, strlen(text) };
}

/* `out` is exactly as large as it says, so that a write beyond shows. */
static char *format(size_t *length_r, bool *cut_r)
{
	char *out = malloc(origin.size_max), *text;

	cr_assert(out);
	*length_r = message_format(&origin, &message, out, cut_r);
	cr_assert_leq(*length_r, origin.size_max);
	text = malloc(*length_r + 1);
	cr_assert(text);
	memcpy(text, out, *length_r);
	text[*length_r] = '\0';
	free(out);
	return text;
}

static void expect(const char *expected)
{
	size_t length;
	bool cut;
	char *text = format(&length, &cut);

	cr_assert_not(cut);
	cr_assert_str_eq(text, expected);
	free(text);
}

#define HEAD_OF(pri, id)                                                   \
	"<" pri ">1 2003-10-11T22:14:15.003Z mymachine.example.com atomd " \
	"8710 " id                                                         \
	" [atomd@32473 sequence=\"18446744073709551615\" hash=\"" HASH     \
	"\" category=\"security_events\"] "

Test(syslog_message, has_the_form_of_rfc_5424)
{
	set_text("{\"a\":1}");
	expect(HEAD_OF("108", "ID47") "{\"a\":1}");
}

Test(syslog_message, priority_is_facility_times_eight_and_severity)
{
	static const struct {
		int32_t severity, facility;
		const char *head;
	} rows[] = {
		{ ATOM_LOG_ERROR, 0, HEAD_OF("3", "ID47") },
		{ ATOM_LOG_WARN, 13, HEAD_OF("108", "ID47") },
		{ ATOM_LOG_INFO, 20, HEAD_OF("166", "ID47") },
		{ ATOM_LOG_DEBUG, 23, HEAD_OF("191", "ID47") },
		{ 99, 13, HEAD_OF("110", "ID47") },
	};

	set_text("");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		message.severity = rows[i].severity;
		origin.facility = rows[i].facility;
		expect(rows[i].head);
	}
}

Test(syslog_message, names_the_event_in_32_printable_characters)
{
	set_text("");
	message.msgid = "";
	expect(HEAD_OF("108", "-"));
	message.msgid = "a b\tc]\"\x7f\xc3\xa9";
	expect(HEAD_OF("108", "a_b_c]\"___"));
	message.msgid = "0123456789012345678901234567890123456789";
	expect(HEAD_OF("108", "01234567890123456789012345678901"));
}

Test(syslog_message, values_are_escaped)
{
	size_t length;
	bool cut;
	char *text;

	set_text("x");
	message.category = "a\"b\\c]d\ne";
	text = format(&length, &cut);
	cr_assert(strstr(text, " category=\"a\\\"b\\\\c\\]d_e\"] x"), "%s",
		  text);
	free(text);
	message.category = NULL;
	text = format(&length, &cut);
	cr_assert(strstr(text, "hash=\"" HASH "\"] x"), "%s", text);
	free(text);
}

Test(syslog_message, mark_stands_before_utf8_beyond_ascii_alone)
{
	set_text("{\"a\":\"\xc3\xa9\"}");
	expect(HEAD_OF("108", "ID47") "\xef\xbb\xbf{\"a\":\"\xc3\xa9\"}");
	set_text("{\"a\":\"\xc3\xa9\xff\"}");
	expect(HEAD_OF("108", "ID47") "{\"a\":\"\xc3\xa9\xff\"}");
	origin.mark = false;
	set_text("{\"a\":\"\xc3\xa9\"}");
	expect(HEAD_OF("108", "ID47") "{\"a\":\"\xc3\xa9\"}");
}

Test(syslog_message, control_bytes_leave_escaped)
{
	set_text("a\n\x1b\x7f");
	expect(HEAD_OF("108", "ID47") "a\\u000a\\u001b\\u007f");
}

Test(syslog_message, is_cut_between_characters_at_every_length)
{
	static char text[3 * 400 + 1];

	for (size_t i = 0; i < 400; i++)
		memcpy(text + 3 * i, i % 2 ? "\xe2\x82\xac" : "a\nb", 4);
	set_text(text);
	for (origin.size_max = MESSAGE_HEAD_MAX; origin.size_max < 1400;
	     origin.size_max++) {
		size_t length;
		bool cut;
		char *out = format(&length, &cut), *body;

		cr_assert(cut);
		cr_assert(strstr(out, " length=\"1200\"] \xef\xbb\xbf"));
		/* No more is missing than one character needs. */
		cr_assert_geq(length + 6, origin.size_max);
		body = strstr(out, "\xef\xbb\xbf") + 3;
		for (const char *at = body; *at != '\0';) {
			static const char *const whole[] = { "a", "\\u000a",
							     "b",
							     "\xe2\x82\xac" };
			size_t size = 0;

			for (int i = 0; i < 4 && size == 0; i++)
				if (strncmp(at, whole[i], strlen(whole[i])) ==
				    0)
					size = strlen(whole[i]);
			cr_assert_gt(size, 0, "%s", at);
			at += size;
		}
		free(out);
	}
}

Test(syslog_message, one_that_just_fits_is_whole)
{
	size_t length, needed;
	static char text[2000];
	bool cut;

	memset(text, 'x', sizeof(text) - 1);
	set_text(text);
	free(format(&needed, &cut));
	cr_assert_not(cut);
	origin.size_max = needed;
	free(format(&length, &cut));
	cr_assert_not(cut);
	origin.size_max = needed - 1;
	free(format(&length, &cut));
	cr_assert(cut);
}

Test(syslog_message, the_largest_head_fits)
{
	size_t length;
	bool cut;

	message_field(origin.hostname, MESSAGE_HOSTNAME_MAX, "");
	cr_assert_str_eq(origin.hostname, "-");
	memset(origin.hostname, 'h', MESSAGE_HOSTNAME_MAX);
	memset(origin.app_name, 'a', MESSAGE_APP_NAME_MAX);
	memset(origin.procid, 'p', MESSAGE_PROCID_MAX);
	memset(origin.sd_id, 's', MESSAGE_SD_NAME_MAX);
	message.msgid = "0123456789012345678901234567890123456789";
	message.category = "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
			   "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\""
			   "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"";
	origin.size_max = MESSAGE_HEAD_MAX;
	set_text("{}");
	free(format(&length, &cut));
	cr_assert_not(cut);
}

Test(syslog_message, structured_data_is_named_as_rfc_5424_allows)
{
	cr_assert(message_is_sd_name("atomd@32473"));
	cr_assert(message_is_sd_name("12345678901234567890123456789012"));
	cr_assert_not(message_is_sd_name("123456789012345678901234567890123"));
	for (const char *wrong = " =]\"\x7f\n\xc3"; *wrong != '\0'; wrong++) {
		const char name[] = { 'a', *wrong, '\0' };

		cr_assert_not(message_is_sd_name(name), "%s", name);
	}
	cr_assert_not(message_is_sd_name(""));
}

/* --- the outbox -------------------------------------------------------------- */

static struct outbox outbox;

static void add(const char *bytes)
{
	cr_assert(outbox_append(&outbox, "2 ", 2, bytes, strlen(bytes)));
}

Test(syslog_outbox, keeps_what_is_sent_until_it_is_confirmed)
{
	outbox_init(&outbox, 100);
	add("aa");
	add("bb");
	add("cc");
	cr_assert_eq(outbox.bytes, 12);
	cr_assert_eq(outbox_confirm(&outbox, UINT64_MAX), 0);
	outbox_sent(&outbox, 4);
	outbox_sent(&outbox, 8);
	cr_assert_eq(outbox_confirm(&outbox, 7), 1);
	cr_assert_arr_eq(outbox.first->bytes, "2 bb", 4);
	outbox_rewind(&outbox);
	cr_assert_eq(outbox.unsent, outbox.first);
	outbox_sent(&outbox, 4);
	outbox_sent(&outbox, 8);
	cr_assert_null(outbox.unsent);
	add("dd");
	cr_assert_arr_eq(outbox.unsent->bytes, "2 dd", 4);
	cr_assert_eq(outbox_confirm(&outbox, 8), 2);
	cr_assert_eq(outbox.first, outbox.unsent);
	outbox_fini(&outbox);
	cr_assert_eq(outbox.bytes, 0);
	cr_assert_eq(outbox.count, 0);
}

Test(syslog_outbox, has_room_up_to_its_limit_and_for_one_of_any_size)
{
	outbox_init(&outbox, 10);
	cr_assert(outbox_has_room(&outbox, 11));
	add("aa");
	cr_assert(outbox_has_room(&outbox, 6));
	cr_assert_not(outbox_has_room(&outbox, 7));
	outbox_fini(&outbox);
}
