/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that thinks nothing: the upstream of every measurement.
 *
 *     mock        prints "PORT\n", a free one of 127.0.0.1, and serves
 *
 * It answers POST /v1/chat/completions with what answer.h says of the
 * question, whole or as a stream with a piece at each interval, on
 * connections that stay open.  A question that it does not understand gets a
 * 400, and a line on stderr.  One thread, epoll, nothing but libc; it ends
 * with its parent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "bytes.h"
#include "deadline.h"
#include "message.h"

#define READ_SIZE      ((size_t)256 * 1024)
#define KEEP_SIZE      ((size_t)2 * 1024 * 1024)
#define EVENTS_AT_ONCE 256

struct connection {
	int fd;
	bool streaming;
	bool waits_to_send;
	uint32_t next_event;
	uint64_t next_due_ns;
	struct deadline deadline; /* of the next piece, while streaming */
	struct message request;
	struct bytes body;
	struct bytes out;
	struct answer answer;
};

struct mock {
	int epoll;
	int listener;
	struct deadlines deadlines;
	char *input;
};

static struct connection *of_deadline(struct deadline *d)
{
	return (struct connection *)((char *)d -
				     offsetof(struct connection, deadline));
}

static void close_connection(struct mock *mock, struct connection *c)
{
	deadline_drop(&mock->deadlines, &c->deadline);
	close(c->fd);
	bytes_fini(&c->body);
	bytes_fini(&c->out);
	free(c);
}

/* false: the connection is gone. */
static bool flush(struct mock *mock, struct connection *c)
{
	struct epoll_event event = { .data.ptr = c };
	bool waits;

	while (bytes_left(&c->out) > 0) {
		ssize_t n = send(c->fd, bytes_front(&c->out),
				 bytes_left(&c->out), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		bytes_drop(&c->out, (size_t)n);
	}
	waits = bytes_left(&c->out) > 0;
	if (!waits)
		bytes_clear(&c->out, KEEP_SIZE);
	if (waits != c->waits_to_send) {
		c->waits_to_send = waits;
		event.events = EPOLLIN | (waits ? EPOLLOUT : 0);
		epoll_ctl(mock->epoll, EPOLL_CTL_MOD, c->fd, &event);
	}
	return true;
}

/* --- answers -------------------------------------------------------------- */

static bool add_whole(struct connection *c)
{
	size_t bound = answer_bound(&c->answer), length;
	char *room = bytes_room(&c->out, bound + 256), *body;
	char head[128];
	int n;

	if (room == NULL)
		return false;
	/* The head's size depends on the body's: the body goes in first. */
	body = room + 256;
	length = answer_whole(&c->answer, body);
	n = snprintf(head, sizeof(head),
		     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     length);
	memcpy(room, head, (size_t)n);
	memmove(room + n, body, length);
	c->out.end += (size_t)n + length;
	return true;
}

/* An event as one chunk, its size in four digits. */
static bool add_event(struct connection *c, uint64_t now)
{
	size_t bound = answer_bound(&c->answer), length;
	char *room = bytes_room(&c->out, bound + 16);
	char size[16];

	if (room == NULL)
		return false;
	length = answer_event(&c->answer, c->next_event++, now, room + 8);
	(void)snprintf(size, sizeof(size), "%06x\r\n", (unsigned int)length);
	memcpy(room, size, 8);
	memcpy(room + 8 + length, "\r\n", 2);
	c->out.end += 8 + length + 2;
	return true;
}

/* When the piece after the one just said is due.  Where a stream's intervals
 * begin follows from the question, so that many streams do not beat in time. */
static void set_next_due(struct connection *c)
{
	uint64_t interval_ns = (uint64_t)c->answer.shape.interval_us * 1000;

	if (c->next_event > 2 || interval_ns == 0)
		c->next_due_ns += interval_ns;
	else
		c->next_due_ns += c->answer.checksum % interval_ns;
}

/* All that is due now: the role comes with the first piece, and the end with
 * the last.  false: the connection is gone. */
static bool say(struct mock *mock, struct connection *c)
{
	static const char last[] = "0\r\n\r\n";
	uint64_t now = clock_ns();
	const struct shape *shape = &c->answer.shape;

	while (c->next_event == 0 || c->next_event > shape->events ||
	       c->next_due_ns <= now) {
		if (!add_event(c, now))
			return false;
		if (answer_event_has_text(&c->answer, c->next_event - 1))
			set_next_due(c);
		if (c->next_event < answer_event_count(&c->answer))
			continue;
		c->streaming = false;
		deadline_drop(&mock->deadlines, &c->deadline);
		return bytes_add(&c->out, last, sizeof(last) - 1) &&
		       flush(mock, c);
	}
	deadline_set(&mock->deadlines, &c->deadline, c->next_due_ns);
	return flush(mock, c);
}

/* X-Accel-Buffering is how an upstream has nginx relay at once. */
static bool begin_stream(struct mock *mock, struct connection *c)
{
	static const char head[] =
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		"X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n"
		"\r\n";

	c->streaming = true;
	c->next_event = 0;
	c->next_due_ns = clock_ns();
	return bytes_add(&c->out, head, sizeof(head) - 1) && say(mock, c);
}

static bool refuse(struct mock *mock, struct connection *c)
{
	static const char text[] =
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
		"Content-Length: 43\r\n\r\n"
		"{\"error\":{\"message\":\"no question of ours\"}}\n";

	fprintf(stderr, "mock: no question of ours: %s, %zu bytes: %.200s\n",
		c->request.target, bytes_left(&c->body),
		bytes_left(&c->body) > 0 ? bytes_front(&c->body) : "");
	return bytes_add(&c->out, text, sizeof(text) - 1) && flush(mock, c);
}

static bool answer(struct mock *mock, struct connection *c)
{
	bool ours =
		strcmp(c->request.target, "POST /v1/chat/completions") == 0 &&
		bytes_left(&c->body) > 0 &&
		question_read(bytes_front(&c->body), bytes_left(&c->body),
			      &c->answer);

	message_init(&c->request);
	bytes_clear(&c->body, KEEP_SIZE);
	if (!ours)
		return refuse(mock, c);
	if (c->answer.shape.events > 0)
		return begin_stream(mock, c);
	return add_whole(c) && flush(mock, c);
}

/* --- the loop ------------------------------------------------------------- */

static bool keep_body(void *owner, const char *bytes, size_t length)
{
	struct connection *c = owner;

	return bytes_add(&c->body, bytes, length);
}

static bool take_input(struct mock *mock, struct connection *c)
{
	ssize_t n = recv(c->fd, mock->input, READ_SIZE, 0), taken;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	/* Nobody asks before the last answer has ended. */
	if (n == 0 || c->streaming)
		return false;
	taken = message_take(&c->request, mock->input, (size_t)n, keep_body, c);
	if (taken != n) {
		fprintf(stderr, "mock: a request that is no HTTP/1.1\n");
		return false;
	}
	return c->request.state != MESSAGE_DONE || answer(mock, c);
}

static void accept_all(struct mock *mock)
{
	static const int on = 1;

	for (;;) {
		int fd = accept4(mock->listener, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct connection *c;
		struct epoll_event event = { .events = EPOLLIN };

		if (fd < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			close(fd);
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->fd = fd;
		message_init(&c->request);
		event.data.ptr = c;
		if (epoll_ctl(mock->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			close_connection(mock, c);
	}
}

static void serve(struct mock *mock)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	for (;;) {
		struct deadline *first = deadline_first(&mock->deadlines);
		uint64_t now = clock_ns();
		uint64_t wait = first == NULL || first->due_ns <= now
					? 0
					: first->due_ns - now;
		struct timespec timeout = {
			.tv_sec = (time_t)(wait / 1000000000u),
			.tv_nsec = (long)(wait % 1000000000u),
		};
		int n = epoll_pwait2(mock->epoll, events, EVENTS_AT_ONCE,
				     first != NULL ? &timeout : NULL, NULL);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c == NULL)
				accept_all(mock);
			else if (((events[i].events & EPOLLOUT) != 0 &&
				  !flush(mock, c)) ||
				 ((events[i].events & ~EPOLLOUT) != 0 &&
				  !take_input(mock, c)))
				close_connection(mock, c);
		}
		now = clock_ns();
		while ((first = deadline_first(&mock->deadlines)) != NULL &&
		       first->due_ns <= now) {
			struct connection *c = of_deadline(first);

			if (!say(mock, c))
				close_connection(mock, c);
		}
	}
}

static int listen_somewhere(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 ||
	    listen(fd, SOMAXCONN) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) < 0) {
		perror("mock: cannot listen on 127.0.0.1");
		return -1;
	}
	printf("%u\n", (unsigned int)ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(void)
{
	static char input[READ_SIZE];
	struct mock mock = { .epoll = epoll_create1(EPOLL_CLOEXEC),
			     .input = input };
	struct epoll_event event = { .events = EPOLLIN };
	struct rlimit files;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	mock.listener = listen_somewhere();
	if (mock.epoll < 0 || mock.listener < 0 ||
	    epoll_ctl(mock.epoll, EPOLL_CTL_ADD, mock.listener, &event) < 0)
		return 1;
	serve(&mock);
}
