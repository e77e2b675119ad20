/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that takes no time: answers each call with its input, by the
 * protocol of the `process` backend, on descriptor 3.
 *
 *	worker CONCURRENCY
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"

#define SOCKET	  3
#define READ_SIZE ((size_t)64 * 1024)

#define RESULT "{\"op\":\"result\",\"id\":"
#define OUTPUT ",\"output\":"

static struct bytes in, out;

static void stop(const char *what)
{
	(void)fprintf(stderr, "worker: %s\n", what);
	exit(EXIT_FAILURE);
}

static void put(const char *text, int length)
{
	if (!bytes_add(&out, text, (size_t)length))
		stop("an answer that is too long");
}

static void send_all(void)
{
	while (bytes_left(&out) > 0) {
		ssize_t n = write(SOCKET, bytes_front(&out), bytes_left(&out));

		if (n < 0 && errno != EINTR)
			stop(strerror(errno));
		bytes_drop(&out, n > 0 ? (size_t)n : 0);
	}
}

/* The JSON string behind `name` (`"id":`) in a line that ends in NUL: the
 * daemon writes no blanks, and these two before what callers sent. */
static const char *string_of(const char *line, const char *name, int *length_r)
{
	const char *begin = strstr(line, name), *at;

	if (begin == NULL || begin[strlen(name)] != '"')
		stop("a call without a text as its id or input");
	begin += strlen(name);
	for (at = begin + 1; *at != '"'; at++)
		if (*at == '\0' || (*at == '\\' && *++at == '\0'))
			stop("a line that was cut");
	*length_r = (int)(at + 1 - begin);
	return begin;
}

static void take(const char *line)
{
	const char *id, *input;
	int id_length, input_length;

	if (strncmp(line, "{\"op\":\"call\"", 12) != 0)
		return;
	id = string_of(line, "\"id\":", &id_length);
	input = string_of(line, "\"input\":", &input_length);
	put(RESULT, sizeof(RESULT) - 1);
	put(id, id_length);
	put(OUTPUT, sizeof(OUTPUT) - 1);
	put(input, input_length);
	put("}\n", 2);
}

/* Whole lines of what has come. */
static void take_lines(void)
{
	const char *line;
	char *end;

	while (line = bytes_front(&in),
	       bytes_left(&in) > 0 &&
		       (end = memchr(line, '\n', bytes_left(&in))) != NULL) {
		*end = '\0';
		take(line);
		bytes_drop(&in, (size_t)(end + 1 - line));
	}
}

int main(int argc, char **argv)
{
	long concurrency = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	char ready[80];
	ssize_t n;

	if (concurrency < 1)
		stop("expected how many calls it takes at once");
	put(ready,
	    snprintf(ready, sizeof(ready),
		     "{\"op\":\"ready\",\"protocol\":1,\"concurrency\":%ld}\n",
		     concurrency));
	for (;;) {
		char *room = bytes_room(&in, READ_SIZE);

		send_all();
		if (room == NULL)
			stop("a line that is too long");
		n = read(SOCKET, room, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		in.end += (size_t)n;
		take_lines();
	}
}
