/* SPDX-License-Identifier: Apache-2.0 */
#include "http_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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
	http_request_forget(r);
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

/* "(dn:CN=a)(uri:b)" and an end */
static void serve_certificate(struct http_request *r)
{
	static const char *const kinds[] = { "dn", "uri", "dns", "email" };
	const struct http_certificate *c = http_client_certificate(r);
	char text[1024] = "";
	size_t n = 0;

	for (size_t i = 0; c && i < c->count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "(%s:%s)",
				      kinds[c->names[i].kind],
				      c->names[i].text);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "end");
	http_answer(r, 200, "text/plain", text, n);
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

/* What a stream can do without is given back before it begins. */
static void forget(struct http_request *r)
{
	size_t length;

	http_request_forget(r);
	CHECK(!http_field(r, "host"));
	CHECK(strcmp(http_path(r), "/") == 0);
	CHECK(strcmp(http_query(r), "") == 0);
	CHECK(strcmp(http_body(r, &length), "") == 0 && length == 0);
	CHECK(strcmp(http_method(r), "POST") != 0);
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
	forget(r);
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
	forget(r);
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
	if (strcmp(http_path(r), "/ponder") == 0) {
		http_on_gone(r, count_gone);
		fixture_held++;
	}
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
	else if (strcmp(path, "/certificate") == 0)
		serve_certificate(r);
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

static void look_again(int tries)
{
	const struct timespec pause = { .tv_nsec = 200000 };

	CHECK(tries < 50000);
	nanosleep(&pause, NULL);
}

void fixture_wait(_Atomic unsigned int *counter, unsigned int n)
{
	for (int i = 0; *counter < n; i++)
		look_again(i);
}

void fixture_wait_connections(unsigned int n)
{
	for (int i = 0; http_server_connections(fixture_server) != n; i++)
		look_again(i);
}
