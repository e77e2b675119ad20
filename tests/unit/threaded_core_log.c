/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log from several threads: whole lines, none lost without being counted,
 * and nobody waits for a reader who does not read.
 */
#include "core/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "tap.h"

#define THREADS 4
#define LINES	2000

static int ends[2];

static void *write_lines(void *argument)
{
	const char *name = argument;
	char secret[32];

	/* Secrets are added while others search for them. */
	(void)snprintf(secret, sizeof(secret), "secret-of-%s", name);
	CHECK(log_add_secret(secret) == ATOM_OK);
	for (int i = 0; i < LINES; i++)
		log_line(ATOM_LOG_INFO, "tick", "a line",
			 LOG_TEXT("thread", name), LOG_TEXT("key", secret),
			 LOG_NUMBER("number", i));
	return NULL;
}

static unsigned int lines_read;
static unsigned int next_by_thread[THREADS];

static void check_line(const char *line, size_t length)
{
	json_t *value = json_loadb(line, length, 0, NULL);
	const char *thread;
	json_int_t number;

	CHECK(value);
	CHECK(strcmp(json_string_value(json_object_get(value, "key")), "***") ==
	      0);
	thread = json_string_value(json_object_get(value, "thread"));
	number = json_integer_value(json_object_get(value, "number"));
	/* Some may be missing, but none comes twice or too early. */
	CHECK(number >= next_by_thread[thread[0] - 'a']);
	next_by_thread[thread[0] - 'a'] = (unsigned int)number + 1;
	lines_read++;
	json_decref(value);
}

static void *read_lines(void *argument)
{
	static char bytes[2 * LOG_LINE_MAX];
	size_t length = 0;
	ssize_t got;

	(void)argument;
	while ((got = os.read(ends[0], bytes + length,
			      sizeof(bytes) - length)) > 0) {
		char *at = bytes, *end;

		length += (size_t)got;
		while ((end = memchr(at, '\n',
				     length - (size_t)(at - bytes))) != NULL) {
			check_line(at, (size_t)(end - at));
			at = end + 1;
		}
		length -= (size_t)(at - bytes);
		memmove(bytes, at, length);
	}
	CHECK(length == 0);
	return NULL;
}

static void lines_are_whole_and_counted(void)
{
	static const char *const names[THREADS] = { "a-one", "b-two", "c-three",
						    "d-four" };
	pthread_t writers[THREADS], reader;

	CHECK(os.pipe2(ends, O_CLOEXEC) == 0);
	log_set_descriptor(ends[1]);
	CHECK(pthread_create(&reader, NULL, read_lines, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&writers[i], NULL, write_lines,
				     (void *)(uintptr_t)names[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(writers[i], NULL);
	log_set_descriptor(-1);
	os.close(ends[1]);
	pthread_join(reader, NULL);
	os.close(ends[0]);
	CHECK(lines_read > 0);
	CHECK(lines_read + log_dropped() == THREADS * LINES);
	log_fini();
}

static bool count_kept(void *argument, const struct log_kept *line)
{
	(void)line;
	++*(unsigned int *)argument;
	return true;
}

static int no_such_file(const char *path, int flags, mode_t mode)
{
	(void)path;
	(void)flags;
	(void)mode;
	return -1;
}

/* As when standard error's pipe belongs to another user. */
static void fill_a_pipe(bool may_open_anew)
{
	int (*real_open)(const char *path, int flags, mode_t mode) = os.open;
	char text[6000];
	char bytes[65536];
	uint64_t dropped = log_dropped();
	unsigned int kept = 0, newlines = 0;
	ssize_t got;

	CHECK(os.pipe2(ends, O_CLOEXEC) == 0);
	if (!may_open_anew)
		os.open = no_such_file;
	log_set_descriptor(ends[1]);
	os.open = real_open;
	/* The other side's flag is not ours to set. */
	CHECK((fcntl(ends[1], F_GETFL) & O_NONBLOCK) == 0);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 64; i++)
		log_line(ATOM_LOG_INFO, "big", text, LOG_NUMBER("number", i));
	CHECK(log_dropped() - dropped > 64 - 65536 / 6000 - 2);

	/* It takes lines again, and the first one is not glued to half of
	 * another. */
	got = os.read(ends[0], bytes, sizeof(bytes));
	CHECK(got > 0);
	CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	while (os.read(ends[0], bytes, sizeof(bytes)) > 0)
		continue;
	dropped = log_dropped();
	log_printf(ATOM_LOG_INFO, "small", "again");
	CHECK(log_dropped() == dropped);
	got = os.read(ends[0], bytes, sizeof(bytes));
	CHECK(got > 0 && bytes[got - 1] == '\n');
	for (ssize_t i = 0; i < got; i++)
		newlines += bytes[i] == '\n';
	CHECK(newlines == (bytes[0] == '\n' ? 2 : 1));
	CHECK(strncmp(bytes + (bytes[0] == '\n'), "{\"time\":", 8) == 0);
	log_set_descriptor(-1);
	os.close(ends[0]);
	os.close(ends[1]);
	/* Dropped from the pipe, kept in memory. */
	log_visit(0, count_kept, &kept);
	CHECK(kept == 65);
	log_fini();
}

static void a_full_pipe_blocks_nobody(void)
{
	fill_a_pipe(true);
}

static void nor_one_that_cannot_be_opened_anew(void)
{
	fill_a_pipe(false);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(lines_are_whole_and_counted),
		TAP_TEST(a_full_pipe_blocks_nobody),
		TAP_TEST(nor_one_that_cannot_be_opened_anew),
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
