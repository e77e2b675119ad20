/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service atom.http/1 on a real loop, in front of a server that
 * misbehaves: what is sent, what comes back, and that every transfer has
 * exactly one end, in time.  Of two programs, each with one transport: the
 * lean one takes no scheme in capitals, which libcurl does.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "probe_fixture.h"
#include "upstream_fixture.h"

#ifndef SCHEME
#define SCHEME "http"
#endif

static struct upstream upstream;

static void probe_init(struct probe *p, const char *method, const char *path)
{
	char url[96];

	(void)snprintf(url, sizeof(url), SCHEME "://127.0.0.1:%d%s",
		       upstream.port, path);
	probe_prepare(p, method, url);
}

/* --- what the server does, by path ---------------------------------------------- */

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

static bool is_path(const struct upstream_connection *c, const char *path)
{
	const char *at = strchr(c->request, ' ');
	size_t length = strlen(path);

	return strncmp(at + 1, path, length) == 0 &&
	       (at[1 + length] == ' ' || at[1 + length] == '?');
}

static bool answer_endless(struct upstream_connection *c, const char *piece)
{
	while (upstream_send(c, piece))
		;
	return false;
}

static bool answer_big(struct upstream_connection *c)
{
	char piece[1025];

	memset(piece, 'b', 1024);
	piece[1024] = '\0';
	if (!upstream_send(c, HEAD "Content-Length: 4194304\r\n\r\n"))
		return false;
	for (int i = 0; i < 4096; i++)
		if (!upstream_send(c, piece))
			return false;
	return true;
}

static bool answer_trickle(struct upstream_connection *c)
{
	if (!upstream_send(c, HEAD "Content-Length: 100000\r\n\r\n"))
		return false;
	while (upstream_send(c, "x"))
		(void)usleep(5000);
	return false;
}

static bool answer(struct upstream_connection *c)
{
	if (is_path(c, "/echo"))
		return upstream_whole(c, "200 OK",
				      "Content-Type: text/plain\r\n", c->body);
	if (is_path(c, "/head"))
		return upstream_whole(c, "200 OK", "", c->request);
	if (is_path(c, "/interim"))
		return upstream_send(c, "HTTP/1.1 103 Early Hints\r\n"
					"Link: x\r\n\r\n") &&
		       upstream_whole(c, "200 OK", "", "after");
	if (is_path(c, "/moved"))
		return upstream_whole(c, "302 Found", "Location: /echo\r\n",
				      "");
	if (is_path(c, "/empty"))
		return upstream_send(c, "HTTP/1.1 204 No Content\r\n\r\n");
	if (is_path(c, "/chunks"))
		return upstream_send(c, HEAD "Transfer-Encoding: chunked\r\n"
					     "\r\n") &&
		       upstream_chunk(c, "one ") && upstream_chunk(c, "two") &&
		       upstream_chunk(c, "");
	if (is_path(c, "/big"))
		return answer_big(c);
	if (is_path(c, "/silent")) {
		upstream_wait_closed(c);
		return false;
	}
	if (is_path(c, "/stall")) {
		(void)upstream_send(c, HEAD "Content-Length: 9\r\n\r\nab");
		upstream_wait_closed(c);
		return false;
	}
	if (is_path(c, "/trickle"))
		return answer_trickle(c);
	if (is_path(c, "/close"))
		return false;
	if (is_path(c, "/reset")) {
		upstream_reset(c);
		return false;
	}
	if (is_path(c, "/reset-midway")) {
		(void)upstream_send(c, HEAD "Content-Length: 9\r\n\r\nab");
		upstream_reset(c);
		return false;
	}
	if (is_path(c, "/short")) {
		(void)upstream_send(c, HEAD "Content-Length: 9\r\n\r\nab");
		return false;
	}
	if (is_path(c, "/cut-chunks")) {
		(void)(upstream_send(c, HEAD "Transfer-Encoding: chunked\r\n"
					     "\r\n") &&
		       upstream_chunk(c, "one "));
		return false;
	}
	if (is_path(c, "/bad-chunks")) {
		(void)upstream_send(c, HEAD "Transfer-Encoding: chunked\r\n"
					    "\r\nzz\r\nxx");
		return false;
	}
	if (is_path(c, "/garbage")) {
		(void)upstream_send(c, "\x16\x03\x01 this is no HTTP\n\n\n");
		return false;
	}
	if (is_path(c, "/switch")) {
		(void)upstream_send(c, "HTTP/1.1 101 Switching Protocols\r\n"
				       "Upgrade: x\r\n\r\nxyz");
		return false;
	}
	if (is_path(c, "/endless-head"))
		return upstream_send(c, "HTTP/1.1 200 OK\r\n") &&
		       answer_endless(c, "X-More: yyyyyyyyyyyyyyyyyyyyyyy\r\n");
	if (is_path(c, "/endless-interim"))
		return answer_endless(c, "HTTP/1.1 100 Continue\r\n\r\n");
	if (is_path(c, "/endless"))
		return upstream_send(c, HEAD "\r\n") &&
		       answer_endless(c, "0123456789abcdef");
	if (strncmp(c->request, "GET http://", 11) == 0)
		return upstream_whole(c, "200 OK", "", "by the proxy");
	return upstream_whole(c, "404 Not Found", "", "");
}

/* --- good answers ------------------------------------------------------------------ */

static void an_answer_comes_whole_with_its_head(void)
{
	struct probe p;

	probe_init(&p, "POST", "/echo");
	p.body = (struct atom_span){ "hello", 5 };
	p.request.body = &p.body;
	p.request.body_count = 1;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.http_status == 200 && p.request_sent);
	CHECK(probe_got(&p, "hello") && strcmp(p.type, "text/plain") == 0);
	probe_fini(&p);
}

static void only_what_was_asked_is_sent(void)
{
	static const char *const fields[] = { "X-One: 1", "Content-Type: a/b" };
	static const struct atom_span body[] = { { "ab", 2 },
						 { NULL, 0 },
						 { "cde", 3 } };
	struct probe p;

	probe_init(&p, "POST", "/head");
	p.request.headers = fields;
	p.request.header_count = 2;
	p.request.body = body;
	p.request.body_count = 3;
	probe_run(&p);
	CHECK(p.status == ATOM_OK);
	CHECK(buffer_append_char(&p.got, '\0') == ATOM_OK);
	CHECK(strncmp(p.got.bytes, "POST /head HTTP/1.1\r\n", 21) == 0);
	CHECK(strstr(p.got.bytes, "X-One: 1\r\n") != NULL);
	CHECK(strstr(p.got.bytes, "Content-Type: a/b\r\n") != NULL);
	CHECK(strstr(p.got.bytes, "Content-Length: 5\r\n") != NULL);
	CHECK(strstr(p.got.bytes, "Expect") == NULL);
	CHECK(strstr(p.got.bytes, "Accept-Encoding") == NULL);
	CHECK(strstr(p.got.bytes, "\r\n\r\nabcde") != NULL);
	probe_fini(&p);

	probe_init(&p, "DELETE", "/head");
	probe_run(&p);
	CHECK(p.status == ATOM_OK);
	CHECK(strncmp(p.got.bytes, "DELETE /head HTTP/1.1\r\n", 23) == 0);
	CHECK(strstr(p.got.bytes, "form") == NULL);
	probe_fini(&p);
}

static void other_answers_are_understood(void)
{
	static const struct {
		const char *path;
		int32_t status;
		const char *text;
	} answers[] = {
		{ "/interim", 200, "after" },  { "/empty", 204, "" },
		{ "/chunks", 200, "one two" }, { "/moved", 302, "" },
		{ "/nothing", 404, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct probe p;

		probe_init(&p, "GET", answers[i].path);
		probe_run(&p);
		CHECK(p.status == ATOM_OK && p.heads == 1);
		CHECK(p.http_status == answers[i].status);
		CHECK(probe_got(&p, answers[i].text));
		probe_fini(&p);
	}
}

static void connections_are_used_again(void)
{
	unsigned int before = upstream_connections();
	struct probe p;

	for (int i = 0; i < 20; i++) {
		probe_init(&p, "POST", "/echo");
		p.body = (struct atom_span){ "x", 1 };
		p.request.body = &p.body;
		p.request.body_count = 1;
		probe_run(&p);
		CHECK(p.status == ATOM_OK);
		probe_fini(&p);
	}
	CHECK(upstream_connections() - before <= 1);
}

#define MANY 300

static void many_at_once_all_end(void)
{
	static struct probe probes[MANY];

	for (int i = 0; i < MANY; i++) {
		probe_init(&probes[i], "GET", i % 30 == 0 ? "/big" : "/chunks");
		probe_begin(&probes[i]);
	}
	for (int i = 0; i < MANY; i++) {
		probe_wait(&probes[i]);
		CHECK(probes[i].status == ATOM_OK);
		CHECK(probes[i].got.length == (i % 30 == 0 ? 4194304 : 7));
		probe_fini(&probes[i]);
	}
}

/* --- bad answers -------------------------------------------------------------------- */

static void a_dead_connection_is_an_error_and_nothing_is_sent_twice(void)
{
	unsigned int before;
	struct probe p;

	probe_init(&p, "GET", "/chunks");
	probe_run(&p);
	CHECK(p.status == ATOM_OK);
	probe_fini(&p);
	before = upstream_requests();
	probe_init(&p, "POST", "/close");
	p.body = (struct atom_span){ "once", 4 };
	p.request.body = &p.body;
	p.request.body_count = 1;
	probe_run(&p);
	CHECK(p.status == ATOM_EIO && p.request_sent && p.heads == 0);
	CHECK(upstream_requests() == before + 1);
	probe_fini(&p);
	/* The same without a body. */
	probe_init(&p, "GET", "/chunks");
	probe_run(&p);
	probe_fini(&p);
	before = upstream_requests();
	probe_init(&p, "POST", "/close");
	probe_run(&p);
	CHECK(p.status == ATOM_EIO && upstream_requests() == before + 1);
	probe_fini(&p);
}

static void broken_answers_are_never_successes(void)
{
	static const struct {
		const char *path;
		atom_status status;
	} answers[] = {
		{ "/close", ATOM_EIO },
		{ "/reset", ATOM_EIO },
		{ "/reset-midway", ATOM_EIO },
		{ "/short", ATOM_EIO },
		{ "/cut-chunks", ATOM_EIO },
		{ "/bad-chunks", ATOM_EIO },
		{ "/garbage", ATOM_EPROTO },
		{ "/switch", ATOM_EPROTO },

		{ "/endless-head", ATOM_ELIMIT },
		{ "/endless-interim", ATOM_ELIMIT },
		{ "/endless", ATOM_ELIMIT },
		{ "/big", ATOM_ELIMIT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct probe p;

		probe_init(&p, "GET", answers[i].path);
		p.request.answer_max = 1000000;
		probe_run(&p);
		if (p.status != answers[i].status)
			printf("# %s: %d %s\n", answers[i].path, p.status,
			       p.error.message);
		CHECK(p.status == answers[i].status);
		CHECK(strstr(p.error.message, "127.0.0.1:") != NULL);
		CHECK(p.got.length <= 1000000);
		probe_fini(&p);
	}
}

static void nobody_there_is_an_error(void)
{
	static const char *const urls[] = {
		SCHEME "://127.0.0.1:1/x",
		SCHEME "://[::1]:1/x",
		SCHEME "://no-such-host.invalid/x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct probe p;

		probe_init(&p, "GET", "/");
		p.request.url = urls[i];
		probe_run(&p);
		CHECK(p.status == ATOM_EIO && !p.request_sent);
		probe_fini(&p);
	}
}

static void wrong_requests_are_refused_at_once(void)
{
	static const char *const bad_urls[] = { "", "ftp://x/", "http://",
						"file:///etc/passwd",
						"http://u:secret@x/" };
	static const char *const bad_fields[] = { "X: a\r\nY: b", "no colon",
						  ": x", "X : y" };
	struct probe p;

	for (size_t i = 0; i < ARRAY_SIZE(bad_urls); i++) {
		probe_init(&p, "GET", "/");
		p.request.url = bad_urls[i];
		probe_run(&p);
		CHECK(p.started == ATOM_EINVAL && p.ends == 0);
		CHECK(strstr(p.error.message, "secret") == NULL);
		probe_fini(&p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_fields); i++) {
		probe_init(&p, "GET", "/");
		p.request.headers = &bad_fields[i];
		p.request.header_count = 1;
		probe_run(&p);
		CHECK(p.started == ATOM_EINVAL && p.ends == 0);
		probe_fini(&p);
	}
	probe_init(&p, "GET /x", "/");
	probe_run(&p);
	CHECK(p.started == ATOM_EINVAL);
	probe_fini(&p);
}

/* --- time ---------------------------------------------------------------------------- */

static void deadlines_end_a_transfer(void)
{
	struct probe p;

	probe_init(&p, "GET", "/silent");
	p.request.head_ms = 500;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && p.heads == 0 && p.request_sent);
	probe_fini(&p);

	probe_init(&p, "GET", "/stall");
	p.request.stall_ms = 500;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && probe_got(&p, "ab"));
	probe_fini(&p);

	probe_init(&p, "GET", "/trickle");
	p.request.total_ms = 500;
	p.request.stall_ms = 5000;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && p.got.length > 0);
	probe_fini(&p);
	probe_until(upstream_answering, 0);
}

/* A listener that accepts nobody, its queue full. */
static int full_listener(int *port_r, int *others, int count)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fd, 0) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
	for (int i = 0; i < count; i++) {
		others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(others[i], (struct sockaddr *)&address,
			      sizeof(address));
	}
	*port_r = ntohs(address.sin_port);
	return fd;
}

static void a_connection_that_is_never_made_times_out(void)
{
	int others[4], port, fd = full_listener(&port, others, 4);
	char text[64];
	struct probe p;

	probe_init(&p, "GET", "/");
	(void)snprintf(text, sizeof(text), SCHEME "://127.0.0.1:%d/", port);
	p.request.url = text;
	p.request.connect_ms = 100;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && !p.request_sent);
	probe_fini(&p);
	for (int i = 0; i < 4; i++)
		(void)close(others[i]);
	(void)close(fd);
}

/* As a flood of work on the loop would. */
static void hold_the_loop_up(struct probe *p)
{
	int64_t until_ns = os.monotonic_ns() + INT64_C(1000000000);

	(void)p;
	while (os.monotonic_ns() < until_ns)
		;
}

static void a_loop_that_was_held_up_blames_nobody(void)
{
	struct probe p;

	probe_init(&p, "GET", "/chunks");
	p.request.connect_ms = 50;
	p.request.head_ms = 60;
	p.on_started = hold_the_loop_up;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.heads == 1);
	probe_fini(&p);

	/* It is put off once and not for ever. */
	probe_init(&p, "GET", "/silent");
	p.request.head_ms = 500;
	p.on_started = hold_the_loop_up;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && p.heads == 0);
	probe_fini(&p);
	probe_until(upstream_answering, 0);
}

/* --- cancelling -------------------------------------------------------------------------- */

static void cancel_here(struct probe *p)
{
	http->cancel(p->transfer);
	CHECK(p->ends == 1 && p->status == ATOM_ECANCELED);
}

static void cancelling_ends_at_once_wherever_it_is_done(void)
{
	struct probe p;

	probe_init(&p, "GET", "/big");
	p.on_head = cancel_here;
	probe_run(&p);
	CHECK(p.got.length == 0);
	probe_fini(&p);

	probe_init(&p, "GET", "/big");
	p.on_data = cancel_here;
	probe_run(&p);
	CHECK(p.pieces == 1);
	probe_fini(&p);

	probe_init(&p, "GET", "/big");
	p.on_started = cancel_here;
	probe_run(&p);
	/* Whether it was sent by then is the transport's affair. */
	CHECK(p.heads == 0);
	probe_fini(&p);

	probe_init(&p, "GET", "/");
	p.request.url = SCHEME "://no-such-host.invalid/";
	p.on_started = cancel_here;
	probe_run(&p);
	CHECK(p.heads == 0);
	probe_fini(&p);
	probe_until(upstream_answering, 0);
}

static struct probe other;

static void cancel_other(struct probe *p)
{
	(void)p;
	http->cancel(other.transfer);
	CHECK(other.ends == 1);
}

static void one_may_cancel_another_from_inside(void)
{
	struct probe p;

	probe_init(&other, "GET", "/stall");
	probe_begin(&other);
	probe_until(upstream_answering, 1);
	probe_init(&p, "GET", "/chunks");
	p.on_data = NULL;
	p.on_head = cancel_other;
	probe_run(&p);
	probe_wait(&other);
	CHECK(p.status == ATOM_OK && other.status == ATOM_ECANCELED);
	probe_fini(&p);
	probe_fini(&other);
}

static void start_other(struct probe *p)
{
	(void)p;
	probe_start_here(&other);
	CHECK(other.started == ATOM_OK && other.ends == 0);
}

static void another_may_be_begun_from_inside(void)
{
	struct probe p;

	for (int i = 0; i < 2; i++) {
		probe_init(&p, "GET", "/chunks");
		probe_init(&other, "GET", "/chunks");
		if (i == 0)
			p.on_head = start_other;
		else
			p.on_end = start_other;
		probe_run(&p);
		probe_wait(&other);
		CHECK(p.status == ATOM_OK && other.status == ATOM_OK);
		CHECK(probe_got(&other, "one two"));
		probe_fini(&p);
		probe_fini(&other);
	}
}

/* --- backpressure -------------------------------------------------------------------------- */

static unsigned int pieces_at_pause, pause_ms;

static void resume_later(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);

	CHECK(p->pieces == pieces_at_pause && p->ends == 0);
	http->resume(p->transfer);
	CHECK(p->pieces == pieces_at_pause);
}

static void pause_a_while(struct probe *p)
{
	if (p->pieces != 1 && p->pieces != 50)
		return;
	pieces_at_pause = p->pieces;
	http->pause(p->transfer);
	p->timer.fire = resume_later;
	CHECK(timer_set(loop_current(), &p->timer, pause_ms) == ATOM_OK);
}

static void a_paused_transfer_waits_and_loses_nothing(void)
{
	struct probe p;

	pause_ms = 150;
	probe_init(&p, "GET", "/big");
	p.on_data = pause_a_while;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.got.length == 4194304);
	probe_fini(&p);
	/* Nor is it a stall.  What fills the sockets would be one afterwards:
	 * TCP sends what found no room again after twice as long each time. */
	pause_ms = 800;
	probe_init(&p, "GET", "/chunks");
	p.request.stall_ms = 500;
	p.on_data = pause_a_while;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && probe_got(&p, "one two"));
	probe_fini(&p);
}

static void pause_for_good(struct probe *p)
{
	http->pause(p->transfer);
	p->on_data = NULL;
}

static void a_paused_transfer_still_has_a_deadline(void)
{
	struct probe p;

	probe_init(&p, "GET", "/big");
	p.request.total_ms = 500;
	p.on_data = pause_for_good;
	probe_run(&p);
	CHECK(p.status == ATOM_ETIMEOUT && p.pieces == 1);
	probe_fini(&p);
	probe_until(upstream_answering, 0);
}

/* --- names and proxies ------------------------------------------------------------------------ */

static void a_name_is_resolved_and_kept(void)
{
	char text[96];
	struct probe p;

	for (int i = 0; i < 3; i++) {
		probe_init(&p, "GET", "/chunks");
		(void)snprintf(text, sizeof(text), SCHEME "://%s:%d/chunks",
			       i == 0 ? "localhost" : "ip4-loopback",
			       upstream.port);
		p.request.url = text;
		probe_run(&p);
		/* Not every machine has the second name. */
		CHECK(p.status == ATOM_OK || (i > 0 && p.status == ATOM_EIO));
		probe_fini(&p);
	}
}

static void a_proxy_is_used_when_asked_for_and_only_then(void)
{
	char proxy[64];
	struct probe p;

	probe_init(&p, "GET", "/");
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d",
		       upstream.port);
	p.request.proxy = proxy;
	p.request.url = "http://no-such-host.invalid/x";
	probe_run(&p);
	CHECK(p.status == ATOM_OK && probe_got(&p, "by the proxy"));
	probe_fini(&p);
	/* main() has put a proxy into the environment that nobody listens
	 * at: every other test here would have failed. */
	probe_init(&p, "GET", "/");
	p.request.proxy = "socks5://127.0.0.1:1";
	probe_run(&p);
	CHECK(p.started == ATOM_EINVAL);
	probe_fini(&p);
}

/* --- the whole ------------------------------------------------------------------------------- */

static struct probe last[8], late;

/* Of a loop that ends, and has asked nobody so far. */
static void ask_late(void *argument)
{
	loop_post(argument, &late.message);
}

static void end_with_a_question(struct loop *loop, struct message *message)
{
	(void)message;
	CHECK(loop_at_stop(loop, ask_late, loop) == ATOM_OK);
}

static void leave_some_behind(void)
{
	struct message message = { .deliver = end_with_a_question };

	probe_init(&late, "GET", "/stall");
	loop_post(loops_get(1), &message);
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		probe_init(&last[i], "GET", "/stall");
		probe_begin(&last[i]);
	}
	probe_until(upstream_answering, ARRAY_SIZE(last));
	loops_stop();
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		probe_wait(&last[i]);
		CHECK(last[i].status == ATOM_ECANCELED);
		probe_fini(&last[i]);
	}
	probe_wait(&late);
	CHECK(late.started == ATOM_ECANCELED);
	probe_fini(&late);
}

static const struct tap_test tests[] = {
	TAP_TEST(an_answer_comes_whole_with_its_head),
	TAP_TEST(only_what_was_asked_is_sent),
	TAP_TEST(other_answers_are_understood),
	TAP_TEST(connections_are_used_again),
	TAP_TEST(many_at_once_all_end),
	TAP_TEST(a_dead_connection_is_an_error_and_nothing_is_sent_twice),
	TAP_TEST(broken_answers_are_never_successes),
	TAP_TEST(nobody_there_is_an_error),
	TAP_TEST(wrong_requests_are_refused_at_once),
	TAP_TEST(deadlines_end_a_transfer),
	TAP_TEST(a_connection_that_is_never_made_times_out),
	TAP_TEST(a_loop_that_was_held_up_blames_nobody),
	TAP_TEST(cancelling_ends_at_once_wherever_it_is_done),
	TAP_TEST(one_may_cancel_another_from_inside),
	TAP_TEST(another_may_be_begun_from_inside),
	TAP_TEST(a_paused_transfer_waits_and_loses_nothing),
	TAP_TEST(a_paused_transfer_still_has_a_deadline),
	TAP_TEST(a_name_is_resolved_and_kept),
	TAP_TEST(a_proxy_is_used_when_asked_for_and_only_then),
	TAP_TEST(leave_some_behind),
};

int main(void)
{
	CHECK(setenv("http_proxy", "http://127.0.0.1:1", 1) == 0);
	CHECK(setenv("ALL_PROXY", "http://127.0.0.1:1", 1) == 0);
	upstream_start(&upstream, answer);
	probe_main(tests, ARRAY_SIZE(tests));
	upstream_stop(&upstream);
	return 0;
}
