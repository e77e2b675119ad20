/* SPDX-License-Identifier: Apache-2.0 */
#include "openai_fixture.h"

#include <dlfcn.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "config/setting.h"
#include "core/memory.h"
#include "core/metric.h"
#include "http/client.h"
#include "plugin/host.h"
#include "upstream_fixture.h"

/* Rises before each call, for the server's threads: a socket orders no
 * memory. */
static atomic_uint scripted;

static const struct atom_component *component;
static const struct atom_backend_ops *ops;
static const struct atom_host *host;
static struct upstream upstream;

/* --- one configured backend ----------------------------------------------- */

atom_status backend_open(struct backend *b, const char *more,
			 struct atom_error *err)
{
	struct setting *group = NULL;
	json_t *json;
	char text[1024];
	atom_status status;

	(void)snprintf(text, sizeof(text),
		       "{\"base_url\":\"http://127.0.0.1:%d/v1\","
		       "\"api_key\":\"" OPENAI_KEY "\"%s%s}",
		       upstream.port, more[0] != '\0' ? "," : "", more);
	json = json_loads(text, 0, NULL);
	CHECK(json != NULL);
	CHECK(setting_of_json(json, "backend", &group, err) == ATOM_OK);
	json_decref(json);
	memset(b, 0, sizeof(*b));
	buffer_init(&b->errors, 65536);
	status = options_fill(component, group, NULL, &b->options, &b->errors);
	setting_free(&group);
	if (status == ATOM_OK)
		status = ops->create(host, options_struct(b->options), &b->self,
				     err);
	return status;
}

void backend_close(struct backend *b)
{
	if (b->self != NULL)
		ops->destroy(b->self);
	options_free(&b->options);
	buffer_fini(&b->errors);
}

/* --- one call ------------------------------------------------------------- */

static struct call *call_of(atom_call handle)
{
	return (struct call *)(uintptr_t)handle;
}

static const struct atom_call_request *host_request(const struct atom_host *h,
						    atom_call handle)
{
	CHECK(h == host);
	return &call_of(handle)->request;
}

static void resume_later(struct timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);

	ops->resume(call->backend.self, NULL, (atom_call)(uintptr_t)call);
}

static void cancel_later(struct timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);

	ops->cancel(call->backend.self, NULL, (atom_call)(uintptr_t)call,
		    ATOM_CANCEL_CLIENT_GONE);
	CHECK(call->finishes == 1);
}

static atom_status host_emit(const struct atom_host *h, atom_call handle,
			     int32_t kind, const char *bytes, size_t length)
{
	struct call *call = call_of(handle);

	CHECK(h == host && call->finishes == 0);
	CHECK(buffer_printf(&call->emitted, "%d:", (int)kind) == ATOM_OK);
	CHECK(buffer_append(&call->emitted, bytes, length) == ATOM_OK);
	CHECK(buffer_append_char(&call->emitted, '\n') == ATOM_OK);
	CHECK(buffer_append(&call->text, bytes, length) == ATOM_OK);
	call->emits++;
	if (call->emits == call->cancel_at) {
		call->timer.fire = cancel_later;
		CHECK(timer_set(loop_current(), &call->timer, 0) == ATOM_OK);
		return ATOM_OK;
	}
	if (call->busy_every == 0 || call->emits % call->busy_every != 0)
		return ATOM_OK;
	call->timer.fire = resume_later;
	CHECK(timer_set(loop_current(), &call->timer, 20) == ATOM_OK);
	return ATOM_EBUSY;
}

static void host_usage(const struct atom_host *h, atom_call handle,
		       const struct atom_usage *usage)
{
	struct call *call = call_of(handle);

	CHECK(h == host && call->finishes == 0);
	call->usages++;
	call->usage = *usage;
}

static void tell_ended(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)sem_post(&CONTAINER_OF(message, struct call, message)->ended);
}

static void tell_later(struct call *call)
{
	timer_stop(&call->timer);
	call->message.deliver = tell_ended;
	loop_post(loop_current(), &call->message);
}

static void host_finish(const struct atom_host *h, atom_call handle,
			atom_status status, const struct atom_error *err)
{
	struct call *call = call_of(handle);

	CHECK(h == host && call->finishes++ == 0);
	call->status = status;
	if (status != ATOM_OK) {
		CHECK(err != NULL && err->message[0] != '\0');
		CHECK(strstr(err->message, OPENAI_KEY) == NULL);
		call->error = *err;
	}
	tell_later(call);
}

static int32_t host_cancelled(const struct atom_host *h, atom_call handle)
{
	(void)h;
	(void)handle;
	return 0;
}

static const struct atom_backend_host backend_host = {
	.struct_size = sizeof(backend_host),
	.request = host_request,
	.emit = host_emit,
	.usage = host_usage,
	.finish = host_finish,
	.cancelled = host_cancelled,
};

static void invoke_on_loop(struct loop *loop, struct message *message)
{
	struct call *call = CONTAINER_OF(message, struct call, message);

	(void)loop;
	call->invoked = ops->invoke(call->backend.self, NULL,
				    (atom_call)(uintptr_t)call, &call->error);
	if (call->invoked != ATOM_OK)
		tell_later(call);
}

void call_open(struct call *call, const char *more, const char *body,
	       uint32_t flags)
{
	static const char plain[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";
	struct atom_call_request *r = &call->request;
	struct atom_error err = ATOM_ERROR_INIT;
	const char *messages;

	memset(call, 0, sizeof(*call));
	CHECK(backend_open(&call->backend, more, &err) == ATOM_OK);
	*r = (struct atom_call_request){
		.struct_size = sizeof(*r),
		.flags = flags | (body == NULL ? ATOM_CALL_INVOKE : 0),
		.operation = "chat",
		.agent = "bot",
		.request_id = "req-1",
		.traceparent = "00-1-2-01",
		.session_id = "",
		.model = "bot",
		.deadline_ms = 20000,
		.connect_ms = 2000,
		.attempt = 1,
	};
	r->messages = (struct atom_span){ plain, strlen(plain) };
	if (body != NULL) {
		r->body = (struct atom_span){ body, strlen(body) };
		messages = strstr(body, "[{");
		CHECK(messages != NULL);
		r->body_messages = (struct atom_span){
			messages,
			(size_t)(strstr(messages, "}]") + 2 - messages)
		};
		r->messages = r->body_messages;
	}
	call->message.deliver = invoke_on_loop;
	buffer_init(&call->emitted, (size_t)64 << 20);
	buffer_init(&call->text, (size_t)64 << 20);
	CHECK(sem_init(&call->ended, 0, 0) == 0);
}

static void call_wait(struct call *call)
{
	while (sem_wait(&call->ended) != 0)
		;
	/* The server may still be reading what the test told it. */
	while (upstream_answering() != 0)
		(void)usleep(1000);
	CHECK(buffer_append_char(&call->emitted, '\0') == ATOM_OK);
	CHECK(buffer_append_char(&call->text, '\0') == ATOM_OK);
}

void call_run(struct call *call)
{
	atomic_fetch_add(&scripted, 1);
	loop_post(loops_get(0), &call->message);
	call_wait(call);
}

void call_close(struct call *call)
{
	buffer_fini(&call->emitted);
	buffer_fini(&call->text);
	(void)sem_destroy(&call->ended);
	backend_close(&call->backend);
}

void call_plain(struct call *call, const char *body, uint32_t flags)
{
	call_open(call, "", body, flags);
	call_run(call);
}

/* --- what the server does ------------------------------------------------- */

struct answer answer;
static char seen[UPSTREAM_REQUEST_MAX + 1];

void answer_reset(void)
{
	answer = (struct answer){
		.status = "200 OK",
		.fields = "Content-Type: application/json\r\n",
		.body = "",
	};
}

static bool answer_as_told(struct upstream_connection *c)
{
	(void)atomic_load(&scripted);
	memcpy(seen, c->request, c->length + 1);
	if (answer.chunks == NULL)
		return upstream_whole(c, answer.status, answer.fields,
				      answer.body);
	if (!upstream_send(c, "HTTP/1.1 200 OK\r\n"
			      "Content-Type: text/event-stream\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n"))
		return false;
	for (size_t i = 0; answer.chunks[i] != NULL; i++)
		if (!upstream_chunk(c, answer.chunks[i]))
			return false;
	if (answer.hangs)
		upstream_wait_closed(c);
	return !answer.hangs && !answer.cut && upstream_chunk(c, "");
}

const char *sent(void)
{
	return seen;
}

const char *sent_body(void)
{
	return strstr(seen, "\r\n\r\n") + 4;
}

/* --- the whole ------------------------------------------------------------ */

struct tests {
	const struct tap_test *all;
	int count;
};

static void *drive(void *argument)
{
	const struct tests *tests = argument;

	(void)tap_main(tests->all, tests->count);
	loops_stop();
	return NULL;
}

static void open_plugin(void)
{
	const char *folder = getenv("ATOMD_BUILD_PLUGINS");
	const struct atom_plugin *plugin;
	char path[4096];
	void *so;

	(void)snprintf(path, sizeof(path), "%s/backend-openai.so",
		       folder != NULL ? folder : "plugins/built");
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL)
		printf("# %s\n", dlerror());
	CHECK(so != NULL);
	plugin = dlsym(so, ATOM_PLUGIN_SYMBOL);
	CHECK(plugin != NULL && plugin->component_count == 1);
	component = plugin->components;
	ops = (const struct atom_backend_ops *)(const void *)component->ops;
}

int openai_main(const struct tap_test *all, int count)
{
	struct tests tests = { all, count };
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t driver;

	open_plugin();
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(loops_serving()) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	CHECK(http_client_register(&err) == ATOM_OK);
	CHECK(host_register(ATOM_BACKEND_HOST, &backend_host) == ATOM_OK);
	CHECK(host_for_tests("backend/openai", &host) == ATOM_OK);
	upstream_start(&upstream, answer_as_told);
	CHECK(loops_start(&err) == ATOM_OK);
	CHECK(pthread_create(&driver, NULL, drive, &tests) == 0);
	loops_run_control();
	CHECK(pthread_join(driver, NULL) == 0);
	loops_fini();
	upstream_stop(&upstream);
	host_for_tests_free(&host);
	metric_fini();
	return 0;
}
