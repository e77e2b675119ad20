/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams, and clients that leave: events, heartbeats, backpressure, the end
 * of an answer that broke off, and that a handler hears when nobody listens.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_fixture.h"

#define H "Host: a\r\n"

static void a_stream_is_chunked_and_ends(void)
{
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	for (int i = 0; i < 3; i++) {
		client_text(fd,
			    "GET /stream?n=5&size=300 HTTP/1.1\r\n" H "\r\n");
		client_answer(fd, &a, false);
		CHECK(a.whole && a.chunked && a.length == 1500);
		CHECK(strncmp(a.body, "data: 0 x", 9) == 0);
		CHECK(strcmp(answer_field(&a, "content-type"),
			     "text/event-stream") == 0);
		CHECK(answer_field(&a, "content-length") == NULL);
		answer_free(&a);
	}
	close(fd);
	fixture_stop(1000);
}

static void a_long_stream_loses_nothing(void)
{
	struct answer a;

	fixture_start(1, NULL, NULL);
	client_expect("GET /stream?n=4000&size=200 HTTP/1.1\r\n" H "\r\n", 200,
		      &a);
	CHECK(a.whole && a.length == 800000);
	for (size_t i = 0; i < 4000; i++) {
		char event[32];

		snprintf(event, sizeof(event), "data: %zu ", i);
		CHECK(memcmp(a.body + i * 200, event, strlen(event)) == 0);
	}
	answer_free(&a);
	fixture_stop(1000);
}

static void http_1_0_gets_a_stream_until_the_close(void)
{
	struct answer a;

	fixture_start(1, NULL, NULL);
	client_expect("GET /stream?n=3&size=20 HTTP/1.0\r\n\r\n", 200, &a);
	CHECK(!a.chunked && a.length == 60);
	CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
	answer_free(&a);
	fixture_stop(1000);
}

static void a_broken_answer_does_not_look_whole(void)
{
	struct answer a;
	char byte;
	int fd;

	fixture_start(1, NULL, NULL);
	client_expect("GET /cut?n=3 HTTP/1.1\r\n" H "\r\n", 200, &a);
	CHECK(!a.whole && a.length == 48);
	answer_free(&a);
	/* Without chunks only a reset tells. */
	fd = client_connect();
	client_text(fd, "GET /cut?n=0 HTTP/1.0\r\n\r\n");
	while (recv(fd, &byte, 1, 0) == 1)
		;
	CHECK(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
	fixture_stop(1000);
}

static const struct http_limits *beating(void)
{
	static struct http_limits limits;

	limits = http_limits_default;
	limits.heartbeat_ms = 20;
	return &limits;
}

/* Its end would be the close. */
static void a_stream_that_a_stop_cuts_does_not_look_whole(void)
{
	char byte;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd, "GET /quiet HTTP/1.0\r\n\r\n");
	CHECK(client_until(fd, "data: 1\n\n"));
	fixture_stop(1);
	CHECK(recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET);
	close(fd);
}

static void silence_is_filled_with_comments(void)
{
	int fd;

	fixture_start(1, beating(), NULL);
	fd = client_connect();
	client_text(fd, "GET /quiet HTTP/1.1\r\n" H "\r\n");
	CHECK(client_until(fd, "data: 1\n\n"));
	CHECK(client_until(fd, "\r\ne\r\n: keep-alive\n\n\r\n"));
	CHECK(client_until(fd, "e\r\n: keep-alive\n\n\r\n"));
	close(fd);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(1000);
}

static void no_comment_stands_inside_an_event(void)
{
	const struct timeval moment = { .tv_usec = 150000 };
	char byte;
	int fd;

	fixture_start(1, beating(), NULL);
	fd = client_connect();
	client_text(fd, "GET /half HTTP/1.1\r\n" H "\r\n");
	CHECK(client_until(fd, "data: half\r\n"));
	/* Seven times the heartbeat; proving that nothing comes takes time. */
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment,
			 sizeof(moment)) == 0);
	CHECK(recv(fd, &byte, 1, 0) < 0);
	close(fd);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(1000);
}

/* --- backpressure ------------------------------------------------------------------- */

static void a_slow_client_holds_the_writer_back(void)
{
	struct http_limits limits = http_limits_default;
	int fd;

	limits.stream_high_bytes = 64 * 1024;
	fixture_start(1, &limits, NULL);
	fd = client_connect();
	client_text(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_busy, 1);
	/* It goes on as the client reads, and stops again. */
	for (unsigned int round = 1; round <= 5; round++) {
		char block[65536];

		while (fixture_drained < round)
			CHECK(recv(fd, block, sizeof(block), 0) > 0);
		fixture_wait(&fixture_busy, round + 1);
	}
	close(fd);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(1000);
}

/* --- clients that leave ---------------------------------------------------------------- */

static int held_client(const char *path, unsigned int n)
{
	char text[128];
	int fd = client_connect();

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" H "\r\n", path);
	client_text(fd, text);
	fixture_wait(&fixture_held, n);
	return fd;
}

static void a_client_that_closes_is_noticed(void)
{
	fixture_start(1, NULL, NULL);
	close(held_client("/hold", 1));
	fixture_wait(&fixture_gone, 1);
	close(held_client("/quiet", 2));
	fixture_wait(&fixture_gone, 2);
	fixture_stop(1000);
}

static void a_client_that_resets_is_noticed(void)
{
	const struct linger now = { .l_onoff = 1 };
	int fd;

	fixture_start(1, NULL, NULL);
	fd = held_client("/quiet", 1);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(fd);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(1000);
}

static void a_half_closed_client_counts_as_gone(void)
{
	int fd;

	fixture_start(1, NULL, NULL);
	fd = held_client("/hold", 1);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	fixture_wait(&fixture_gone, 1);
	close(fd);
	/* What is answered at once is still delivered. */
	fd = client_connect();
	client_text(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(client_until(fd, "200 OK"));
	close(fd);
	fixture_stop(1000);
}

/* Reading ahead stops when there is no room; leaving is noticed still, as far
 * as the kernel takes what is sent and so sees the end. */
static void a_client_that_sends_on_and_closes_is_noticed(void)
{
	static char block[20000];
	int fd;

	fixture_start(1, NULL, NULL);
	memset(block, 'x', sizeof(block));
	fd = held_client("/hold", 1);
	client_send(fd, block, sizeof(block));
	close(fd);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(1000);
}

static void a_client_that_leaves_during_a_late_answer(void)
{
	fixture_start(2, NULL, NULL);
	for (int i = 0; i < 300; i++) {
		int fd = client_connect();

		client_text(fd, "GET /later HTTP/1.1\r\n" H "\r\n"
				"GET /later HTTP/1.1\r\n" H "\r\n");
		if (i % 3 == 0)
			CHECK(client_until(fd, "\r\n\r\n"));
		close(fd);
	}
	fixture_stop(1000);
}

/* A request that waits behind a stream is served, though what was received
 * with the stream's request was given back. */
static void a_request_behind_a_forgotten_one_is_kept(void)
{
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	for (int i = 0; i < 10; i++)
		client_text(fd,
			    "GET /stream?n=100&size=2000 HTTP/1.1\r\n" H "\r\n"
			    "POST /echo HTTP/1.1\r\n" H
			    "Content-Length: 4\r\n\r\nnext");
	for (int i = 0; i < 10; i++) {
		client_answer(fd, &a, false);
		CHECK(a.whole && a.length == 200000);
		answer_free(&a);
		client_answer(fd, &a, false);
		CHECK(strcmp(a.body, "next") == 0);
		answer_free(&a);
	}
	close(fd);
	fixture_stop(1000);
}

/* --- who sends too much ------------------------------------------------------------------ */

static unsigned int answers_in(const char *text)
{
	unsigned int n = 0;

	while ((text = strstr(text, "HTTP/1.1 ")) != NULL) {
		text++;
		n++;
	}
	return n;
}

/* All that comes until the end. */
static size_t read_all(int fd, char *out, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while (length + 1 < size &&
	       (n = recv(fd, out + length, size - length - 1, 0)) > 0)
		length += (size_t)n;
	out[length] = '\0';
	return length;
}

/* The handler has the head, and lets go of it when the body is refused. */
static void a_refused_body_is_answered_once(void)
{
	char text[4096];
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd, "POST /ponder HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\n\r\n");
	fixture_wait(&fixture_held, 1);
	client_text(fd, "no number\r\n");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(read_all(fd, text, sizeof(text)) > 0);
	CHECK(strncmp(text, "HTTP/1.1 400 ", 13) == 0);
	CHECK(answers_in(text) == 1);
	CHECK(fixture_gone == 1);
	close(fd);
	fixture_stop(1000);
}

/* Closing while its bytes are unread would take back what the kernel has not
 * sent yet. */
static void who_sends_too_much_gets_the_whole_answer(void)
{
	static const char request[] =
		"GET /stream?n=100&size=20000 HTTP/1.1\r\n" H
		"Connection: close\r\n\r\n";
	static char text[16 * 1024];
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	memset(text, 'x', sizeof(text));
	memcpy(text, request, sizeof(request) - 1);
	for (int i = 0; i < 10; i++) {
		fd = client_connect();
		client_send(fd, text, sizeof(text));
		client_answer(fd, &a, false);
		CHECK(a.status == 200 && a.whole && a.length == 2000000);
		answer_free(&a);
		CHECK(client_at_end(fd));
		close(fd);
	}
	fixture_stop(1000);
}

/* --- many at once -------------------------------------------------------------------------- */

static void *busy_client(void *argument)
{
	unsigned int seed = (unsigned int)(size_t)argument;
	int fd = client_connect();

	for (int i = 0; i < 60; i++) {
		static const char *const paths[] = {
			"/echo", "/later", "/stream?n=10&size=64",
			"/stream?n=300&size=1000"
		};
		const char *path = paths[(seed + (unsigned int)i) % 4];
		char text[128];
		struct answer a;

		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" H "\r\n",
			 path);
		client_text(fd, text);
		if (i % 20 == 19) {
			close(fd);
			fd = client_connect();
			continue;
		}
		client_answer(fd, &a, false);
		CHECK(a.status == 200 && a.whole);
		CHECK(path[1] != 's' || a.length == 640 || a.length == 300000);
		answer_free(&a);
	}
	close(fd);
	return NULL;
}

static void many_clients_on_two_loops(void)
{
	pthread_t threads[8];

	fixture_start(2, NULL, NULL);
	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, busy_client,
				     (void *)i) == 0);
	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	fixture_stop(2000);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(a_stream_is_chunked_and_ends),
		TAP_TEST(a_long_stream_loses_nothing),
		TAP_TEST(http_1_0_gets_a_stream_until_the_close),
		TAP_TEST(a_broken_answer_does_not_look_whole),
		TAP_TEST(a_stream_that_a_stop_cuts_does_not_look_whole),
		TAP_TEST(silence_is_filled_with_comments),
		TAP_TEST(no_comment_stands_inside_an_event),
		TAP_TEST(a_slow_client_holds_the_writer_back),
		TAP_TEST(a_client_that_closes_is_noticed),
		TAP_TEST(a_client_that_resets_is_noticed),
		TAP_TEST(a_half_closed_client_counts_as_gone),
		TAP_TEST(a_client_that_sends_on_and_closes_is_noticed),
		TAP_TEST(a_client_that_leaves_during_a_late_answer),
		TAP_TEST(a_request_behind_a_forgotten_one_is_kept),
		TAP_TEST(a_refused_body_is_answered_once),
		TAP_TEST(who_sends_too_much_gets_the_whole_answer),
		TAP_TEST(many_clients_on_two_loops),
	};

	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
