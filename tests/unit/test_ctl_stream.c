/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, lines and server-sent events: the same whatever the pieces. */
#include "config.h"

#include <criterion/criterion.h>

#include <string.h>

#include "ctl/sse.h"

Test(ctl_stream, a_text_never_passes_its_maximum)
{
	struct text text = TEXT_INIT(5);
	cr_assert_str_eq(text_string(&text), "");
	cr_assert(text_append_string(&text, "abc"));
	cr_assert_not(text_append_string(&text, "def"));
	cr_assert_not(text_append_format(&text, "%d", 123));
	cr_assert_not(text_append(&text, "x", (size_t)-1));
	cr_assert_str_eq(text_string(&text), "abc");
	cr_assert(text_append_format(&text, "%d", 12));
	cr_assert_str_eq(text_string(&text), "abc12");
	cr_assert(text_append(&text, "", 0));
	text_clear(&text);
	cr_assert_str_eq(text_string(&text), "");
	text_fini(&text);
}

/* Collects what a handler gets, `|` behind each. */
static bool on_line(void *closure, const char *line, size_t length)
{
	cr_assert_eq(strlen(line), length);
	return text_append_format(closure, "%s|", line);
}

Test(ctl_stream, lines_end_in_lf_crlf_or_cr_however_they_are_cut)
{
	static const char bytes[] = "one\ntwo\r\n\r\nthree\rfour\n\rfive";
	size_t length = sizeof(bytes) - 1;
	for (size_t piece = 1; piece <= length; piece++) {
		struct text seen = TEXT_INIT(1000);
		struct lines lines;
		lines_init(&lines, 5, on_line, &seen);
		for (size_t at = 0; at < length; at += piece) {
			size_t left = length - at;
			cr_assert(lines_feed(&lines, bytes + at,
					     left < piece ? left : piece));
		}
		cr_assert_str_eq(text_string(&seen), "one|two||three|four||");
		cr_assert(lines_end(&lines));
		cr_assert(lines_end(&lines));
		cr_assert_str_eq(text_string(&seen),
				 "one|two||three|four||five|");
		lines_fini(&lines);
		text_fini(&seen);
	}
}

Test(ctl_stream, a_line_that_is_too_long_stops_the_reading)
{
	struct text seen = TEXT_INIT(1000);
	struct lines lines;
	lines_init(&lines, 4, on_line, &seen);
	cr_assert(lines_feed(&lines, "abcd\nab", 7));
	cr_assert(lines_feed(&lines, "cd", 2));
	cr_assert_not(lines_feed(&lines, "e", 1));
	cr_assert_str_eq(text_string(&seen), "abcd|");
	lines_fini(&lines);
	text_fini(&seen);
}

static bool on_event(void *closure, const char *event, const char *data,
		     size_t length)
{
	cr_assert_eq(strlen(data), length);
	return text_append_format(closure, "%s=%s|", event, data);
}

static const struct {
	const char *bytes;
	const char *events;
} streams[] = {
	{ "data: one\n\n", "message=one|" },
	{ "data:one\n\n", "message=one|" },
	{ "data:  one\n\n", "message= one|" },
	{ "data: one\ndata: two\n\n", "message=one\ntwo|" },
	{ "data\ndata\n\n", "message=\n|" },
	{ "event: error\ndata: x\n\ndata: y\n\n", "error=x|message=y|" },
	{ "\xef\xbb\xbf"
	  "data: bom\r\n\r\n",
	  "message=bom|" },
	{ ": heartbeat\n\nid: 4\nretry: 10\nother: z\n\ndata: x\n\n",
	  "message=x|" },
	{ "event: lonely\n\ndata: x\n\n", "message=x|" },
	{ "data: cut off\n", "" },
	{ "data: whole\n\ndata: cut", "message=whole|" },
	{ "\n\n\n", "" },
	{ "data: a:b: c\n\n", "message=a:b: c|" },
};

Test(ctl_stream, events_are_read_as_the_html_standard_says)
{
	for (size_t i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		size_t length = strlen(streams[i].bytes);
		for (size_t piece = 1; piece <= length; piece++) {
			struct text seen = TEXT_INIT(1000);
			struct sse sse;
			sse_init(&sse, 100, on_event, &seen);
			for (size_t at = 0; at < length; at += piece) {
				size_t left = length - at;
				cr_assert(
					sse_feed(&sse, streams[i].bytes + at,
						 left < piece ? left : piece));
			}
			cr_assert_str_eq(text_string(&seen), streams[i].events,
					 "stream %zu", i);
			sse_fini(&sse);
			text_fini(&seen);
		}
	}
}

Test(ctl_stream, an_event_that_is_too_large_stops_the_reading)
{
	struct text seen = TEXT_INIT(1000);
	struct sse sse;
	sse_init(&sse, 10, on_event, &seen);
	cr_assert(sse_feed(&sse, "data:1234\ndata:1234\n", 20));
	cr_assert_not(sse_feed(&sse, "data:1234\n\n", 11));
	cr_assert_str_eq(text_string(&seen), "");
	sse_fini(&sse);
	text_fini(&seen);
}

static bool stop(void *closure, const char *event, const char *data,
		 size_t length)
{
	on_event(closure, event, data, length);
	return false;
}

Test(ctl_stream, a_handler_that_stops_gets_nothing_more)
{
	struct text seen = TEXT_INIT(1000);
	struct sse sse;
	sse_init(&sse, 100, stop, &seen);
	cr_assert_not(sse_feed(&sse, "data: a\n\ndata: b\n\n", 18));
	cr_assert_str_eq(text_string(&seen), "message=a|");
	sse_fini(&sse);
	text_fini(&seen);
}
