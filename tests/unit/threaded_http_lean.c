/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers through the lean transport: every framing, cut into pieces at every
 * place and broken off at every place, wrong ones, and plugins that pause and
 * leave in the middle.
 */
#include <errno.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"
#include "probe_fixture.h"
#include "upstream_fixture.h"

static struct upstream upstream;
static struct os real;

/* --- the machine ------------------------------------------------------------- */

static atomic_size_t split_at;	  /* bytes of the next read; 0: all */
static atomic_size_t read_most;	  /* bytes of each read; 0: all */
static atomic_uint read_calls;	  /* while that is set: some fail */
static atomic_int alloc_fails_in; /* 0: never */
static atomic_bool alloc_failed;

static ssize_t faulty_recv(int fd, void *bytes, size_t length, int flags)
{
	size_t most = read_most, split;

	if (!loop_current() || flags != 0)
		return real.recv(fd, bytes, length, flags);
	if (most != 0) {
		unsigned int n = read_calls++;

		if (n % 3 == 1 || n % 4 == 2) {
			errno = n % 3 == 1 ? EINTR : EAGAIN;
			return -1;
		}
	}
	split = atomic_exchange(&split_at, 0);
	if (split != 0)
		most = split;
	return real.recv(fd, bytes, most != 0 && most < length ? most : length,
			 flags);
}

static bool fail_now(void)
{
	if (!loop_current() || loop_is_control() || alloc_fails_in == 0 ||
	    --alloc_fails_in != 0)
		return false;
	alloc_failed = true;
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

/* --- the server ---------------------------------------------------------------- */

/* What it answers, how much of it, and whether it closes then. */
static _Atomic(const char *) script;
static atomic_size_t script_length;
static atomic_bool script_closes;

static bool answer(struct upstream_connection *c)
{
	/* Once it has answered, the test may set another. */
	bool closes = script_closes;

	return upstream_send_bytes(c, script, script_length) && !closes;
}

static void set_script(const char *text, size_t length, bool closes)
{
	script = text;
	script_length = length;
	script_closes = closes;
}

static void init(struct probe *p, const char *method)
{
	char url[96];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/x",
		       upstream.port);
	probe_prepare(p, method, url);
	p->request.head_ms = 60000;
}

/* --- good answers ----------------------------------------------------------------- */

#define FIELDS "Content-Type: \ttext/plain \t\r\nX-Empty:\r\n"

static const struct good {
	const char *text;
	const char *method;
	int32_t status;
	const char *body;
	bool closes; /* its end is that of the connection */
	bool kept;
} good[] = {
	{ "HTTP/1.1 200 OK\r\n" FIELDS "Content-Length: 5\r\n\r\nhello", "GET",
	  200, "hello", false, true },
	{ "HTTP/1.1 404\r\n" FIELDS "Content-Length: 0\r\n\r\n", "POST", 404,
	  "", false, true },
	{ "HTTP/1.1 200 OK\r\n" FIELDS "Transfer-Encoding: chunked\r\n\r\n"
	  "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n",
	  "POST", 200, "hello!", false, true },
	{ "HTTP/1.1 200 OK\r\n" FIELDS "\r\nhello", "GET", 200, "hello", true,
	  false },
	{ "HTTP/1.0 200 OK\r\n" FIELDS "\r\nhello", "GET", 200, "hello", true,
	  false },
	{ "HTTP/1.0 200 OK\r\n" FIELDS
	  "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	  "GET", 200, "ok", false, true },
	{ "HTTP/1.0 200 OK\r\n" FIELDS "Content-Length: 2\r\n\r\nok", "GET",
	  200, "ok", false, false },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
	  "Content-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\n" FIELDS
	  "Content-Length: 2\r\n\r\nok",
	  "GET", 200, "ok", false, true },
	{ "HTTP/1.1 204 No Content\r\n" FIELDS "\r\n", "GET", 204, "", false,
	  true },
	{ "HTTP/1.1 304 Not Modified\r\n" FIELDS "Content-Length: 9\r\n\r\n",
	  "GET", 304, "", false, true },
	{ "HTTP/1.1 200 OK\r\n" FIELDS "Content-Length: 9\r\n\r\n", "HEAD", 200,
	  "", false, true },
	{ "HTTP/1.1 200 OK\r\n" FIELDS
	  "Connection: x, Close\r\nContent-Length: 2\r\n\r\nok",
	  "GET", 200, "ok", false, false },
};

static void ask_after_fields(struct probe *p)
{
	const char *empty = http->header(p->transfer, "x-empty");
	const char *type = http->header(p->transfer, "CONTENT-TYPE");

	CHECK(empty != NULL && empty[0] == '\0');
	CHECK(type != NULL && strcmp(type, "text/plain") == 0);
	CHECK(type == http->header(p->transfer, "content-type"));
	CHECK(http->header(p->transfer, "Content") == NULL);
	CHECK(http->header(p->transfer, "x-none") == NULL);
}

static void run_good(const struct good *g)
{
	struct probe p;

	set_script(g->text, strlen(g->text), g->closes);
	init(&p, g->method);
	p.on_head = ask_after_fields;
	p.on_data = ask_after_fields;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.http_status == g->status);
	CHECK(p.heads == 1 && probe_got(&p, g->body));
	probe_fini(&p);
}

static void every_framing_is_understood(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		unsigned int before;

		run_good(&good[i]);
		before = upstream_connections();
		run_good(&good[0]);
		CHECK(upstream_connections() - before == !good[i].kept);
	}
}

static void an_answer_may_be_cut_anywhere(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		for (size_t at = 1; at < strlen(good[i].text); at++) {
			split_at = at;
			run_good(&good[i]);
			CHECK(split_at == 0);
		}
}

static void an_answer_may_come_byte_by_byte(void)
{
	for (size_t most = 1; most <= 3; most++) {
		read_most = most;
		for (size_t i = 0; i < ARRAY_SIZE(good); i++)
			run_good(&good[i]);
		read_most = 0;
	}
}

/* --- broken answers ------------------------------------------------------------------ */

static size_t head_length(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	return (size_t)(end + 4 - text);
}

static void run_broken(const struct good *g, size_t at)
{
	bool whole = g->closes && at >= head_length(g->text);
	struct probe p;

	set_script(g->text, at, true);
	init(&p, g->method);
	probe_run(&p);
	CHECK(p.status == (whole ? ATOM_OK : ATOM_EIO) && p.request_sent);
	CHECK(p.got.length <= strlen(g->body));
	CHECK(p.got.length == 0 ||
	      memcmp(p.got.bytes, g->body, p.got.length) == 0);
	CHECK(!whole || p.got.length == at - head_length(g->text));
	probe_fini(&p);
}

static void an_answer_that_breaks_off_is_no_success(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		for (size_t at = 0; at < strlen(good[i].text); at++)
			run_broken(&good[i], at);
}

static const struct wrong {
	const char *text;
	atom_status status;
	const char *why; /* in the message */
} wrong[] = {
	{ "SSH-2.0-OpenSSH_9.2\r\n", ATOM_EPROTO, "no HTTP answer" },
	{ "HTTP/2.0 200 OK\r\n\r\n", ATOM_EPROTO, "" },
	{ "HTTP/1.1 2x0 OK\r\n\r\n", ATOM_EPROTO, "status" },
	{ "HTTP/1.1 200 OK\n\n", ATOM_EPROTO, "bare LF" },
	{ "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", ATOM_EPROTO, "folded" },
	{ "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", ATOM_EPROTO, "white space" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	  ATOM_EPROTO, "Content-Length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", ATOM_EPROTO,
	  "Content-Length" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
	  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  ATOM_EPROTO, "both" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
	  ATOM_EPROTO, "coding" },
	{ "HTTP/1.1 101 Switching Protocols\r\n\r\nx", ATOM_EPROTO,
	  "switches" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", ATOM_ELIMIT,
	  "announced" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
	  ATOM_EIO, "end of file" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
	  ATOM_EIO, "chunk size" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
	  ATOM_EIO, "longer than its size" },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n:\r\n\r\n",
	  ATOM_EIO, "trailer" },
};

static void wrong_answers_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct probe p;

		set_script(wrong[i].text, strlen(wrong[i].text), true);
		init(&p, "GET");
		p.request.answer_max = 1000;
		probe_run(&p);
		if (p.status != wrong[i].status)
			printf("# %zu: %s\n", i, p.error.message);
		CHECK(p.status == wrong[i].status);
		CHECK(strstr(p.error.message, wrong[i].why) != NULL);
		CHECK(p.got.length <= 1);
		probe_fini(&p);
	}
}

/* A whole head of so many fields of so many bytes, interim ones before it. */
static void run_long(int interims, int fields, int bytes, atom_status status)
{
	struct buffer text = BUFFER_INIT((size_t)1 << 20);
	struct probe p;

	for (int i = 0; i < interims; i++)
		CHECK(buffer_printf(&text,
				    "HTTP/1.1 103 Early Hints\r\nX: %0*d"
				    "\r\n\r\n",
				    bytes, i) == ATOM_OK);
	CHECK(buffer_append_text(&text, "HTTP/1.1 200 OK\r\n"
					"Content-Length: 0\r\n") == ATOM_OK);
	for (int i = 1; i < fields; i++)
		CHECK(buffer_printf(&text, "X-%d: %0*d\r\n", i, bytes, i) ==
		      ATOM_OK);
	CHECK(buffer_append_text(&text, "\r\n") == ATOM_OK);
	set_script(text.bytes, text.length, true);
	init(&p, "GET");
	probe_run(&p);
	CHECK(p.status == status && p.heads == (status == ATOM_OK));
	probe_fini(&p);
	probe_until(upstream_answering, 0);
	buffer_fini(&text);
}

static void a_head_has_its_bounds(void)
{
	run_long(0, 100, 1, ATOM_OK);
	run_long(0, 101, 1, ATOM_ELIMIT);
	/* 64 KiB, of all heads together. */
	run_long(0, 60, 1000, ATOM_OK);
	run_long(0, 70, 1000, ATOM_ELIMIT);
	run_long(60, 1, 1000, ATOM_OK);
	run_long(70, 1, 1000, ATOM_ELIMIT);
}

/* --- plugins that pause and leave ------------------------------------------------------ */

#define CHUNKED                                                           \
	"HTTP/1.1 200 OK\r\n" FIELDS "Transfer-Encoding: chunked\r\n\r\n" \
	"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"

static void resume_now(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);
	unsigned int pieces = p->pieces;

	http->resume(p->transfer);
	CHECK(p->pieces == pieces && p->ends == 0);
}

static void pause_a_moment(struct probe *p)
{
	http->pause(p->transfer);
	p->timer.fire = resume_now;
	if (timer_set(loop_current(), &p->timer, 1) != ATOM_OK)
		http->resume(p->transfer);
}

static void forget_timer(struct probe *p)
{
	timer_stop(&p->timer);
}

static void pause_and_resume(struct probe *p)
{
	http->pause(p->transfer);
	http->resume(p->transfer);
	CHECK(p->ends == 0);
}

static void a_plugin_may_pause_at_each_place(void)
{
	static void (*const ways[])(struct probe *) = { pause_a_moment,
							pause_and_resume };
	struct probe p;

	for (size_t way = 0; way < ARRAY_SIZE(ways); way++)
		for (size_t at = 0; at < strlen(CHUNKED); at++) {
			set_script(CHUNKED, strlen(CHUNKED), false);
			split_at = at;
			init(&p, "GET");
			p.on_started = ways[way];
			p.on_head = ways[way];
			p.on_data = ways[way];
			p.on_end = forget_timer;
			probe_run(&p);
			CHECK(p.status == ATOM_OK);
			CHECK(probe_got(&p, "onetwothree"));
			probe_fini(&p);
		}
	split_at = 0;
}

static void cancel_now(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);

	http->resume(p->transfer);
	http->cancel(p->transfer);
	CHECK(p->ends == 1 && p->status == ATOM_ECANCELED);
}

static void pause_and_leave(struct probe *p)
{
	http->pause(p->transfer);
	p->timer.fire = cancel_now;
	CHECK(timer_set(loop_current(), &p->timer, 1) == ATOM_OK);
}

static void leave(struct probe *p)
{
	http->cancel(p->transfer);
	CHECK(p->ends == 1 && p->status == ATOM_ECANCELED);
}

static void a_plugin_may_leave_at_each_place(void)
{
	static void (*const ways[])(struct probe *) = { pause_and_leave,
							leave };
	struct probe p;

	for (int place = 0; place < 3; place++)
		for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
			set_script(CHUNKED, strlen(CHUNKED), false);
			init(&p, "GET");
			if (place == 0)
				p.on_started = ways[way];
			else if (place == 1)
				p.on_head = ways[way];
			else
				p.on_data = ways[way];
			probe_run(&p);
			CHECK(p.status == ATOM_ECANCELED);
			CHECK(p.pieces == (place == 2));
			probe_fini(&p);
			/* The next finds all in order. */
			run_good(&good[0]);
		}
}

/* --- no memory --------------------------------------------------------------------------- */

static void run_without_memory(int after, bool *failed_r)
{
	struct probe p;

	set_script(CHUNKED, strlen(CHUNKED), false);
	split_at = 20;
	init(&p, "GET");
	CHECK(buffer_reserve(&p.got, 100) == ATOM_OK);
	p.on_data = pause_a_moment;
	p.on_end = forget_timer;
	alloc_failed = false;
	alloc_fails_in = after;
	probe_run(&p);
	alloc_fails_in = 0;
	split_at = 0;
	*failed_r = alloc_failed;
	CHECK(!*failed_r || p.started == ATOM_ENOMEM ||
	      p.status == ATOM_ENOMEM || p.status == ATOM_OK);
	CHECK(*failed_r || probe_got(&p, "onetwothree"));
	probe_fini(&p);
}

static void without_memory_a_transfer_ends_and_the_next_does_not(void)
{
	bool failed = true;

	for (int after = 1; failed; after++) {
		run_without_memory(after, &failed);
		run_good(&good[0]);
		CHECK(after < 100);
	}
}

/* --- the whole ----------------------------------------------------------------------------- */

static void stop(void)
{
	loops_stop();
}

static const struct tap_test tests[] = {
	TAP_TEST(every_framing_is_understood),
	TAP_TEST(an_answer_may_be_cut_anywhere),
	TAP_TEST(an_answer_may_come_byte_by_byte),
	TAP_TEST(an_answer_that_breaks_off_is_no_success),
	TAP_TEST(wrong_answers_are_refused),
	TAP_TEST(a_head_has_its_bounds),
	TAP_TEST(a_plugin_may_pause_at_each_place),
	TAP_TEST(a_plugin_may_leave_at_each_place),
	TAP_TEST(without_memory_a_transfer_ends_and_the_next_does_not),
	TAP_TEST(stop),
};

int main(void)
{
	real = os;
	os.recv = faulty_recv;
	os.alloc = faulty_alloc;
	os.realloc = faulty_realloc;
	upstream_start(&upstream, answer);
	probe_main(tests, ARRAY_SIZE(tests));
	upstream_stop(&upstream);
	return 0;
}
