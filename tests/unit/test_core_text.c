/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: what counts as a number, a duration, a size, a time, a name, an
 * address in a network; and which word was meant.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/memory.h"
#include "core/text.h"

Test(core_text, integers)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "007", true, 7 },
		{ "-42", true, -42 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "99999999999999999999", false, 0 },
		{ "", false, 0 },
		{ "-", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1.0", false, 0 },
		{ "0x10", false, 0 },
		{ "1e3", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t value = 77;

		cr_expect_eq(text_to_int(cases[i].text, &value), cases[i].good,
			     "'%s'", cases[i].text);
		cr_expect_eq(value, cases[i].good ? cases[i].value : 77, "'%s'",
			     cases[i].text);
	}
}

Test(core_text, floats)
{
	static const char *const good[] = { "0",    "1.5",  "-2.25", "1e3",
					    "1E-3", "2e+2", "007.5" };
	static const double values[] = { 0, 1.5, -2.25, 1000, 0.001, 200, 7.5 };
	static const char *const bad[] = {
		"",   "-",  ".5", "5.",	 "1e",	"1e+",	 "inf",	   "nan",
		"+1", " 1", "1 ", "0x1", "1,5", "1e999", "-1e999", "1.2.3",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		double value = 0;

		cr_expect(text_to_float(good[i], &value), "'%s'", good[i]);
		cr_expect_eq(value, values[i], "'%s'", good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		double value = 7;

		cr_expect_not(text_to_float(bad[i], &value), "'%s'", bad[i]);
		cr_expect_eq(value, 7);
	}
}

Test(core_text, durations)
{
	static const struct {
		const char *text;
		int64_t unit_ms;
		int64_t ms; /* -1: refused */
	} cases[] = {
		{ "250ms", 1, 250 },
		{ "30s", 1, 30000 },
		{ "5m", 1, 300000 },
		{ "2h", 1, 7200000 },
		{ "30d", 1, 2592000000 },
		{ "0", 1000, 0 },
		{ "17", 1, 17 },
		{ "17", 1000, 17000 },
		{ "9223372036854775807ms", 1, INT64_MAX },
		{ "106751991167d", 1, 9223372036828800000 },
		{ "106751991168d", 1, -1 },
		{ "9223372036854775807s", 1, -1 },
		{ "9223372036854775807", 1000, -1 },
		{ "9223372036854775808ms", 1, -1 },
		{ "", 1, -1 },
		{ "s", 1, -1 },
		{ "-1s", 1, -1 },
		{ "1.5s", 1, -1 },
		{ "1 s", 1, -1 },
		{ "1S", 1, -1 },
		{ "1w", 1, -1 },
		{ "1h30m", 1, -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t ms = -1;

		cr_expect_eq(
			text_to_duration(cases[i].text, cases[i].unit_ms, &ms),
			cases[i].ms >= 0, "'%s'", cases[i].text);
		cr_expect_eq(ms, cases[i].ms, "'%s'", cases[i].text);
	}
}

Test(core_text, sizes)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "64K", 65536 },
		{ "2M", 2097152 },
		{ "1G", 1073741824 },
		{ "8589934591G", 9223372035781033984 },
		{ "8589934592G", -1 },
		{ "64k", -1 },
		{ "64KB", -1 },
		{ "1.5M", -1 },
		{ "-1", -1 },
		{ "K", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t bytes = -1;

		cr_expect_eq(text_to_size(cases[i].text, &bytes),
			     cases[i].bytes >= 0, "'%s'", cases[i].text);
		cr_expect_eq(bytes, cases[i].bytes, "'%s'", cases[i].text);
	}
}

Test(core_text, times_both_ways)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ 1767323045678, "2026-01-02T03:04:05.678Z" },
		{ 1709251199999, "2024-02-29T23:59:59.999Z" },
		{ 4107542400000, "2100-03-01T00:00:00.000Z" },
		{ -62167219200000, "0000-01-01T00:00:00.000Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};
	char text[TEXT_TIME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t ms = 7;

		text_of_time(cases[i].ms, text);
		cr_expect_str_eq(text, cases[i].text);
		cr_expect(text_to_time(text, &ms), "%s", text);
		cr_expect_eq(ms, cases[i].ms, "%s", text);
	}
	text_of_time(INT64_MAX, text);
	cr_expect_str_eq(text, "9999-12-31T23:59:59.999Z");
	text_of_time(INT64_MIN, text);
	cr_expect_str_eq(text, "0000-01-01T00:00:00.000Z");
}

Test(core_text, times_as_others_write_them)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{ "2026-01-02T03:04:05Z", 1767323045000 },
		{ "2026-01-02t03:04:05.5z", 1767323045500 },
		{ "2026-01-02 03:04:05.678912Z", 1767323045678 },
		{ "2026-01-02T04:04:05+01:00", 1767323045000 },
		{ "2026-01-01T21:34:05-05:30", 1767323045000 },
		{ "2016-12-31T23:59:60Z", 1483228800000 },
	};
	static const char *const bad[] = {
		"",
		"2026-01-02",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04Z",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-02-29T03:04:05Z",
		"2100-02-29T00:00:00Z",
		"2026-01-32T03:04:05Z",
		"2026-01-02T24:00:00Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:61Z",
		"2026-01-02T03:04:05.Z",
		"2026-01-02T03:04:05Zx",
		"2026-01-02T03:04:05+0100",
		"2026-01-02T03:04:05+24:00",
		"226-01-02T03:04:05Z",
		"2026-1-02T03:04:05Z",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int64_t ms = 7;

		cr_expect(text_to_time(good[i].text, &ms), "%s", good[i].text);
		cr_expect_eq(ms, good[i].ms, "%s", good[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t ms = 7;

		cr_expect_not(text_to_time(bad[i], &ms), "%s", bad[i]);
		cr_expect_eq(ms, 7);
	}
}

Test(core_text, names)
{
	char longest[65];

	memset(longest, 'a', 64);
	longest[63] = '\0';
	cr_expect(text_is_name(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	cr_expect_not(text_is_name(longest));
	cr_expect(text_is_name("a") && text_is_name("0") &&
		  text_is_name("a-b_c.d0"));
	cr_expect_not(text_is_name(""));
	cr_expect_not(text_is_name("-a"));
	cr_expect_not(text_is_name(".a"));
	cr_expect_not(text_is_name("_a"));
	cr_expect_not(text_is_name("Agent"));
	cr_expect_not(text_is_name("a b"));
	cr_expect_not(text_is_name("a/b"));
	cr_expect_not(text_is_name("\xc3\xa4"));
}

Test(core_text, the_nearest_word)
{
	static const char *const words[] = {
		"agents", "listeners",	"plugins",	  "state", "min",
		"max",	  "connect_ms", "target_wait_ms", NULL
	};
	static const struct {
		const char *wrong, *right;
	} cases[] = {
		{ "agnets", "agents" }, /* one swap */
		{ "agent", "agents" },
		{ "agentss", "agents" },
		{ "egants", "agents" },
		{ "listners", "listeners" },
		{ "plugin", "plugins" },
		{ "pluggins", "plugins" },
		{ "mim", "min" },
		{ "mx", "max" },
		{ "states", "state" },
		{ "agents", "agents" },
		{ "connect", "connect_ms" }, /* without its unit */
		{ "target_wait", "target_wait_ms" },
		{ "target", NULL },
		{ "budget", NULL },
		{ "xyz", NULL },
		{ "", NULL },
		{ "a", NULL },
	};
	static const char *const none[] = { NULL };
	char endless[300];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *found = text_nearest(cases[i].wrong, words);

		if (cases[i].right)
			cr_expect(found && strcmp(found, cases[i].right) == 0,
				  "'%s' gives %s", cases[i].wrong,
				  found ? found : "nothing");
		else
			cr_expect_null(found, "'%s' gives %s", cases[i].wrong,
				       found);
	}
	cr_expect_null(text_nearest("agents", none));
	memset(endless, 'a', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	cr_expect_null(text_nearest(endless, words));
}

Test(core_text, bytes_as_text)
{
	static const char *const base64[] = {
		"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
	}; /* RFC 4648, 10 */
	char out[16];

	text_to_hex("\x00\x7f\xff", 3, out);
	cr_expect_str_eq(out, "007fff");
	for (size_t length = 0; length < ARRAY_SIZE(base64); length++) {
		size_t room = strlen(base64[length]) + 1;

		cr_expect_eq(text_base64("foobar", length, out, room),
			     room - 1);
		cr_expect_str_eq(out, base64[length]);
		if (length)
			cr_expect_eq(
				text_base64("foobar", length, out, room - 1),
				0);
	}
	cr_expect_eq(text_base64("x", SIZE_MAX, out, sizeof(out)), 0);
	cr_expect_eq(text_base64("", 0, out, 0), 0);
	cr_expect(text_equal_constant_time("abc", "abd", 2));
	cr_expect_not(text_equal_constant_time("abc", "abd", 3));
	cr_expect(text_equal_constant_time("", "", 0));
}

Test(core_text, broken_utf8_is_mended_in_its_place)
{
	char whole[] = "caf\xc3\xa9\n\t\x1b";
	char broken[] = "a\xff\xc3z\xe2\x98";
	char cut[5];
	char none[] = "";

	text_make_utf8(whole, sizeof(whole));
	cr_assert_str_eq(whole, "caf\xc3\xa9\n\t\x1b");
	text_make_utf8(broken, sizeof(broken));
	cr_assert_str_eq(broken, "a??z??");
	memcpy(cut, "caf\xc3\xa9", sizeof(cut));
	text_make_utf8(cut, sizeof(cut));
	cr_assert_str_eq(cut, "caf?");
	text_make_utf8(none, sizeof(none));
	cr_assert_str_eq(none, "");
}

Test(core_text, networks)
{
	static const struct {
		const char *address, *cidr;
		bool in;
	} cases[] = {
		{ "10.1.2.3", "10.0.0.0/8", true },
		{ "11.1.2.3", "10.0.0.0/8", false },
		{ "10.1.2.3", "0.0.0.0/0", true },
		{ "192.168.1.127", "192.168.1.0/25", true },
		{ "192.168.1.128", "192.168.1.0/25", false },
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.2", "127.0.0.1/32", false },
		{ "::1", "::1", true },
		{ "::2", "::1", false },
		{ "fd00::1", "fd00::/8", true },
		{ "fe80::1", "fd00::/8", false },
		{ "2001:db8:8000::", "2001:db8:8000::/33", true },
		{ "2001:db8:7fff::", "2001:db8:8000::/33", false },
		/* One address in two notations. */
		{ "::ffff:10.1.2.3", "10.0.0.0/8", true },
		{ "10.1.2.3", "::ffff:10.0.0.0/104", true },
		{ "fd00::1", "0.0.0.0/0", false },
		{ "10.1.2.3", "10.0.0.0/33", false },
		{ "::1", "::/129", false },
		{ "10.1.2.3", "10.0.0.0/", false },
		{ "10.1.2.3", "10.0.0.0/x", false },
		{ "10.1.2.3", "10.0.0.0/-1", false },
		{ "10.1.2", "10.0.0.0/8", false },
		{ "10.1.2.3", "", false },
		{ "", "10.0.0.0/8", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(text_in_cidr(cases[i].address, cases[i].cidr),
			     cases[i].in, "%s in %s", cases[i].address,
			     cases[i].cidr);
}

Test(core_text, urls_of_this_machine_are_told_from_what_looks_like_one)
{
	static const struct {
		const char *url;
		bool here;
	} cases[] = {
		{ "http://localhost", true },
		{ "http://LocalHost:8080/v1", true },
		{ "http://127.0.0.1/v1", true },
		{ "https://127.9.8.7:1?x", true },
		{ "http://[::1]", true },
		{ "http://[::1]:8080/a@b", true },
		{ "http://me:secret@localhost:1/", true },
		{ "localhost:80", true },
		{ "http://localhost:x@models.example/v1", false },
		{ "http://localhost@models.example", false },
		{ "http://a@localhost@models.example", false },
		{ "http://127.0.0.1.models.example", false },
		{ "http://127.models.example", false },
		{ "http://localhost.models.example", false },
		{ "http://models.example/localhost", false },
		{ "http://models.example#@localhost", false },
		{ "http://models.example?@localhost", false },
		{ "http://models.example\\@localhost", false },
		{ "http://[::1]models.example", false },
		{ "http://[::1", false },
		{ "http://[::2]", false },
		{ "http://0.0.0.0", false },
		{ "http://", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(text_is_loopback_url(cases[i].url), cases[i].here,
			     "%s", cases[i].url);
}

Test(core_text, ids_are_different_and_sort_by_time)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	char before[ID_MAX], id[ID_MAX];

	id_new("req_", before);
	for (int i = 0; i < 1000; i++) {
		id_new("req_", id);
		cr_assert_eq(strlen(id), 4 + 26);
		cr_assert_eq(strncmp(id, "req_", 4), 0);
		cr_assert_eq(strspn(id + 4, digits), 26);
		cr_assert_neq(strcmp(before, id), 0);
		/* The first ten are the time. */
		cr_assert_leq(strncmp(before, id, 14), 0);
		memcpy(before, id, sizeof(id));
	}
	cr_assert_neq(id_random(), id_random());
}
