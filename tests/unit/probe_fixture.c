/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_fixture.h"

#include <pthread.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric.h"
#include "http/client.h"
#include "plugin/host.h"

const struct atom_http *http;
static const struct atom_host *host;

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct probe *p = argument;
	const char *type = http->header(transfer, "content-type");

	CHECK(p->returned && transfer == p->transfer && p->ends == 0);
	p->heads++;
	p->http_status = status;
	(void)snprintf(p->type, sizeof(p->type), "%s",
		       type != NULL ? type : "(none)");
	if (p->on_head != NULL)
		p->on_head(p);
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	struct probe *p = argument;

	CHECK(transfer == p->transfer && p->heads == 1 && p->ends == 0);
	CHECK(length > 0);
	CHECK(buffer_append(&p->got, bytes, length) == ATOM_OK);
	p->pieces++;
	if (p->on_data != NULL)
		p->on_data(p);
}

/* Once nobody is inside of the transfer's callbacks any more. */
static void tell_ended(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)sem_post(&CONTAINER_OF(message, struct probe, message)->ended);
}

static void tell_later(struct probe *p)
{
	p->message.deliver = tell_ended;
	loop_post(loop_current(), &p->message);
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct probe *p = argument;

	CHECK(p->returned && p->ends++ == 0);
	p->status = status;
	p->request_sent = request_sent;
	if (status != ATOM_OK) {
		CHECK(error != NULL && error->status == status);
		CHECK(error->message[0] != '\0');
		p->error = *error;
	}
	if (p->on_end != NULL)
		p->on_end(p);
	tell_later(p);
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

void probe_start_here(struct probe *p)
{
	p->started = http->start(host, &p->request, &events, p, &p->transfer,
				 &p->error);
	p->returned = true;
	if (p->started != ATOM_OK)
		tell_later(p);
	else if (p->on_started != NULL)
		p->on_started(p);
}

static void start_on_loop(struct loop *loop, struct message *message)
{
	(void)loop;
	probe_start_here(CONTAINER_OF(message, struct probe, message));
}

void probe_prepare(struct probe *p, const char *method, const char *url)
{
	memset(p, 0, sizeof(*p));
	(void)snprintf(p->url, sizeof(p->url), "%s", url);
	p->request.struct_size = sizeof(p->request);
	p->request.method = method;
	p->request.url = p->url;
	p->message.deliver = start_on_loop;
	buffer_init(&p->got, (size_t)64 * 1024 * 1024);
	CHECK(sem_init(&p->ended, 0, 0) == 0);
}

void probe_begin(struct probe *p)
{
	loop_post(loops_get(0), &p->message);
}

void probe_wait(struct probe *p)
{
	while (sem_wait(&p->ended) != 0)
		;
}

void probe_fini(struct probe *p)
{
	buffer_fini(&p->got);
	(void)sem_destroy(&p->ended);
}

void probe_run(struct probe *p)
{
	probe_begin(p);
	probe_wait(p);
}

bool probe_got(const struct probe *p, const char *text)
{
	return p->got.length == strlen(text) &&
	       (text[0] == '\0' ||
		memcmp(p->got.bytes, text, p->got.length) == 0);
}

void probe_until(unsigned int (*value)(void), unsigned int wanted)
{
	while (value() != wanted)
		(void)usleep(1000);
}

/* --- the whole ------------------------------------------------------------- */

static const struct tap_test *tests;
static int test_count;

static void *drive(void *argument)
{
	(void)argument;
	(void)tap_main(tests, test_count);
	return NULL;
}

void probe_main(const struct tap_test *all, int count)
{
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t driver;

	tests = all;
	test_count = count;
	CHECK(loops_init(2, &err) == ATOM_OK);
	CHECK(metric_init(loops_serving()) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	CHECK(http_client_register(&err) == ATOM_OK);
	CHECK(host_for_tests("client", &host) == ATOM_OK);
	http = atom_service(host, ATOM_HTTP);
	CHECK(http != NULL);
	CHECK(loops_start(&err) == ATOM_OK);
	CHECK(pthread_create(&driver, NULL, drive, NULL) == 0);
	loops_run_control();
	CHECK(pthread_join(driver, NULL) == 0);
	loops_fini();
	host_for_tests_free(&host);
	metric_fini();
}
