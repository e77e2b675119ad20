/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: addresses, unix sockets and their peers, inherited sockets,
 * proxies, the number of connections, and the drain at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http_fixture.h"

#define H   "Host: a\r\n"
#define WHO "GET /who HTTP/1.1\r\n" H "\r\n"

static const struct http_listener_spec spec_tcp = {
	.address = "127.0.0.1:0",
	.certificate = "",
	.key = "",
	.client_ca = "",
	.admin_group = "",
	.inherited_fd = -1,
};

static char folder[64];
static char socket_address[96];

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/atomd-http-XXXXXX");
	CHECK(mkdtemp(folder));
	snprintf(socket_address, sizeof(socket_address), "unix:%s/run/s",
		 folder);
}

static void remove_folder(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/run", folder);
	CHECK(rmdir(path) == 0);
	CHECK(rmdir(folder) == 0);
}

static void ask(int fd, const char *text, struct answer *answer)
{
	client_text(fd, text);
	client_answer(fd, answer, false);
}

/* --- one more listener, from the control thread --------------------------------- */

static struct {
	struct http_listener_spec spec;
	atom_status status;
	struct atom_error err;
	const char *unlisten;
	char address[128];
} more;

static void do_listen(void *argument)
{
	(void)argument;
	if (more.unlisten)
		http_server_unlisten(fixture_server, more.unlisten);
	more.status = http_server_listen(fixture_server, &more.spec, &more.err);
	if (more.status != ATOM_OK)
		return;
	snprintf(more.address, sizeof(more.address), "%s",
		 http_server_address(
			 fixture_server,
			 http_server_listener_count(fixture_server) - 1));
	http_server_accept(fixture_server);
}

static atom_status listen_more(const char *address)
{
	more.spec = spec_tcp;
	more.spec.address = address;
	fixture_on_control(do_listen, NULL);
	return more.status;
}

/* --- TCP ----------------------------------------------------------------------------- */

static void the_kernel_spreads_connections_over_the_loops(void)
{
	fixture_start(2, NULL, NULL);
	for (int i = 0; i < 2000 && fixture_loops != 3; i++)
		client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	CHECK(fixture_loops == 3);
	fixture_stop(1000);
}

static void an_address_in_use_is_told(void)
{
	fixture_start(2, NULL, NULL);
	CHECK(listen_more(fixture_address()) == ATOM_EEXIST);
	CHECK(strstr(more.err.message, fixture_address()));
	CHECK(strstr(more.err.message, "in use"));
	CHECK(http_server_listener_count(fixture_server) == 1);
	client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	fixture_stop(1000);
}

static void addresses_that_make_no_sense_are_refused(void)
{
	static const char *const addresses[] = {
		"",	  "8080",	  "127.0.0.1",	  "127.0.0.1:",
		"a.b:80", "1.2.3:80",	  "[::1]",	  "::1:80:80",
		"[x]:80", "127.0.0.1:x",  "1.2.3.4:-1",	  "127.0.0.1:65536",
		"unix:",  "127.0.0.1:8 ", " 127.0.0.1:8",
	};

	fixture_start(1, NULL, NULL);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		CHECK(listen_more(addresses[i]) == ATOM_EINVAL);
	more.spec = spec_tcp;
	more.spec.admin = true;
	fixture_on_control(do_listen, NULL);
	CHECK(more.status == ATOM_EINVAL);
	fixture_stop(1000);
}

static void a_listener_may_be_added_and_taken_away(void)
{
	int fd;

	fixture_start(2, NULL, NULL);
	CHECK(listen_more("[::1]:0") == ATOM_OK || more.status == ATOM_EIO);
	CHECK(listen_more("127.0.0.1:0") == ATOM_OK);
	fd = client_try(more.address);
	CHECK(fd >= 0);
	more.unlisten = "127.0.0.1:0";
	CHECK(listen_more("bad") == ATOM_EINVAL);
	more.unlisten = NULL;
	/* Both of that name are gone, the connection stays. */
	client_text(fd, WHO);
	CHECK(client_until(fd, "200 OK"));
	close(fd);
	fixture_stop(1000);
}

/* Given up and named again at once: not one connection is refused. */
static void an_address_named_again_keeps_its_sockets(void)
{
	char address[128];
	int fds[20];

	fixture_start(2, NULL, NULL);
	CHECK(listen_more("localhost:0") == ATOM_OK);
	snprintf(address, sizeof(address), "%s", more.address);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 20; i++)
			fds[i] = client_try(address);
		more.unlisten = "localhost:0";
		CHECK(listen_more("localhost:0") == ATOM_OK);
		more.unlisten = NULL;
		for (int i = 0; i < 20; i++) {
			CHECK(fds[i] >= 0);
			client_text(fds[i], WHO);
			CHECK(client_until(fds[i], "200 OK"));
			close(fds[i]);
		}
	}
	fixture_stop(1000);
}

/* --- unix ---------------------------------------------------------------------------- */

static void a_unix_peer_is_known(void)
{
	struct http_listener_spec spec = spec_tcp;
	struct answer a;
	char expected[128];
	struct stat file;
	int fd;

	make_folder();
	spec.address = socket_address;
	spec.admin = true;
	fixture_start(2, NULL, &spec);
	CHECK(strcmp(fixture_address(), socket_address) == 0);
	CHECK(stat(socket_address + 5, &file) == 0);
	CHECK((file.st_mode & 0777) == 0600);
	snprintf(expected, sizeof(expected),
		 "unix known=1 pid=%d uid=%d pidfd=1 admin=1 tls=0 local=1",
		 (int)getpid(), (int)getuid());
	for (int i = 0; i < 4; i++) {
		fd = client_try(socket_address);
		CHECK(fd >= 0);
		ask(fd, WHO, &a);
		CHECK(strcmp(a.body, expected) == 0);
		answer_free(&a);
		close(fd);
	}
	/* One accepts, all serve. */
	CHECK(fixture_loops == 3);
	fixture_stop(1000);
	CHECK(stat(socket_address + 5, &file) != 0);
	remove_folder();
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat file;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[96];

	make_folder();
	snprintf(path, sizeof(path), "%s/run", folder);
	CHECK(mkdir(path, 0755) == 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", socket_address + 5);
	CHECK(bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0);
	CHECK(listen(fd, 1) == 0);
	fixture_start(1, NULL, NULL);
	CHECK(listen_more(socket_address) == ATOM_EEXIST);
	CHECK(strstr(more.err.message, "another process"));
	close(fd);
	CHECK(listen_more(socket_address) == ATOM_OK);
	CHECK(stat(socket_address + 5, &file) == 0);
	CHECK((file.st_mode & 0777) == 0666);
	CHECK(listen_more(socket_address) == ATOM_EEXIST);
	fd = client_try(socket_address);
	CHECK(fd >= 0);
	client_text(fd, WHO);
	CHECK(client_until(fd, "200 OK"));
	close(fd);
	fixture_stop(1000);
	CHECK(stat(socket_address + 5, &file) != 0);
	/* A file that is no socket is nobody's to remove. */
	fd = creat(socket_address + 5, 0600);
	CHECK(fd >= 0);
	close(fd);
	fixture_start(1, NULL, NULL);
	CHECK(listen_more(socket_address) == ATOM_EEXIST);
	fixture_stop(1000);
	CHECK(unlink(socket_address + 5) == 0);
	remove_folder();
}

static void an_admin_group_must_exist(void)
{
	make_folder();
	fixture_start(1, NULL, NULL);
	more.spec = spec_tcp;
	more.spec.address = socket_address;
	more.spec.admin = true;
	more.spec.admin_group = "no-such-group-here";
	fixture_on_control(do_listen, NULL);
	CHECK(more.status == ATOM_EINVAL);
	CHECK(strstr(more.err.message, "no-such-group-here"));
	more.spec.admin_group = "root";
	fixture_on_control(do_listen, NULL);
	if (geteuid() == 0) {
		struct stat file;

		CHECK(more.status == ATOM_OK);
		CHECK(stat(socket_address + 5, &file) == 0);
		CHECK((file.st_mode & 0777) == 0660 && file.st_gid == 0);
	}
	fixture_stop(1000);
	remove_folder();
}

static void an_inherited_socket_serves_all_loops(void)
{
	struct http_listener_spec spec = spec_tcp;
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	spec.inherited_fd = fd;
	fixture_start(2, NULL, NULL);
	more.spec = spec;
	fixture_on_control(do_listen, NULL);
	CHECK(more.status == ATOM_EINVAL);
	fixture_stop(1000);

	CHECK(listen(fd, 16) == 0);
	fixture_start(2, NULL, &spec);
	for (int i = 0; i < 4; i++)
		client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	CHECK(fixture_loops == 3);
	fixture_stop(1000);
}

/* --- proxies -------------------------------------------------------------------------- */

static void a_trusted_proxy_names_the_client(void)
{
	static const char *const trusted[] = { "127.0.0.0/8", "10.0.0.0/8",
					       "2001:db8::/32", NULL };
	static const struct {
		const char *fields;
		const char *client;
		bool local;
	} cases[] = {
		{ "", "127.0.0.1", true },
		{ "X-Forwarded-For: 8.8.8.8\r\n", "8.8.8.8", false },
		{ "X-Forwarded-For: 1.1.1.1, 8.8.8.8\r\n", "8.8.8.8", false },
		{ "X-Forwarded-For: 8.8.8.8, 10.1.2.3\r\n", "8.8.8.8", false },
		{ "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 8.8.8.8\r\n",
		  "8.8.8.8", false },
		{ "X-Forwarded-For: 1.1.1.1,8.8.8.8\r\nX-Other: 1\r\n"
		  "x-forwarded-for: 10.0.0.1\r\n",
		  "8.8.8.8", false },
		{ "X-Forwarded-For: 8.8.8.8:4711\r\n", "8.8.8.8", false },
		{ "X-Forwarded-For: [2600::1]:80\r\n", "2600::1", false },
		{ "X-Forwarded-For: 2600::1, 2001:db8::5\r\n", "2600::1",
		  false },
		{ "X-Forwarded-For: ::ffff:8.8.8.8\r\n", "8.8.8.8", false },
		{ "X-Forwarded-For: 10.0.0.9, 10.0.0.1\r\n", "10.0.0.9",
		  false },
		{ "X-Forwarded-For: 127.0.0.9\r\n", "127.0.0.9", true },
		/* Behind what is no address nothing is believed. */
		{ "X-Forwarded-For: 8.8.8.8, unknown, 10.0.0.1\r\n", "10.0.0.1",
		  false },
		/* And whoever it is, it is not from here. */
		{ "X-Forwarded-For: evil\r\n", "127.0.0.1", false },
		{ "X-Forwarded-For: evil, 127.0.0.1\r\n", "127.0.0.1", false },
		{ "X-Forwarded-For: 8.8.8.8,\r\n", "127.0.0.1", false },
		{ "X-Forwarded-For:\r\n", "127.0.0.1", true },
	};
	struct http_listener_spec spec = spec_tcp;

	spec.trusted_proxies = trusted;
	fixture_start(1, NULL, &spec);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[256], expected[80];
		struct answer a;

		snprintf(text, sizeof(text), "GET /who HTTP/1.1\r\n" H "%s\r\n",
			 cases[i].fields);
		client_expect(text, 200, &a);
		snprintf(expected, sizeof(expected), "%s known=0",
			 cases[i].client);
		if (strncmp(a.body, expected, strlen(expected)) != 0)
			printf("# %s: %s\n", cases[i].fields, a.body);
		CHECK(strncmp(a.body, expected, strlen(expected)) == 0);
		snprintf(expected, sizeof(expected), "local=%d",
			 cases[i].local);
		CHECK(strstr(a.body, expected));
		answer_free(&a);
	}
	fixture_stop(1000);
}

static void a_stranger_cannot_name_another_client(void)
{
	static const char *const trusted[] = { "10.0.0.0/8", NULL };
	static const char *const bad[] = { "10.0.0.0/33", NULL };
	struct http_listener_spec spec = spec_tcp;
	struct answer a;

	spec.trusted_proxies = trusted;
	fixture_start(1, NULL, &spec);
	client_expect("GET /who HTTP/1.1\r\n" H
		      "X-Forwarded-For: 8.8.8.8\r\n\r\n",
		      200, &a);
	CHECK(strncmp(a.body, "127.0.0.1 ", 10) == 0);
	answer_free(&a);
	more.spec = spec_tcp;
	more.spec.trusted_proxies = bad;
	fixture_on_control(do_listen, NULL);
	CHECK(more.status == ATOM_EINVAL);
	CHECK(strstr(more.err.message, "10.0.0.0/33"));
	fixture_stop(1000);
}

/* --- how many ---------------------------------------------------------------------------- */

static void one_connection_too_many_is_told_so(void)
{
	struct http_limits limits = http_limits_default;
	struct answer a;
	int held[2];
	int fd;

	limits.descriptors_max = 4;
	fixture_start(1, &limits, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		held[i] = client_connect();
		client_text(held[i], "GET /hold HTTP/1.1\r\n" H "\r\n");
		fixture_wait(&fixture_held, i + 1);
	}
	fd = client_connect();
	client_text(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	client_answer(fd, &a, false);
	CHECK(a.status == 503);
	CHECK(strstr(a.body, "\"code\":\"too_many_connections\""));
	answer_free(&a);
	CHECK(client_at_end(fd));
	close(fd);
	close(held[0]);
	fixture_wait(&fixture_gone, 1);
	/* A place that is only kept alive is given to who comes. */
	fd = client_connect();
	ask(fd, WHO, &a);
	CHECK(a.status == 200);
	answer_free(&a);
	client_expect("GET /echo HTTP/1.1\r\n" H "\r\n", 200, NULL);
	CHECK(client_at_end(fd));
	close(fd);
	close(held[1]);
	fixture_stop(1000);
}

static void a_head_that_does_not_come_gives_way(void)
{
	struct http_limits limits = http_limits_default;
	int slow[4], status = 503;

	limits.descriptors_max = 4;
	limits.head_timeout_ms = 0;
	fixture_start(1, &limits, NULL);
	for (unsigned int i = 0; i < 4; i++) {
		slow[i] = client_connect();
		client_text(slow[i], "GET /echo HT");
	}
	/* A call needs the places of two of them, each after its second. */
	for (int tries = 0; status == 503 && tries < 500; tries++) {
		struct answer a;
		int fd = client_connect();

		ask(fd, "GET /echo HTTP/1.1\r\n" H "\r\n", &a);
		status = a.status;
		answer_free(&a);
		close(fd);
		usleep(20000);
	}
	CHECK(status == 200);
	CHECK(client_at_end(slow[0]));
	CHECK(client_at_end(slow[1]));
	for (unsigned int i = 0; i < 4; i++)
		close(slow[i]);
	fixture_stop(1000);
}

static void calls_leave_a_descriptor_to_each_other(void)
{
	struct http_limits limits = http_limits_default;
	struct answer a;
	int kept, busy;

	/* Two connections, and the way upstream of one. */
	limits.descriptors_max = 3;
	fixture_start(1, &limits, NULL);
	kept = client_connect();
	ask(kept, WHO, &a);
	CHECK(a.status == 200);
	answer_free(&a);
	busy = client_connect();
	client_text(busy, "GET /hold HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_held, 1);
	ask(kept, WHO, &a);
	CHECK(a.status == 503);
	CHECK(strstr(a.body, "\"code\":\"too_many_connections\""));
	answer_free(&a);
	CHECK(client_at_end(kept));
	close(kept);
	close(busy);
	fixture_wait(&fixture_gone, 1);
	client_expect(WHO, 200, NULL);
	fixture_stop(1000);
}

static void an_operator_comes_in_where_callers_have_taken_all(void)
{
	struct http_limits limits = http_limits_default;
	struct answer a;
	int held[2], fd;

	make_folder();
	limits.descriptors_max = 4;
	fixture_start(1, &limits, NULL);
	more.spec = spec_tcp;
	more.spec.address = socket_address;
	more.spec.admin = true;
	fixture_on_control(do_listen, NULL);
	CHECK(more.status == ATOM_OK);
	for (unsigned int i = 0; i < 2; i++) {
		held[i] = client_connect();
		client_text(held[i], "GET /hold HTTP/1.1\r\n" H "\r\n");
		fixture_wait(&fixture_held, i + 1);
	}
	client_expect(WHO, 503, NULL);
	fd = client_try(socket_address);
	CHECK(fd >= 0);
	for (int i = 0; i < 2; i++) {
		ask(fd, WHO, &a);
		CHECK(a.status == 200);
		answer_free(&a);
	}
	close(fd);
	close(held[0]);
	close(held[1]);
	fixture_stop(1000);
	remove_folder();
}

/* --- the end ------------------------------------------------------------------------------ */

static void a_drain_lets_calls_finish_and_idle_ones_go(void)
{
	struct answer a;
	int idle, busy, fresh;

	fixture_start(2, NULL, NULL);
	idle = client_connect();
	ask(idle, WHO, &a);
	answer_free(&a);
	busy = client_connect();
	client_text(busy, "GET /flood HTTP/1.1\r\n" H "\r\n");
	fixture_wait(&fixture_busy, 1);
	fresh = client_connect();
	fixture_drain(5000);
	CHECK(client_at_end(idle));
	/* A connection made before the end is still served, and told. */
	ask(fresh, WHO, &a);
	CHECK(a.status == 200);
	CHECK(strcmp(answer_field(&a, "connection"), "close") == 0);
	answer_free(&a);
	CHECK(client_at_end(fresh));
	CHECK(client_try(fixture_address()) == -1);
	CHECK(client_until(busy, "\r\n\r\n"));
	fixture_wait_connections(1);
	close(busy);
	fixture_wait(&fixture_gone, 1);
	fixture_stop(5000);
	close(idle);
	close(fresh);
}

static void at_the_deadline_the_rest_is_cut(void)
{
	int fd, silent;

	fixture_start(1, NULL, NULL);
	fd = client_connect();
	client_text(fd, "GET /hold HTTP/1.1\r\n" H "\r\n");
	silent = client_connect();
	fixture_wait(&fixture_held, 1);
	fixture_stop(50);
	CHECK(fixture_gone == 1);
	CHECK(client_at_end(fd));
	CHECK(client_at_end(silent));
	close(fd);
	close(silent);
}

static void connections_that_wait_in_the_queue_are_served(void)
{
	int fds[100];

	/* Made while nobody accepts any more but the drain itself. */
	for (int round = 0; round < 5; round++) {
		fixture_start(2, NULL, NULL);
		for (int i = 0; i < 100; i++) {
			fds[i] = client_connect();
			client_text(fds[i], WHO);
		}
		fixture_drain(5000);
		for (int i = 0; i < 100; i++) {
			CHECK(client_until(fds[i], "200 OK"));
			close(fds[i]);
		}
		fixture_stop(5000);
	}
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(the_kernel_spreads_connections_over_the_loops),
		TAP_TEST(an_address_in_use_is_told),
		TAP_TEST(addresses_that_make_no_sense_are_refused),
		TAP_TEST(a_listener_may_be_added_and_taken_away),
		TAP_TEST(an_address_named_again_keeps_its_sockets),
		TAP_TEST(a_unix_peer_is_known),
		TAP_TEST(a_stale_socket_is_replaced_and_a_live_one_is_not),
		TAP_TEST(an_admin_group_must_exist),
		TAP_TEST(an_inherited_socket_serves_all_loops),
		TAP_TEST(a_trusted_proxy_names_the_client),
		TAP_TEST(a_stranger_cannot_name_another_client),
		TAP_TEST(one_connection_too_many_is_told_so),
		TAP_TEST(a_head_that_does_not_come_gives_way),
		TAP_TEST(calls_leave_a_descriptor_to_each_other),
		TAP_TEST(an_operator_comes_in_where_callers_have_taken_all),
		TAP_TEST(a_drain_lets_calls_finish_and_idle_ones_go),
		TAP_TEST(at_the_deadline_the_rest_is_cut),
		TAP_TEST(connections_that_wait_in_the_queue_are_served),
	};

	return tap_main(tests, sizeof(tests) / sizeof(tests[0]));
}
