/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server on a machine that fails: memory that is not there, sockets that
 * give and take little, descriptors that run out.  Whatever happens to one
 * request, the next is served.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/os.h"
#include "http_fixture.h"

#define H "Host: a\r\n"

static struct os real;
static int (*real_epoll_ctl)(int epoll, int operation, int fd,
			     struct epoll_event *event);
static _Atomic int alloc_fails_in; /* 0: never */
static _Atomic unsigned int alloc_failed;
static _Atomic size_t io_most; /* bytes a call; 0: all */
static _Atomic unsigned int io_calls;
static _Atomic int accept_failures;
static _Atomic int accept_calls;
static sem_t accepts; /* counts the same calls, to be waited for */
static _Atomic bool open_fails;
static _Atomic int watch_failures;

/* --- the faults ----------------------------------------------------------------- */

/* Only the loops' own allocations fail, not those of the test. */
static bool fail_now(void)
{
	if (!loop_current() || loop_is_control() || alloc_fails_in == 0 ||
	    --alloc_fails_in != 0)
		return false;
	alloc_failed++;
	return true;
}

static void *faulty_alloc(size_t size)
{
	return fail_now() ? NULL : real.alloc(size);
}

static void *faulty_realloc(void *old, size_t size)
{
	return fail_now() ? NULL : real.realloc(old, size);
}

/* Every third call is interrupted, every fourth comes too early. */
static bool io_fails(void)
{
	unsigned int n = io_calls++;

	if (io_most == 0)
		return false;
	errno = n % 3 == 1 ? EINTR : EAGAIN;
	return n % 3 == 1 || n % 4 == 2;
}

static ssize_t faulty_recv(int fd, void *bytes, size_t length, int flags)
{
	if (io_fails())
		return -1;
	return real.recv(fd, bytes,
			 io_most && io_most < length ? io_most : length, flags);
}

static ssize_t faulty_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr less = *message;
	struct iovec first = message->msg_iov[0];

	if (io_fails())
		return -1;
	if (io_most && io_most < first.iov_len) {
		first.iov_len = io_most;
		less.msg_iov = &first;
		less.msg_iovlen = 1;
	}
	return real.sendmsg(fd, &less, flags);
}

static int faulty_accept4(int fd, struct sockaddr *address, socklen_t *length,
			  int flags)
{
	accept_calls++;
	(void)sem_post(&accepts);
	if (accept_failures > 0) {
		accept_failures--;
		errno = EMFILE;
		return -1;
	}
	return real.accept4(fd, address, length, flags);
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
	if (open_fails) {
		errno = EMFILE;
		return -1;
	}
	return real.open(path, flags, mode);
}

/* In place of libc's, for libuv: a listener's socket cannot be watched. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int epoll_ctl(int epoll, int operation,
						     int fd,
						     struct epoll_event *event)
{
	socklen_t length = sizeof(int);
	int listens = 0;

	if (operation == EPOLL_CTL_ADD && watch_failures > 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 &&
	    listens) {
		watch_failures--;
		errno = ENOSPC;
		return -1;
	}
	return real_epoll_ctl(epoll, operation, fd, event);
}

static void start(void)
{
	alloc_fails_in = accept_failures = 0;
	io_most = 0;
	fixture_start(1, NULL, NULL);
}

static void stop(void)
{
	alloc_fails_in = accept_failures = 0;
	io_most = 0;
	fixture_stop(2000);
}

/* --- the proofs ------------------------------------------------------------------- */

static void little_bytes_make_whole_messages(void)
{
	static const size_t most[] = { 1, 2, 3, 7, 100, 5000 };
	char body[3000];
	struct answer a;

	memset(body, 'b', sizeof(body));
	start();
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		int fd = client_connect();

		io_most = most[i];
		for (int k = 0; k < 3; k++) {
			client_text(fd, "POST /later HTTP/1.1\r\n" H
					"Content-Length: 3000\r\n\r\n");
			client_send(fd, body, sizeof(body));
			client_answer(fd, &a, false);
			CHECK(a.status == 200 && a.length == sizeof(body));
			CHECK(memcmp(a.body, body, sizeof(body)) == 0);
			answer_free(&a);
			client_text(fd,
				    "GET /stream?n=20&size=100 HTTP/1.1\r\n" H
				    "\r\n"
				    "POST /echo HTTP/1.1\r\n" H
				    "Transfer-Encoding: chunked\r\n\r\n"
				    "3\r\nabc\r\n0\r\n\r\n");
			client_answer(fd, &a, false);
			CHECK(a.whole && a.length == 2000);
			answer_free(&a);
			client_answer(fd, &a, false);
			CHECK(strcmp(a.body, "abc") == 0);
			answer_free(&a);
		}
		close(fd);
	}
	stop();
}

/* The n-th allocation of a loop fails, for every n that the request needs. */
static void one_failed_allocation_costs_one_request(const char *text)
{
	char *body = malloc(40000);
	unsigned int misses = 0;

	CHECK(body);
	memset(body, 'b', 40000);
	start();
	for (int n = 1; misses < 3; n++) {
		unsigned int failed = alloc_failed;
		int fd = client_connect();
		struct answer a;

		alloc_fails_in = n;
		client_text(fd, text);
		if (strstr(text, "40000"))
			client_send(fd, body, 40000);
		/* An answer, or none: but an end of the matter. */
		client_answer(fd, &a, false);
		answer_free(&a);
		close(fd);
		misses += alloc_failed == failed;
		alloc_fails_in = 0;
		client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
		CHECK(n < 200);
	}
	free(body);
	stop();
}

static void memory_for_a_plain_request(void)
{
	one_failed_allocation_costs_one_request("GET /echo HTTP/1.1\r\n" H
						"\r\n");
}

static void memory_for_a_long_body(void)
{
	one_failed_allocation_costs_one_request(
		"POST /echo HTTP/1.1\r\n" H "Content-Length: 40000\r\n\r\n");
}

static void memory_for_a_refusal(void)
{
	one_failed_allocation_costs_one_request("GET / HTTP/1.1\r\n\r\n");
}

static void no_descriptor_left_is_survived(void)
{
	struct answer a;
	int fd;

	start();
	for (int n = 1; n <= 5; n++) {
		accept_failures = n;
		fd = client_connect();
		client_text(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		/* Served, or turned away by a close. */
		client_answer(fd, &a, false);
		answer_free(&a);
		close(fd);
		accept_failures = 0;
		client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	}
	stop();
}

static int64_t now_ms(void)
{
	return real.monotonic_ns() / 1000000;
}

/* The reserve is gone, and nothing can be accepted: the loop looks ten times a
 * second, and not as often as it can. */
static void who_waits_for_a_descriptor_keeps_no_loop_busy(void)
{
	struct timespec until;
	struct answer a;
	int64_t began;
	int fd, calls;

	start();
	open_fails = true;
	accept_failures = INT_MAX;
	while (sem_trywait(&accepts) == 0)
		continue;
	accept_calls = 0;
	began = now_ms();
	fd = client_connect();
	client_text(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
	until.tv_sec += 20;
	for (int i = 0; i < 8; i++)
		CHECK(sem_timedwait(&accepts, &until) == 0);
	calls = accept_calls;
	/* The first wake-up's two, and one each time that it looks. */
	CHECK(calls <= 4 + (now_ms() - began) / 100);
	accept_failures = 0;
	client_answer(fd, &a, false);
	CHECK(a.status == 200);
	answer_free(&a);
	close(fd);
	open_fails = false;

	/* And it has one in reserve again. */
	accept_failures = 1;
	fd = client_connect();
	client_answer(fd, &a, false);
	CHECK(a.status == 0);
	answer_free(&a);
	close(fd);
	stop();
}

static void a_socket_that_cannot_be_watched_is_tried_again(void)
{
	watch_failures = 2;
	start();
	client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	CHECK(watch_failures == 0);
	stop();

	/* Nor does it keep anyone from ending. */
	watch_failures = 1000;
	start();
	stop();
	CHECK(watch_failures < 1000);
	watch_failures = 0;
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(little_bytes_make_whole_messages),
		TAP_TEST(memory_for_a_plain_request),
		TAP_TEST(memory_for_a_long_body),
		TAP_TEST(memory_for_a_refusal),
		TAP_TEST(no_descriptor_left_is_survived),
		TAP_TEST(who_waits_for_a_descriptor_keeps_no_loop_busy),
		TAP_TEST(a_socket_that_cannot_be_watched_is_tried_again),
	};

	real = os;
	CHECK(sem_init(&accepts, 0, 0) == 0);
	real_epoll_ctl = (__typeof__(real_epoll_ctl))(uintptr_t)dlsym(
		RTLD_NEXT, "epoll_ctl");
	os.alloc = faulty_alloc;
	os.realloc = faulty_realloc;
	os.recv = faulty_recv;
	os.sendmsg = faulty_sendmsg;
	os.accept4 = faulty_accept4;
	os.open = faulty_open;
	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
