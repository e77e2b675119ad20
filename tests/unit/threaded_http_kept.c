/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the lean transport: what goes into them, when they are used
 * again, and that nothing is sent twice.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "config.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"
#include "probe_fixture.h"
#include "upstream_fixture.h"

static struct upstream upstream;
static struct os real;

/* --- the machine --------------------------------------------------------------- */

enum fault {
	FAULT_NONE,
	FAULT_NOTHING_TAKEN, /* the next send */
	FAULT_SOME_TAKEN,    /* ten bytes, then the connection is gone */
	FAULT_SLOW,	     /* one byte a call, some come too early */
};

static atomic_int fault;
static atomic_uint sends;

static ssize_t send_little(int fd, const struct msghdr *message, size_t length,
			   int flags)
{
	struct iovec first = message->msg_iov[0];
	struct msghdr less = { .msg_iov = &first, .msg_iovlen = 1 };

	/* An empty piece in front of others. */
	for (size_t i = 1; first.iov_len == 0 && i < message->msg_iovlen; i++)
		first = message->msg_iov[i];
	if (first.iov_len > length)
		first.iov_len = length;
	return real.sendmsg(fd, &less, flags);
}

static ssize_t faulty_sendmsg(int fd, const struct msghdr *message, int flags)
{
	unsigned int n = sends++;

	switch ((enum fault)atomic_load(&fault)) {
	case FAULT_NOTHING_TAKEN:
		fault = FAULT_NONE;
		errno = EPIPE;
		return -1;
	case FAULT_SOME_TAKEN:
		if (n == 0)
			return send_little(fd, message, 10, flags);
		(void)shutdown(fd, SHUT_RDWR);
		errno = EPIPE;
		return -1;
	case FAULT_SLOW:
		if (n % 3 == 1 || n % 4 == 2) {
			errno = n % 3 == 1 ? EINTR : EAGAIN;
			return -1;
		}
		return send_little(fd, message, 1, flags);
	case FAULT_NONE:
		break;
	}
	return real.sendmsg(fd, message, flags);
}

static void set_fault(enum fault next)
{
	sends = 0;
	fault = (int)next;
}

/* --- the server ------------------------------------------------------------------ */

static atomic_uint leavings;  /* connections that it has closed */
static atomic_uint closed_on; /* that the client has */
static atomic_uint silences;  /* answers that never come */
static atomic_uint gate;      /* that have to be there */

static unsigned int leavings_now(void)
{
	return leavings;
}

static unsigned int silences_now(void)
{
	return silences;
}

static unsigned int closed_now(void)
{
	return closed_on;
}

static bool is_path(const struct upstream_connection *c, const char *path)
{
	return strncmp(strchr(c->request, ' ') + 1, path, strlen(path)) == 0;
}

static bool answer(struct upstream_connection *c)
{
	if (is_path(c, "/leave")) {
		(void)upstream_whole(c, "200 OK", "", "ok");
		(void)shutdown(c->fd, SHUT_RDWR);
		leavings++;
		return false;
	}
	if (is_path(c, "/extra")) {
		(void)upstream_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 2"
				       "\r\n\r\nokHTTP/1.1 200 OK\r\n");
		upstream_wait_closed(c);
		return false;
	}
	if (is_path(c, "/later")) {
		(void)upstream_whole(c, "200 OK", "", "ok");
		(void)upstream_send(c, "HTTP/1.1 408 Too Late\r\n\r\n");
		leavings++;
		upstream_wait_closed(c);
		return false;
	}
	if (is_path(c, "/vanish"))
		return false;
	if (is_path(c, "/silent")) {
		silences++;
		upstream_wait_closed(c);
		return false;
	}
	if (is_path(c, "/wait")) {
		(void)upstream_whole(c, "200 OK", "", "ok");
		upstream_wait_closed(c);
		closed_on++;
		return false;
	}
	while (is_path(c, "/gate") && upstream_connections() < gate)
		(void)usleep(1000);
	return upstream_whole(c, "200 OK", "", c->request);
}

static void init(struct probe *p, const char *method, const char *path)
{
	char url[96];

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", upstream.port,
		       path);
	probe_prepare(p, method, url);
	p->request.head_ms = 60000;
}

/* How many connections a good request took. */
static unsigned int run_echo(const char *method)
{
	unsigned int before = upstream_connections();
	struct probe p;

	init(&p, method, "/echo");
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.got.length > 0);
	probe_fini(&p);
	return upstream_connections() - before;
}

/* --- what goes lean ------------------------------------------------------------------ */

static void plain_urls_need_no_libcurl(void)
{
	static const struct {
		const char *url;
		bool lean;
		unsigned int port;
		const char *host, *path;
	} urls[] = {
		{ "http://a", true, 80, "a", "" },
		{ "http://a/", true, 80, "a", "/" },
		{ "http://a?b=/c", true, 80, "a", "?b=/c" },
		{ "http://model-1.house:8080/v1/x?y=%20", true, 8080,
		  "model-1.house", "/v1/x?y=%20" },
		{ "http://10.0.0.1:65535/", true, 65535, "10.0.0.1", "/" },
		{ "http://[::1]:1/x", true, 1, "[::1]", "/x" },
		{ "https://a/", false, 0, "", "" },
		{ "HTTP://a/", false, 0, "", "" },
		{ "http://", false, 0, "", "" },
		{ "http:///x", false, 0, "", "" },
		{ "http://u:p@a/", false, 0, "", "" },
		{ "http://u@a/", false, 0, "", "" },
		{ "http://a:0/", false, 0, "", "" },
		{ "http://a:65536/", false, 0, "", "" },
		{ "http://a:123456/", false, 0, "", "" },
		{ "http://a:/", false, 0, "", "" },
		{ "http://a:8x/", false, 0, "", "" },
		{ "http://127.1/", false, 0, "", "" },
		{ "http://0x7f.0.0.1/", false, 0, "", "" },
		{ "http://2130706433/", false, 0, "", "" },
		{ "http://a./", false, 0, "", "" },
		{ "http://a%62/", false, 0, "", "" },
		{ "http://[::1/", false, 0, "", "" },
		{ "http://[fe80::1%25eth0]/", false, 0, "", "" },
		{ "http://[]/", false, 0, "", "" },
		{ "http://[:::]/", false, 0, "", "" },
		{ "http://a/x#y", false, 0, "", "" },
		{ "http://a/x y", false, 0, "", "" },
		{ "http://a/\r\nX: y", false, 0, "", "" },
		{ "http://a/\xc3\xa4", false, 0, "", "" },
		{ "http://\xc3\xa4/", false, 0, "", "" },
	};
	struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "GET",
	};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct lean_url url;

		request.url = urls[i].url;
		if (lean_can(&request, &url) != urls[i].lean)
			printf("# %s\n", urls[i].url);
		CHECK(lean_can(&request, &url) == urls[i].lean);
		if (!urls[i].lean)
			continue;
		CHECK(url.port == urls[i].port);
		CHECK(http_text_is(url.host, urls[i].host));
		CHECK(http_text_is(url.path, urls[i].path));
	}
}

static void fields_that_frame_are_libcurl_s(void)
{
	static const struct {
		const char *field;
		bool lean;
	} fields[] = {
		{ "X-One: 1", true },
		{ "Accept:", true },
		{ "Connectional: x", true },
		{ "host: x", false },
		{ "Connection: x", false },
		{ "Content-Length: 5", false },
		{ "Expect:", false },
		{ "TE: trailers", false },
		{ "Transfer-Encoding: chunked", false },
		{ "Upgrade: h2c", false },
	};
	struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = "GET",
		.url = "http://a/",
		.header_count = 1,
	};
	struct lean_url url;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		request.headers = &fields[i].field;
		CHECK(lean_can(&request, &url) == fields[i].lean);
	}
	request.header_count = 0;
	request.proxy = "http://b:1";
	CHECK(!lean_can(&request, &url));
	request.proxy = "";
	CHECK(lean_can(&request, &url));
	request.method = "CONNECT";
	CHECK(!lean_can(&request, &url));
}

/* --- what is sent ----------------------------------------------------------------------- */

static void expect_request(const char *method, const char *const *fields,
			   size_t field_count, const struct atom_span *body,
			   size_t body_count, const char *behind_host)
{
	char wanted[512];
	struct probe p;

	(void)snprintf(wanted, sizeof(wanted),
		       "%s /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s", method,
		       upstream.port, behind_host);
	init(&p, method, "/echo");
	p.request.headers = fields;
	p.request.header_count = field_count;
	p.request.body = body;
	p.request.body_count = body_count;
	probe_run(&p);
	CHECK(p.status == ATOM_OK && p.request_sent);
	if (!probe_got(&p, wanted))
		printf("# wanted %s\n# got %.*s\n", wanted, (int)p.got.length,
		       p.got.bytes);
	CHECK(probe_got(&p, wanted));
	probe_fini(&p);
}

#define AGENT  "User-Agent: atomd/" PACKAGE_VERSION "\r\n"
#define ACCEPT "Accept: */*\r\n"

static void expect_requests(void)
{
	static const char *const fields[] = { "X-One: 1", "Accept: a/b",
					      "User-Agent:" };
	static const struct atom_span body[] = {
		{ NULL, 0 }, { "ab", 2 }, { NULL, 0 }, { "cde", 3 }, { NULL, 0 }
	};

	expect_request("GET", NULL, 0, NULL, 0, AGENT ACCEPT "\r\n");
	expect_request("PURGE", NULL, 0, NULL, 0,
		       AGENT ACCEPT "Content-Length: 0\r\n\r\n");
	expect_request("POST", fields, 3, body, 5,
		       "X-One: 1\r\nAccept: a/b\r\nContent-Length: 5\r\n\r\n"
		       "abcde");
	expect_request("POST", fields, 1, body, 1,
		       AGENT ACCEPT "X-One: 1\r\nContent-Length: 0\r\n\r\n");
	expect_request("GET", NULL, 0, body, 2,
		       AGENT ACCEPT "Content-Length: 2\r\n\r\nab");
}

static void a_request_is_the_same_however_it_is_taken(void)
{
	expect_requests();
	set_fault(FAULT_SLOW);
	expect_requests();
	set_fault(FAULT_NONE);
}

/* --- used again ----------------------------------------------------------------------------- */

static void run_path(const char *path, atom_status status)
{
	struct probe p;

	init(&p, "GET", path);
	probe_run(&p);
	CHECK(p.status == status);
	probe_fini(&p);
}

static void a_connection_that_is_not_quiet_is_not_used_again(void)
{
	unsigned int left = leavings;

	(void)run_echo("GET");
	CHECK(run_echo("POST") == 0);
	/* What came with an answer; what came after it. */
	run_path("/extra", ATOM_OK);
	CHECK(run_echo("POST") == 1);
	run_path("/later", ATOM_OK);
	probe_until(leavings_now, left + 1);
	CHECK(run_echo("POST") == 1);
}

static struct probe next;

/* The loop has not looked at its sockets since the server closed. */
static void go_on_when_it_has_left(struct probe *p)
{
	(void)p;
	while (leavings == 0)
		;
	probe_start_here(&next);
	CHECK(next.started == ATOM_OK);
}

static void a_closed_connection_is_seen_before_a_request_goes_in(void)
{
	static const char *const methods[] = { "GET", "POST" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		struct probe p;

		leavings = 0;
		init(&p, methods[i], "/leave");
		init(&next, methods[i], "/echo");
		p.on_end = go_on_when_it_has_left;
		probe_run(&p);
		probe_wait(&next);
		CHECK(p.status == ATOM_OK && next.status == ATOM_OK);
		probe_fini(&p);
		probe_fini(&next);
	}
}

static void what_the_server_got_is_never_sent_again(void)
{
	static const char *const methods[] = { "GET", "POST", "PUT" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		unsigned int before;
		struct probe p;

		(void)run_echo("GET");
		before = upstream_requests();
		init(&p, methods[i], "/vanish");
		probe_run(&p);
		CHECK(p.status == ATOM_EIO && p.request_sent);
		CHECK(upstream_requests() == before + 1);
		probe_fini(&p);
	}
}

static void only_what_was_not_taken_at_all_takes_another_connection(void)
{
	unsigned int before;
	struct probe p;

	(void)run_echo("GET");
	before = upstream_requests();
	set_fault(FAULT_NOTHING_TAKEN);
	CHECK(run_echo("POST") == 1);
	CHECK(upstream_requests() == before + 1);

	before = upstream_requests();
	set_fault(FAULT_SOME_TAKEN);
	init(&p, "POST", "/echo");
	probe_run(&p);
	set_fault(FAULT_NONE);
	CHECK(p.status == ATOM_EIO && p.request_sent && p.heads == 0);
	CHECK(upstream_requests() == before);
	probe_fini(&p);

	/* A new connection is not tried twice. */
	set_fault(FAULT_NOTHING_TAKEN);
	init(&p, "POST", "/echo");
	probe_run(&p);
	CHECK(p.status == ATOM_EIO && !p.request_sent);
	probe_fini(&p);
}

/* --- kept for a while ------------------------------------------------------------------------- */

/* As if the time had passed. */
static void grow_old(struct probe *p)
{
	struct http_client *client = p->transfer->client;

	CHECK(client->lean.count == 1);
	client->lean.oldest->kept_ms -= (int64_t)HTTP_IDLE_S * 1000;
	CHECK(timer_set(loop_current(), &client->lean.expiry, 0) == ATOM_OK);
}

static void an_idle_connection_is_closed_after_a_while(void)
{
	struct probe p;

	closed_on = 0;
	init(&p, "GET", "/wait");
	p.on_end = grow_old;
	probe_run(&p);
	CHECK(p.status == ATOM_OK);
	probe_fini(&p);
	probe_until(closed_now, 1);
	CHECK(run_echo("GET") == 1);
}

#define MANY (HTTP_CONNECTIONS_MAX + 40)

static void expect_full(struct probe *p)
{
	CHECK(p->transfer->client->lean.count == HTTP_CONNECTIONS_MAX);
}

static void no_more_are_kept_than_the_bound(void)
{
	static struct probe probes[MANY];
	struct probe p;

	/* One is kept already. */
	CHECK(run_echo("GET") == 0);
	gate = upstream_connections() + MANY - 1;
	for (int i = 0; i < MANY; i++) {
		init(&probes[i], "GET", "/gate");
		probe_begin(&probes[i]);
	}
	for (int i = 0; i < MANY; i++) {
		probe_wait(&probes[i]);
		CHECK(probes[i].status == ATOM_OK);
		probe_fini(&probes[i]);
	}
	init(&p, "GET", "/echo");
	p.on_end = expect_full;
	probe_run(&p);
	CHECK(p.status == ATOM_OK);
	probe_fini(&p);
}

/* --- the whole -------------------------------------------------------------------------------------- */

static struct probe last[8];

static void kept_and_open_ones_end_with_the_loop(void)
{
	(void)run_echo("GET");
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		init(&last[i], "GET", "/silent");
		probe_begin(&last[i]);
	}
	probe_until(silences_now, ARRAY_SIZE(last));
	loops_stop();
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		probe_wait(&last[i]);
		CHECK(last[i].status == ATOM_ECANCELED);
		probe_fini(&last[i]);
	}
}

static const struct tap_test tests[] = {
	TAP_TEST(plain_urls_need_no_libcurl),
	TAP_TEST(fields_that_frame_are_libcurl_s),
	TAP_TEST(a_request_is_the_same_however_it_is_taken),
	TAP_TEST(a_connection_that_is_not_quiet_is_not_used_again),
	TAP_TEST(a_closed_connection_is_seen_before_a_request_goes_in),
	TAP_TEST(what_the_server_got_is_never_sent_again),
	TAP_TEST(only_what_was_not_taken_at_all_takes_another_connection),
	TAP_TEST(an_idle_connection_is_closed_after_a_while),
	TAP_TEST(no_more_are_kept_than_the_bound),
	TAP_TEST(kept_and_open_ones_end_with_the_loop),
};

int main(void)
{
	real = os;
	os.sendmsg = faulty_sendmsg;
	upstream_start(&upstream, answer);
	probe_main(tests, ARRAY_SIZE(tests));
	upstream_stop(&upstream);
	return 0;
}
