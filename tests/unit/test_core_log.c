/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines: their form, what they hide, where they are cut, and which of
 * them are kept.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

static char last[LOG_LINE_MAX + 1];
static uint64_t last_sequence;
static unsigned int visited;

static bool take(void *argument, const struct log_kept *line)
{
	(void)argument;
	cr_assert_eq(strlen(line->json), line->length);
	cr_assert_gt(line->sequence, last_sequence);
	memcpy(last, line->json, line->length + 1);
	last_sequence = line->sequence;
	visited++;
	return true;
}

/* The newest line, which has to be JSON. */
static json_t *newest(void)
{
	json_error_t why;

	last_sequence = 0;
	log_visit(0, take, NULL);

	json_t *value = json_loads(last, JSON_REJECT_DUPLICATES, &why);

	cr_assert(value, "%s: %s", why.text, last);
	return value;
}

static const char *text(const json_t *line, const char *name)
{
	const char *found = json_string_value(json_object_get(line, name));

	return found ? found : "(none)";
}

static int64_t fixed_time(void)
{
	return 1767323045678;
}

static void quiet(void)
{
	log_set_descriptor(-1);
}

TestSuite(core_log, .init = quiet, .fini = log_fini);

Test(core_log, a_line_is_as_documented)
{
	os.realtime_ms = fixed_time;
	log_line(ATOM_LOG_WARN, "ready", "it \"works\"\n",
		 LOG_TEXT("agent", "echo"), LOG_NUMBER("loops", -3),
		 LOG_TEXT("none", NULL));
	json_decref(newest());
	cr_assert_str_eq(last,
			 "{\"time\":\"2026-01-02T03:04:05.678Z\","
			 "\"level\":\"warn\",\"event\":\"ready\","
			 "\"message\":\"it \\\"works\\\"\\n\","
			 "\"agent\":\"echo\",\"loops\":-3,\"none\":\"\"}");
	log_printf(ATOM_LOG_INFO, "plain", "%d of %s", 3, "three");
	json_decref(newest());
	cr_assert_str_eq(last, "{\"time\":\"2026-01-02T03:04:05.678Z\","
			       "\"level\":\"info\",\"event\":\"plain\","
			       "\"message\":\"3 of three\"}");
}

Test(core_log, levels_are_words_and_thresholds)
{
	cr_assert_eq(log_level_of("error"), ATOM_LOG_ERROR);
	cr_assert_eq(log_level_of("warn"), ATOM_LOG_WARN);
	cr_assert_eq(log_level_of("info"), ATOM_LOG_INFO);
	cr_assert_eq(log_level_of("debug"), ATOM_LOG_DEBUG);
	cr_assert_eq(log_level_of("trace"), -1);
	cr_assert_str_eq(log_level_name(ATOM_LOG_DEBUG), "debug");
	log_printf(ATOM_LOG_DEBUG, "hidden", "x");
	log_set_level(ATOM_LOG_DEBUG);
	log_printf(ATOM_LOG_DEBUG, "shown", "x");
	log_set_level(ATOM_LOG_WARN);
	log_printf(ATOM_LOG_INFO, "hidden", "x");
	visited = 0;
	json_t *line = newest();

	cr_assert_eq(visited, 1);
	cr_assert_str_eq(text(line, "event"), "shown");
	json_decref(line);
	log_set_level(ATOM_LOG_INFO);
}

Test(core_log, long_values_are_cut_and_say_so)
{
	static const char *const characters[] = {
		"x", "\n", "\x01", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff"
	};
	static char message[6 * LOG_LINE_MAX];

	/* Of every length around the maximum, and of every kind. */
	for (size_t kind = 0; kind < ARRAY_SIZE(characters); kind++)
		for (size_t count = 1; count < 9000;
		     count += count < 900 ? 97 : 311) {
			size_t unit = strlen(characters[kind]);

			for (size_t i = 0; i < count; i++)
				memcpy(message + i * unit, characters[kind],
				       unit);
			message[count * unit] = '\0';
			log_line(ATOM_LOG_INFO, "long", message,
				 LOG_TEXT("again", message),
				 LOG_NUMBER("number", 1));

			json_t *line = newest();
			bool cut = json_is_true(json_object_get(line, "cut"));

			cr_assert_lt(strlen(last), LOG_LINE_MAX);
			cr_assert_eq(cut, !json_object_get(line, "number"));
			if (cut) /* no more than a character short */
				cr_assert_gt(strlen(last), LOG_LINE_MAX - 64);
			/* No character is cut in two. */
			if (kind == 3)
				cr_assert_eq(strlen(text(line, "message")) % 3,
					     0);
			json_decref(line);
		}
}

Test(core_log, a_cut_at_every_place_leaves_sound_json)
{
	static char message[LOG_LINE_MAX + 100];

	for (size_t length = LOG_LINE_MAX - 400; length < LOG_LINE_MAX + 50;
	     length++) {
		memset(message, 'm', length);
		message[length] = '\0';
		log_line(ATOM_LOG_INFO, "edge", message,
			 LOG_TEXT("first", "one"),
			 LOG_NUMBER("second", 123456789),
			 LOG_TEXT("third", ""));
		json_t *line = newest();

		/* The last byte that would fit is kept for the end. */
		cr_assert(json_is_true(json_object_get(line, "cut")) ||
			  json_object_get(line, "third"));
		json_decref(line);
	}
}

Test(core_log, secrets_never_show)
{
	char in_place[] = "a s3cret-one b s3cret-one-longer c";
	char tail[LOG_LINE_MAX + 64];

	cr_assert_eq(log_add_secret("short"), ATOM_EINVAL);
	cr_assert_eq(log_add_secret("s3cret-one"), ATOM_OK);
	cr_assert_eq(log_add_secret("s3cret-one-longer"), ATOM_OK);
	cr_assert_eq(log_add_secret("s3cret-one"), ATOM_OK);
	cr_assert_eq(log_add_secret("with\"quote\\"), ATOM_OK);
	cr_assert_eq(log_add_secret("message"), ATOM_OK);

	log_line(ATOM_LOG_INFO, "call", "key s3cret-one-longer, s3cret-one",
		 LOG_TEXT("url", "http://x/?k=s3cret-ones3cret-one"),
		 LOG_TEXT("quoted", "with\"quote\\"),
		 LOG_TEXT("json", "{\"k\":\"with\\\"quote\\\\\"}"),
		 LOG_TEXT("clean", "s3cret-on"));
	json_t *line = newest();

	cr_assert_str_eq(text(line, "message"), "key ***, ***");
	cr_assert_str_eq(text(line, "url"), "http://x/?k=******");
	cr_assert_str_eq(text(line, "quoted"), "***");
	cr_assert_str_eq(text(line, "json"), "{\"k\":\"***\"}");
	cr_assert_str_eq(text(line, "clean"), "s3cret-on");
	json_decref(line);

	/* At every distance from the place where the line is cut. */
	for (size_t pad = LOG_LINE_MAX - 200; pad < LOG_LINE_MAX; pad++) {
		memset(tail, 'x', pad);
		(void)snprintf(tail + pad, sizeof(tail) - pad, "s3cret-one");
		log_printf(ATOM_LOG_INFO, "tail", "%s", tail);
		json_decref(newest());
		cr_assert_null(strstr(last, "s3c"), "padding %zu", pad);
	}

	cr_assert_eq(log_redact(in_place), 2);
	cr_assert_str_eq(in_place, "a *** b *** c");
	cr_assert_eq(log_redact(in_place), 0);
}

Test(core_log, there_is_room_for_4096_secrets)
{
	char secret[32];
	atom_status status = ATOM_OK;
	int count = 0;

	while (!status && count < 5000) {
		(void)snprintf(secret, sizeof(secret), "secret number %d",
			       count);
		status = log_add_secret(secret);
		count += !status;
	}
	cr_assert_eq(count, 4096);
	cr_assert_eq(status, ATOM_ELIMIT);
	log_printf(ATOM_LOG_INFO, "many", "secret number 4095");
	json_decref(newest());
	cr_assert_null(strstr(last, "4095"));
}

static bool first_two(void *argument, const struct log_kept *line)
{
	(void)line;
	return ++*(int *)argument < 2;
}

Test(core_log, the_last_4096_lines_are_kept)
{
	uint64_t end, start = log_visit(0, take, NULL);
	int count = 0;

	for (int i = 0; i < 5000; i++)
		log_line(ATOM_LOG_INFO, "n", "", LOG_NUMBER("i", i));
	visited = 0;
	last_sequence = 0;
	end = log_visit(0, take, NULL);
	cr_assert_eq(visited, 4096);
	cr_assert_eq(end, start + 5000);
	cr_assert_eq(last_sequence, end);
	cr_assert(strstr(last, "\"i\":4999"));

	/* From a place on; and until the visitor has enough. */
	visited = 0;
	last_sequence = 0;
	log_visit(end - 10, take, NULL);
	cr_assert_eq(visited, 10);
	log_visit(0, first_two, &count);
	cr_assert_eq(count, 2);
	cr_assert_eq(log_visit(end, first_two, &count), end);
	cr_assert_eq(count, 2);
}

Test(core_log, no_more_than_4_mib_are_kept)
{
	static char message[8000];
	size_t fitting = 4 * 1024 * 1024 / sizeof(message);

	memset(message, 'x', sizeof(message) - 1);
	for (int i = 0; i < 2000; i++)
		log_printf(ATOM_LOG_INFO, "big", "%s", message);
	visited = 0;
	last_sequence = 0;
	log_visit(0, take, NULL);
	cr_assert_leq(visited, fitting);
	cr_assert_gt(visited, fitting * 9 / 10);
}

Test(core_log, a_line_goes_out_with_one_write)
{
	char bytes[1000];
	int ends[2];
	ssize_t got;

	/* Datagrams keep the borders between writes. */
	cr_assert_eq(os.socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	log_set_descriptor(ends[1]);
	log_printf(ATOM_LOG_INFO, "one", "first");
	log_printf(ATOM_LOG_INFO, "two", "second");
	for (int i = 0; i < 2; i++) {
		got = os.recv(ends[0], bytes, sizeof(bytes) - 1, 0);
		cr_assert_gt(got, 0);
		bytes[got] = '\0';
		cr_assert(strstr(bytes, i ? "second" : "first"));
		cr_assert_eq(strchr(bytes, '\n'), bytes + got - 1);
	}

	/* Nobody there any more: dropped, not a signal and not an error. */
	uint64_t dropped = log_dropped();

	os.close(ends[0]);
	log_printf(ATOM_LOG_INFO, "three", "third");
	cr_assert_eq(log_dropped(), dropped + 1);
	log_set_descriptor(-1);
	os.close(ends[1]);
}

static int no_look(int fd, struct stat *result)
{
	(void)fd;
	(void)result;
	errno = EIO;
	return -1;
}

Test(core_log, what_cannot_be_looked_at_takes_lines)
{
	int (*real)(int fd, struct stat *result) = os.fstat;
	char bytes[200];
	int ends[2];
	ssize_t got;

	cr_assert_eq(os.pipe2(ends, O_CLOEXEC), 0);
	os.fstat = no_look;
	log_set_descriptor(ends[1]);
	os.fstat = real;
	log_printf(ATOM_LOG_INFO, "one", "first");
	log_set_descriptor(-1);
	os.close(ends[1]);
	got = os.read(ends[0], bytes, sizeof(bytes) - 1);
	cr_assert_gt(got, 0);
	bytes[got] = '\0';
	cr_assert(strstr(bytes, "first"));
	os.close(ends[0]);
}

Test(core_log, what_is_opened_in_the_place_of_a_closed_one_takes_no_lines)
{
	int ends[2], others[2];
	char byte;

	cr_assert_eq(os.pipe2(ends, O_CLOEXEC), 0);
	cr_assert_eq(os.pipe2(others, O_CLOEXEC | O_NONBLOCK), 0);
	os.close(ends[1]);
	log_set_descriptor(ends[1]);
	cr_assert_eq(dup2(others[1], ends[1]), ends[1]);
	log_printf(ATOM_LOG_INFO, "one", "first");
	cr_assert_eq(os.read(others[0], &byte, 1), -1);
	cr_assert_eq(errno, EAGAIN);
	log_set_descriptor(-1);
	for (int i = 0; i < 2; i++) {
		os.close(ends[i]);
		os.close(others[i]);
	}
}

static ssize_t write_half(int fd, const void *bytes, size_t length)
{
	(void)fd;
	(void)bytes;
	return (ssize_t)(length / 2);
}

Test(core_log, a_torn_line_does_not_spoil_the_next)
{
	ssize_t (*real)(int fd, const void *bytes, size_t length) = os.write;
	char path[] = "/tmp/atomd-test-log-XXXXXX";
	int fd = mkstemp(path);
	uint64_t dropped = log_dropped();
	char bytes[200];

	cr_assert_geq(fd, 0);
	log_set_descriptor(fd);
	os.write = write_half;
	log_printf(ATOM_LOG_INFO, "torn", "x");
	os.write = real;
	cr_assert_eq(log_dropped(), dropped + 1);
	log_printf(ATOM_LOG_INFO, "whole", "y");
	cr_assert_eq(log_dropped(), dropped + 1);
	cr_assert_gt(pread(fd, bytes, sizeof(bytes), 0), 10);
	cr_assert_eq(strncmp(bytes, "\n{\"time\"", 8), 0);
	log_set_descriptor(-1);
	os.close(fd);
	os.unlink(path);
}

static char datagram[2000];

static ssize_t take_datagram(int fd, const struct msghdr *message, int flags)
{
	size_t length = 0;

	(void)fd;
	(void)flags;
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		memcpy(datagram + length, message->msg_iov[i].iov_base,
		       message->msg_iov[i].iov_len);
		length += message->msg_iov[i].iov_len;
	}
	datagram[length] = '\0';
	return (ssize_t)length;
}

Test(core_log, the_journal_gets_fields_of_its_own)
{
	struct atom_error err = ATOM_ERROR_INIT;

	os.realtime_ms = fixed_time;
	os.sendmsg = take_datagram;
	cr_assert_eq(log_use_journal(&err), ATOM_OK);
	log_line(ATOM_LOG_WARN, "slow\nPRIORITY=0", "two\nlines",
		 LOG_NUMBER("ms", 7));
	cr_assert_str_eq(datagram,
			 "SYSLOG_IDENTIFIER=atomd\n"
			 "PRIORITY=4\n"
			 "ATOMD_EVENT=slow\n"
			 "MESSAGE={\"time\":\"2026-01-02T03:04:05.678Z\","
			 "\"level\":\"warn\","
			 "\"event\":\"slow\\nPRIORITY=0\","
			 "\"message\":\"two\\nlines\",\"ms\":7}\n");
}
