/* SPDX-License-Identifier: Apache-2.0 */
/* The client of http_fixture.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/text.h"
#include "http_fixture.h"

static int client_to(const struct sockaddr *address, socklen_t length)
{
	const struct timeval patience = { .tv_sec = 10 };
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			 sizeof(patience)) == 0);
	if (connect(fd, address, length) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int client_try(const char *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	int64_t port;

	if (strncmp(address, "unix:", 5) == 0) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
		return client_to((struct sockaddr *)&un, sizeof(un));
	}
	CHECK(colon && text_to_int(colon + 1, &port));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	return client_to((struct sockaddr *)&in, sizeof(in));
}

int client_connect(void)
{
	int fd = client_try(fixture_address());

	CHECK(fd >= 0);
	return fd;
}

void client_send(int fd, const void *bytes, size_t length)
{
	const char *at = bytes;

	while (length) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);

		/* A server that has refused may have stopped reading. */
		if (n <= 0)
			return;
		at += n;
		length -= (size_t)n;
	}
}

void client_text(int fd, const char *text)
{
	client_send(fd, text, strlen(text));
}

/* 0 at the end, or when the connection was reset. */
static size_t client_read(int fd, char *out, size_t length)
{
	ssize_t n = recv(fd, out, length, 0);

	if (n < 0)
		CHECK(errno == ECONNRESET);
	return n > 0 ? (size_t)n : 0;
}

static bool read_exactly(int fd, char *out, size_t length)
{
	while (length) {
		size_t n = client_read(fd, out, length);

		if (n == 0)
			return false;
		out += n;
		length -= n;
	}
	return true;
}

static bool read_line(int fd, char *out, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read_exactly(fd, out + n, 1)) {
		n++;
		if (n >= 2 && memcmp(out + n - 2, "\r\n", 2) == 0) {
			out[n - 2] = '\0';
			return true;
		}
	}
	return false;
}

const char *answer_field(const struct answer *answer, const char *name)
{
	static _Thread_local char value[ANSWER_HEAD_MAX];
	const char *line = strstr(answer->head, "\r\n");
	size_t length = strlen(name);

	for (; line; line = strstr(line + 2, "\r\n")) {
		if (strncasecmp(line + 2, name, length) != 0 ||
		    line[2 + length] != ':')
			continue;
		line += 2 + length + 2;
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r"),
			 line);
		return value;
	}
	return NULL;
}

static void read_head(int fd, struct answer *answer)
{
	size_t n = 0;

	answer->head[0] = '\0';
	while (n < 4 || memcmp(answer->head + n - 4, "\r\n\r\n", 4) != 0) {
		if (n + 1 >= sizeof(answer->head) ||
		    !read_exactly(fd, answer->head + n, 1)) {
			answer->status = 0;
			return;
		}
		answer->head[++n] = '\0';
	}
	CHECK(sscanf(answer->head, "HTTP/1.1 %3d ", &answer->status) == 1);
}

static void add_body(struct answer *answer, int fd, size_t length)
{
	char *body = realloc(answer->body, answer->length + length + 1);

	CHECK(body);
	answer->body = body;
	answer->whole = read_exactly(fd, body + answer->length, length);
	answer->length += answer->whole ? length : 0;
	body[answer->length] = '\0';
}

static void read_chunks(int fd, struct answer *answer)
{
	char line[64];
	unsigned long size;

	do {
		answer->whole = false;
		if (!read_line(fd, line, sizeof(line)))
			return;
		size = strtoul(line, NULL, 16);
		add_body(answer, fd, size);
		if (!answer->whole || !read_line(fd, line, sizeof(line))) {
			answer->whole = false;
			return;
		}
		CHECK(line[0] == '\0');
	} while (size);
}

void client_answer(int fd, struct answer *answer, bool head_only)
{
	const char *field;
	char byte;

	*answer = (struct answer){ .whole = true };
	read_head(fd, answer);
	if (answer->status == 0) {
		answer->whole = false;
		return;
	}
	field = answer_field(answer, "transfer-encoding");
	answer->chunked = field != NULL;
	if (head_only || answer->status < 200 || answer->status == 204) {
		add_body(answer, fd, 0);
		return;
	}
	if (field) {
		read_chunks(fd, answer);
		return;
	}
	field = answer_field(answer, "content-length");
	add_body(answer, fd, field ? strtoul(field, NULL, 10) : 0);
	while (!field && read_exactly(fd, &byte, 1)) {
		answer->body = realloc(answer->body, answer->length + 2);
		CHECK(answer->body);
		answer->body[answer->length++] = byte;
		answer->body[answer->length] = '\0';
	}
}

void answer_free(struct answer *answer)
{
	free(answer->body);
	answer->body = NULL;
}

bool client_at_end(int fd)
{
	char byte;

	return client_read(fd, &byte, 1) == 0;
}

void client_expect(const char *text, int status, struct answer *answer)
{
	struct answer own = { 0 };
	struct answer *got = answer ? answer : &own;
	int fd = client_connect();

	client_text(fd, text);
	client_answer(fd, got, strncmp(text, "HEAD ", 5) == 0);
	if (got->status != status)
		printf("# %.60s: got %d, expected %d\n", text, got->status,
		       status);
	CHECK(got->status == status);
	if (!answer)
		answer_free(&own);
	close(fd);
}

bool client_until(int fd, const char *text)
{
	char seen[65536];
	size_t n = 0, length = strlen(text);

	while (n + 1 < sizeof(seen) && read_exactly(fd, seen + n, 1)) {
		n++;
		if (n >= length && memcmp(seen + n - length, text, length) == 0)
			return true;
	}
	return false;
}
