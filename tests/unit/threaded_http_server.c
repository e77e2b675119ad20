/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server over real sockets: requests, bodies, order, refusals, and
 * what becomes of clients that are slow.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server_priv.h"
#include "http_fixture.h"

#define H "Host: a\r\n"

/* --- one request --------------------------------------------------------------- */

static void an_answer_carries_its_fields(void)
{
	struct answer a;

	fixture_start(1, NULL, NULL);
	client_expect("GET /echo%20me?x HTTP/1.1\r\n" H "\r\n", 200, &a);
	CHECK(strlen(answer_field(&a, "date")) == 29);
	CHECK(strncmp(answer_field(&a, "x-request-id"), "req_", 4) == 0);
	CHECK(strcmp(answer_field(&a, "content-length"), "0") == 0);
	CHECK(strcmp(answer_field(&a, "content-type"), "text/plain") == 0);
	CHECK(strcmp(answer_field(&a, "x-path"), "/echo me") == 0);
	CHECK(answer_field(&a, "connection") == NULL);
	answer_free(&a);
	fixture_stop(1000);
}

static void head_has_the_fields_and_no_body(void)
{
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd,
		    "HEAD /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"
		    "HEAD /stream HTTP/1.1\r\n" H "\r\n"
		    "GET /echo HTTP/1.1\r\n" H "\r\n");
	client_answer(fd, &a, true);
	CHECK(strcmp(answer_field(&a, "content-length"), "5") == 0);
	answer_free(&a);
	client_answer(fd, &a, true);
	CHECK(a.status == 200);
	answer_free(&a);
	client_answer(fd, &a, false);
	CHECK(strcmp(answer_field(&a, "x-method"), "GET") == 0);
	answer_free(&a);
	close(fd);
	fixture_stop(1000);
}

static void added_fields_cannot_break_the_head(void)
{
	struct answer a;

	fixture_start(1, NULL, NULL);
	client_expect("GET /fields HTTP/1.1\r\n" H "\r\n", 200, &a);
	CHECK(strcmp(answer_field(&a, "x-one"), "1") == 0);
	CHECK(strcmp(answer_field(&a, "x-two"), "2") == 0);
	CHECK(strlen(answer_field(&a, "x-big")) == 2999);
	CHECK(answer_field(&a, "set-cookie") == NULL);
	CHECK(answer_field(&a, "x-evil") == NULL);
	CHECK(strcmp(answer_field(&a, "content-type"),
		     "application/octet-stream") == 0);
	answer_free(&a);
	fixture_stop(1000);
}

static void query_parameters_are_decoded(void)
{
	static const struct {
		const char *query;
		const char *value;
	} cases[] = {
		{ "name=a&a=1", "1" },
		{ "name=a&b=2&a=x%20y+z", "x y z" },
		{ "name=a&a", "" },
		{ "name=a&a=", "" },
		{ "name=a&ab=1", "(none)" },
		{ "name=ab&a=1", "(none)" },
		{ "name=a&a=%zz", "(none)" },
		{ "name=a&a=%00", "(none)" },
		{ "name=a&&a=1", "1" },
	};

	fixture_start(1, NULL, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128];
		struct answer a;

		snprintf(text, sizeof(text),
			 "GET /query?%s HTTP/1.1\r\n" H "\r\n", cases[i].query);
		client_expect(text, 200, &a);
		CHECK(strcmp(a.body, cases[i].value) == 0);
		answer_free(&a);
	}
	fixture_stop(1000);
}

/* --- bodies --------------------------------------------------------------------- */

static char *pattern(size_t length)
{
	char *bytes = malloc(length + 1);

	CHECK(bytes);
	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)('a' + (i * 7 + i / 251) % 26);
	return bytes;
}

static void send_body(int fd, const char *path, const char *body, size_t length,
		      size_t chunk)
{
	char text[256];

	if (chunk == 0) {
		snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n",
			 path, length);
		client_text(fd, text);
		client_send(fd, body, length);
		return;
	}
	snprintf(text, sizeof(text),
		 "POST %s HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
		 path);
	client_text(fd, text);
	for (size_t at = 0; at < length; at += chunk) {
		size_t n = length - at < chunk ? length - at : chunk;

		snprintf(text, sizeof(text), "%zx;ext=1\r\n", n);
		client_text(fd, text);
		client_send(fd, body + at, n);
		client_text(fd, "\r\n");
	}
	client_text(fd, "0\r\nTrailer: x\r\n\r\n");
}

static void bodies_of_any_size_arrive_whole(void)
{
	static const size_t sizes[] = { 1,     1900,  2048,  2049,   5000,
					16384, 16385, 70000, 300000, 3000000 };
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *body = pattern(sizes[i]);
		const size_t chunks[] = { 0, sizes[i], sizes[i] / 7 + 1 };

		for (int k = 0; k < 3; k++) {
			struct answer a;

			send_body(fd, k == 2 ? "/later" : "/echo", body,
				  sizes[i], chunks[k]);
			client_answer(fd, &a, false);
			CHECK(a.status == 200 && a.length == sizes[i]);
			CHECK(memcmp(a.body, body, sizes[i]) == 0);
			answer_free(&a);
		}
		free(body);
	}
	close(fd);
	fixture_stop(1000);
}

static void a_request_may_come_byte_by_byte(void)
{
	static const char text[] =
		"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\n"
		"Transfer-Encoding: chunked\r\n\r\n"
		"3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n"
		"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
		"wxyz";
	int fd;

	fixture_start(1, NULL, NULL);
	for (size_t step = 1; step < sizeof(text); step += step < 8 ? 1 : 9) {
		struct answer a;

		fd = client_connect();
		for (size_t at = 0; at < sizeof(text) - 1; at += step) {
			size_t left = sizeof(text) - 1 - at;

			client_send(fd, text + at, left < step ? left : step);
		}
		client_answer(fd, &a, false);
		CHECK(a.status == 200 && strcmp(a.body, "abcde") == 0);
		answer_free(&a);
		client_answer(fd, &a, false);
		CHECK(a.status == 200 && strcmp(a.body, "wxyz") == 0);
		answer_free(&a);
		close(fd);
	}
	fixture_stop(1000);
}

static void pipelined_requests_are_answered_in_order(void)
{
	char text[200 * 120];
	size_t length = 0;
	int fd;

	fixture_start(1, NULL, NULL);
	for (int i = 0; i < 200; i++) {
		static const char *const forms[] = {
			"GET /echo/%d HTTP/1.1\r\n" H "\r\n",
			"POST /later?%d HTTP/1.1\r\n" H
			"Content-Length: 3\r\n\r\nabc",
			"POST /echo/%d HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\n\r\n"
			"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
		};

		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   forms[i % 3], i);
	}
	fd = client_connect();
	client_send(fd, text, length);
	for (int i = 0; i < 200; i++) {
		struct answer a;
		char path[32];

		client_answer(fd, &a, false);
		CHECK(a.status == 200);
		CHECK(strcmp(a.body, i % 3 ? "abc" : "") == 0);
		snprintf(path, sizeof(path), "/echo/%d", i);
		CHECK(i % 3 == 1 ||
		      strcmp(answer_field(&a, "x-path"), path) == 0);
		answer_free(&a);
	}
	close(fd);
	fixture_stop(1000);
}

/* What follows a long chunked body in the same packet is the next request. */
static void a_request_behind_a_long_chunked_body_is_kept(void)
{
	char *body = pattern(40000);
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	for (int i = 0; i < 20; i++) {
		send_body(fd, "/later", body, 40000, 40000);
		client_text(fd, "GET /echo/next HTTP/1.1\r\n" H "\r\n");
	}
	for (int i = 0; i < 20; i++) {
		client_answer(fd, &a, false);
		CHECK(a.length == 40000 && memcmp(a.body, body, 40000) == 0);
		answer_free(&a);
		client_answer(fd, &a, false);
		CHECK(strcmp(answer_field(&a, "x-path"), "/echo/next") == 0);
		answer_free(&a);
	}
	close(fd);
	free(body);
	fixture_stop(1000);
}

static void continue_is_said_when_it_is_waited_for(void)
{
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
			"Content-Length: 2\r\n\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 100);
	answer_free(&a);
	client_text(fd, "ok");
	client_answer(fd, &a, false);
	CHECK(a.status == 200 && strcmp(a.body, "ok") == 0);
	answer_free(&a);
	/* With the body already there, nobody waits. */
	client_text(fd, "POST /echo HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
			"Content-Length: 2\r\n\r\nok");
	client_answer(fd, &a, false);
	CHECK(a.status == 200);
	answer_free(&a);
	close(fd);
	/* A refusal comes instead of it. */
	fd = client_connect();
	client_text(fd, "POST /early HTTP/1.1\r\n" H "Expect: 100-continue\r\n"
			"Content-Length: 20000\r\n\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 401);
	CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	fixture_stop(1000);
}

static void an_early_answer_reaches_a_client_that_is_sending(void)
{
	char *body = pattern(2000000);
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	send_body(fd, "/early", body, 2000000, 0);
	client_answer(fd, &a, false);
	CHECK(a.status == 401 && strcmp(a.body, "no") == 0);
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	/* A body that has come with the head costs no connection. */
	fd = client_connect();
	client_text(fd, "POST /early HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n"
			"ok"
			"GET /echo HTTP/1.1\r\n" H "\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 401 && !answer_field(&a, "connection"));
	answer_free(&a);
	client_answer(fd, &a, false);
	CHECK(a.status == 200);
	answer_free(&a);
	close(fd);
	free(body);
	fixture_stop(1000);
}

/* --- refusals ---------------------------------------------------------------------- */

static void faulty_requests_get_a_reason_and_a_close(void)
{
	static const struct {
		const char *text;
		int status;
		const char *code;
	} cases[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 400, "invalid_request" },
		{ "GET / HTTP/1.1\nHost: a\n\n", 400, "invalid_request" },
		{ "\x16\x03\x01\x02", 400, "invalid_request" },
		{ "GET / HTTP/2.0\r\n" H "\r\n", 505, "not_implemented" },
		{ "BREW / HTTP/1.1\r\n" H "\r\n", 501, "not_implemented" },
		{ "POST / HTTP/1.1\r\n" H "Content-Length: 99999999\r\n\r\n",
		  413, "too_large" },
		{ "POST / HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		  400, "invalid_request" },
		{ "POST / HTTP/1.1\r\n" H
		  "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
		  400, "invalid_request" },
		{ "POST / HTTP/1.1\r\n" H "Expect: x\r\n\r\n", 417,
		  "invalid_request" },
	};

	fixture_start(1, NULL, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char code[64];
		struct answer a;
		int fd = client_connect();

		client_text(fd, cases[i].text);
		client_answer(fd, &a, false);
		CHECK(a.status == cases[i].status);
		snprintf(code, sizeof(code), "\"code\":\"%s\"", cases[i].code);
		CHECK(strstr(a.body, code));
		CHECK(strncmp(a.body, "{\"error\":{\"message\":\"", 21) == 0);
		CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
		CHECK(answer_field(&a, "x-request-id"));
		CHECK(client_at_end(fd));
		answer_free(&a);
		close(fd);
	}
	CHECK(metric_value(http_metrics.refused[REFUSED_BAD_REQUEST]) == 6);
	CHECK(metric_value(http_metrics.refused[REFUSED_TOO_LARGE]) == 1);
	CHECK(metric_value(http_metrics.refused[REFUSED_NOT_IMPLEMENTED]) == 2);
	CHECK(metric_value(http_metrics.accepted) == 9);
	fixture_stop(1000);
}

static void a_chunked_body_is_bounded_while_it_comes(void)
{
	struct http_limits limits = http_limits_default;
	char *body = pattern(100000);
	struct answer a;
	int fd;

	limits.body_max = 50000;
	fixture_start(1, &limits, NULL);
	fd = client_connect();
	send_body(fd, "/echo", body, 50000, 1000);
	client_answer(fd, &a, false);
	CHECK(a.status == 200 && a.length == 50000);
	answer_free(&a);
	send_body(fd, "/echo", body, 50001, 1000);
	client_answer(fd, &a, false);
	CHECK(a.status == 413);
	answer_free(&a);
	close(fd);
	fd = client_connect();
	send_body(fd, "/echo", body, 50001, 0);
	client_answer(fd, &a, false);
	CHECK(a.status == 413);
	answer_free(&a);
	close(fd);
	free(body);
	fixture_stop(1000);
}

static void a_long_head_is_431(void)
{
	char text[20000];
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nX: ", 19);
	fd = client_connect();
	client_send(fd, text, sizeof(text));
	client_answer(fd, &a, false);
	CHECK(a.status == 431);
	answer_free(&a);
	close(fd);
	/* 12 KiB are within the limit. */
	memcpy(text + 12000, "\r\n" H "\r\n", 13);
	fd = client_connect();
	client_send(fd, text, 12013);
	client_answer(fd, &a, false);
	CHECK(a.status == 200);
	answer_free(&a);
	close(fd);
	fixture_stop(1000);
}

/* --- versions ------------------------------------------------------------------------ */

static void http_1_0_closes_unless_it_asks(void)
{
	struct answer a;
	int fd;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	client_answer(fd, &a, false);
	CHECK(strcmp(answer_field(&a, "connection"), "keep-alive") == 0);
	answer_free(&a);
	client_text(fd, "GET / HTTP/1.0\r\n\r\n");
	client_answer(fd, &a, false);
	CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	fd = client_connect();
	client_text(fd, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	client_answer(fd, &a, false);
	CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	fixture_stop(1000);
}

/* --- time --------------------------------------------------------------------------------- */

/* One limit of each test is short: on a machine that pauses the others would
 * end what they are not to end. */
#define MOMENT_MS 60
/* Within which a client has to do something first. */
#define WHILE_MS 500

static struct http_limits hasty;

static void start_hasty(int64_t *limit_ms, int64_t value_ms)
{
	hasty = http_limits_default;
	*limit_ms = value_ms;
	fixture_start(1, &hasty, NULL);
}

static void a_head_must_arrive_in_time(void)
{
	struct answer a;
	int fd;

	start_hasty(&hasty.head_timeout_ms, WHILE_MS);
	fd = client_connect();
	client_text(fd, "GET / HTTP/1.1\r\nX: ");
	/* More bytes do not give more time. */
	while (send(fd, "y", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 &&
	       recv(fd, a.head, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
		usleep(2000);
	client_answer(fd, &a, false);
	CHECK(a.status == 408);
	CHECK(strstr(a.body, "\"code\":\"timeout\""));
	answer_free(&a);
	close(fd);
	fixture_stop(1000);
	/* Who sends nothing is told nothing. */
	start_hasty(&hasty.head_timeout_ms, MOMENT_MS);
	fd = client_connect();
	CHECK(client_at_end(fd));
	close(fd);
	fixture_stop(1000);
}

static void a_body_must_go_on_arriving(void)
{
	struct answer a;

	start_hasty(&hasty.body_stall_ms, MOMENT_MS);
	client_expect("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nab",
		      408, &a);
	CHECK(strstr(a.body, "body"));
	answer_free(&a);
	client_expect("POST / HTTP/1.1\r\n" H
		      "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
		      408, NULL);
	fixture_stop(1000);
}

static void a_body_must_not_trickle(void)
{
	struct answer a;
	char byte;
	int fd;

	start_hasty(&hasty.body_stall_ms, WHILE_MS);
	fd = client_connect();
	client_text(fd, "POST / HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n");
	/* Never silent for long, and yet too slow. */
	while (send(fd, "y", 1, MSG_NOSIGNAL) == 1 &&
	       recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
		usleep(20000);
	client_answer(fd, &a, false);
	CHECK(a.status == 408);
	CHECK(strstr(a.body, "too slowly"));
	answer_free(&a);
	close(fd);
	fixture_stop(1000);
}

static void an_idle_connection_is_closed_quietly(void)
{
	struct answer a;
	int fd;

	start_hasty(&hasty.idle_timeout_ms, MOMENT_MS);
	fd = client_connect();
	client_text(fd, "GET / HTTP/1.1\r\n" H "\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 200);
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	fixture_stop(1000);
}

static void who_takes_nothing_is_cut(void)
{
	int small = 4096;
	int fd;

	start_hasty(&hasty.write_stall_ms, MOMENT_MS);
	fd = client_connect();
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) ==
	      0);
	client_text(fd, "GET /flood HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_gone, 1);
	CHECK(fixture_busy >= 1);
	close(fd);
	fixture_stop(1000);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(an_answer_carries_its_fields),
		TAP_TEST(head_has_the_fields_and_no_body),
		TAP_TEST(added_fields_cannot_break_the_head),
		TAP_TEST(query_parameters_are_decoded),
		TAP_TEST(bodies_of_any_size_arrive_whole),
		TAP_TEST(a_request_may_come_byte_by_byte),
		TAP_TEST(pipelined_requests_are_answered_in_order),
		TAP_TEST(a_request_behind_a_long_chunked_body_is_kept),
		TAP_TEST(continue_is_said_when_it_is_waited_for),
		TAP_TEST(an_early_answer_reaches_a_client_that_is_sending),
		TAP_TEST(faulty_requests_get_a_reason_and_a_close),
		TAP_TEST(a_chunked_body_is_bounded_while_it_comes),
		TAP_TEST(a_long_head_is_431),
		TAP_TEST(http_1_0_closes_unless_it_asks),
		TAP_TEST(a_head_must_arrive_in_time),
		TAP_TEST(a_body_must_go_on_arriving),
		TAP_TEST(a_body_must_not_trickle),
		TAP_TEST(an_idle_connection_is_closed_quietly),
		TAP_TEST(who_takes_nothing_is_cut),
	};

	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
