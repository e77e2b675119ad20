/* SPDX-License-Identifier: Apache-2.0 */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/text.h"

_Atomic unsigned int fixture_gone, fixture_held, fixture_busy, fixture_drained,
	fixture_loops;
struct http_server *fixture_server;

/* --- the handler ------------------------------------------------------------- */

struct later {
	struct timer timer;
	struct http_request *request;
};

static void answer_echo(struct http_request *r)
{
	size_t length;
	const char *body = http_body(r, &length);

	CHECK(http_add_field(r, "x-method", http_method(r)) == ATOM_OK);
	CHECK(http_add_field(r, "x-path", http_path(r)) == ATOM_OK);
	http_answer(r, 200, "text/plain", body, length);
	http_request_release(r);
}

static void later_fire(struct timer *timer)
{
	struct later *later = CONTAINER_OF(timer, struct later, timer);

	answer_echo(later->request);
	mem_free(later);
}

static void later_gone(struct http_request *r)
{
	struct later *later = http_user(r);

	fixture_gone++;
	timer_stop(&later->timer);
	mem_free(later);
	http_request_release(r);
}

static void serve_later(struct http_request *r)
{
	struct later *later = mem_zalloc(sizeof(*later));

	CHECK(later);
	later->request = r;
	later->timer.fire = later_fire;
	http_set_user(r, later);
	http_on_gone(r, later_gone);
	CHECK(timer_set(http_loop(r), &later->timer, 1) == ATOM_OK);
}

static void count_gone(struct http_request *r)
{
	fixture_gone++;
	http_request_release(r);
}

static void serve_hold(struct http_request *r)
{
	http_on_gone(r, count_gone);
	fixture_held++;
}

static void serve_who(struct http_request *r)
{
	const struct http_peer *peer = http_peer(r);
	char text[256];

	snprintf(text, sizeof(text),
		 "%s known=%d pid=%d uid=%d pidfd=%d admin=%d tls=%d local=%d",
		 http_client_address(r), peer->known, (int)peer->pid,
		 (int)peer->uid, peer->pidfd >= 0, http_is_admin_listener(r),
		 http_is_tls(r), http_is_loopback(r));
	http_answer(r, 200, "text/plain", text, strlen(text));
	http_request_release(r);
}

static void serve_query(struct http_request *r)
{
	char name[64], value[64] = "(none)";

	CHECK(http_query_value(r, "name", name, sizeof(name)));
	(void)http_query_value(r, name, value, sizeof(value));
	http_answer(r, 200, "text/plain", value, strlen(value));
	http_request_release(r);
}

static void serve_fields(struct http_request *r)
{
	char big[3000];

	CHECK(http_add_field(r, "x-one", "1") == ATOM_OK);
	CHECK(http_add_field(r, "x-bad", "a\r\nset-cookie: b") == ATOM_EINVAL);
	CHECK(http_add_field(r, "x bad", "a") == ATOM_EINVAL);
	CHECK(http_add_field(r, "", "a") == ATOM_EINVAL);
	CHECK(http_add_field(r, "Content-Length", "1") == ATOM_EINVAL);
	CHECK(http_add_field(r, "CONNECTION", "x") == ATOM_EINVAL);
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	CHECK(http_add_field(r, "x-big", big) == ATOM_OK);
	CHECK(http_add_field(r, "x-big2", big) == ATOM_OK);
	CHECK(http_add_field(r, "x-big3", big) == ATOM_ELIMIT);
	CHECK(http_add_field(r, "x-two", "2") == ATOM_OK);
	http_answer(r, 200, "text/plain\r\nx-evil: 1", "ok", 2);
	CHECK(http_add_field(r, "x-late", "1") == ATOM_ESTATE);
	http_request_release(r);
}

static int64_t parameter(struct http_request *r, const char *name,
			 int64_t fallback)
{
	char text[32];
	int64_t value = fallback;

	if (http_query_value(r, name, text, sizeof(text)))
		CHECK(text_to_int(text, &value));
	return value;
}

static void serve_stream(struct http_request *r, bool complete)
{
	int64_t n = parameter(r, "n", 3);
	size_t size = (size_t)parameter(r, "size", 16);
	char *event = mem_alloc(size + 1);

	CHECK(event && size >= 10);
	http_stream_begin(r, 200, "text/event-stream");
	for (int64_t i = 0; i < n; i++) {
		memset(event, 'x', size);
		snprintf(event, size, "data: %lld", (long long)i);
		event[strlen(event)] = ' ';
		memcpy(event + size - 2, "\n\n", 2);
		(void)http_stream_write(r, event, size);
	}
	mem_free(event);
	http_stream_end(r, complete);
	http_request_release(r);
}

static void serve_silence(struct http_request *r, const char *first)
{
	http_on_gone(r, count_gone);
	http_stream_begin(r, 200, "text/event-stream; charset=utf-8");
	CHECK(http_stream_write(r, first, strlen(first)) == ATOM_OK);
	fixture_held++;
}

static void flood(struct http_request *r)
{
	static char block[8192];
	atom_status status;

	memset(block, 'f', sizeof(block));
	do {
		status = http_stream_write(r, block, sizeof(block));
	} while (status == ATOM_OK);
	if (status == ATOM_EBUSY)
		fixture_busy++;
}

static void flood_on(struct http_request *r)
{
	fixture_drained++;
	flood(r);
}

static void serve_flood(struct http_request *r)
{
	http_on_gone(r, count_gone);
	http_on_drain(r, flood_on);
	http_stream_begin(r, 200, "application/octet-stream");
	flood(r);
}

static void on_head(struct http_request *r, void *argument)
{
	(void)argument;
	if (strcmp(http_path(r), "/early") != 0)
		return;
	http_answer(r, 401, "text/plain", "no", 2);
	http_request_release(r);
}

static void on_request(struct http_request *r, void *argument)
{
	const char *path = http_path(r);

	(void)argument;
	fixture_loops |= 1u << loop_index(http_loop(r));
	if (strcmp(path, "/later") == 0)
		serve_later(r);
	else if (strcmp(path, "/who") == 0)
		serve_who(r);
	else if (strcmp(path, "/query") == 0)
		serve_query(r);
	else if (strcmp(path, "/hold") == 0)
		serve_hold(r);
	else if (strcmp(path, "/fields") == 0)
		serve_fields(r);
	else if (strcmp(path, "/stream") == 0)
		serve_stream(r, true);
	else if (strcmp(path, "/cut") == 0)
		serve_stream(r, false);
	else if (strcmp(path, "/quiet") == 0)
		serve_silence(r, "data: 1\n\n");
	else if (strcmp(path, "/half") == 0)
		serve_silence(r, "data: half");
	else if (strcmp(path, "/flood") == 0)
		serve_flood(r);
	else
		answer_echo(r);
}

/* --- the server's thread --------------------------------------------------------- */

static struct {
	unsigned int loops;
	const struct http_limits *limits;
	const struct http_listener_spec *spec;
	sem_t ready;
	sem_t drained;
	pthread_t thread;
	char address[128];
} fixture;

static void *run_control(void *argument)
{
	const struct http_handler handler = { .on_head = on_head,
					      .on_request = on_request };
	struct atom_error err = ATOM_ERROR_INIT;

	(void)argument;
	CHECK(loops_init(fixture.loops, &err) == ATOM_OK);
	CHECK(metric_init(fixture.loops) == ATOM_OK);
	CHECK(http_server_new(fixture.limits, &handler, &fixture_server,
			      &err) == ATOM_OK);
	if (http_server_listen(fixture_server, fixture.spec, &err) != ATOM_OK) {
		printf("# %s\n", err.message);
		CHECK(!"listen");
	}
	CHECK(loops_start(&err) == ATOM_OK);
	http_server_accept(fixture_server);
	snprintf(fixture.address, sizeof(fixture.address), "%s",
		 http_server_address(fixture_server, 0));
	sem_post(&fixture.ready);
	loops_run_control();
	CHECK(http_server_connections(fixture_server) == 0);
	http_server_free(&fixture_server);
	loops_fini();
	metric_fini();
	return NULL;
}

void fixture_start(unsigned int loops, const struct http_limits *limits,
		   const struct http_listener_spec *spec)
{
	static const struct http_listener_spec plain = {
		.address = "127.0.0.1:0",
		.certificate = "",
		.key = "",
		.client_ca = "",
		.admin_group = "",
		.inherited_fd = -1,
	};

	log_set_descriptor(-1);
	fixture_gone = fixture_held = fixture_busy = fixture_drained = 0;
	fixture_loops = 0;
	fixture.loops = loops;
	fixture.limits = limits ? limits : &http_limits_default;
	fixture.spec = spec ? spec : &plain;
	CHECK(sem_init(&fixture.ready, 0, 0) == 0);
	CHECK(sem_init(&fixture.drained, 0, 0) == 0);
	CHECK(pthread_create(&fixture.thread, NULL, run_control, NULL) == 0);
	CHECK(sem_wait(&fixture.ready) == 0);
}

struct on_control {
	struct message message;
	void (*run)(void *argument);
	void *argument;
	sem_t done;
};

static void on_control_deliver(struct loop *loop, struct message *message)
{
	struct on_control *o =
		CONTAINER_OF(message, struct on_control, message);

	(void)loop;
	o->run(o->argument);
	sem_post(&o->done);
}

void fixture_on_control(void (*run)(void *argument), void *argument)
{
	struct on_control o = { .message.deliver = on_control_deliver,
				.run = run,
				.argument = argument };

	CHECK(sem_init(&o.done, 0, 0) == 0);
	loop_post(loop_control(), &o.message);
	CHECK(sem_wait(&o.done) == 0);
	sem_destroy(&o.done);
}

static void on_drained(void *argument)
{
	(void)argument;
	sem_post(&fixture.drained);
}

static void begin_drain(void *argument)
{
	http_server_drain(fixture_server, *(int64_t *)argument, on_drained,
			  NULL);
}

void fixture_drain(int64_t deadline_ms)
{
	fixture_on_control(begin_drain, &deadline_ms);
}

void fixture_stop(int64_t deadline_ms)
{
	fixture_drain(deadline_ms);
	CHECK(sem_wait(&fixture.drained) == 0);
	loops_stop();
	CHECK(pthread_join(fixture.thread, NULL) == 0);
	sem_destroy(&fixture.ready);
	sem_destroy(&fixture.drained);
}

const char *fixture_address(void)
{
	return fixture.address;
}

void fixture_wait(_Atomic unsigned int *counter, unsigned int n)
{
	const struct timespec pause = { .tv_nsec = 200000 };

	for (int i = 0; *counter < n; i++) {
		CHECK(i < 50000);
		nanosleep(&pause, NULL);
	}
}

/* --- the client ------------------------------------------------------------------- */

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
	int fd = client_try(fixture.address);

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
	struct answer own;
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
