/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The openai backend as the daemon loads it, with the real HTTP client, in
 * front of a server that answers what each test wants.  The host's half of a
 * call is played here.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <atomd/backend.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "http/client.h"
#include "plugin/host.h"
#include "plugin/options.h"
#include "tap.h"
#include "upstream_fixture.h"

/* Rises before each call, for the server's threads: a socket orders no
 * memory. */
static atomic_uint scripted;

#define KEY "sk-test-5ecr3t-key"

static const struct atom_component *component;
static const struct atom_backend_ops *ops;
static const struct atom_host *host;
static struct upstream upstream;

/* --- one configured backend ----------------------------------------------------- */

struct backend {
	struct options *options;
	void *self;
	struct buffer errors;
};

/* `more`: members of the settings, as JSON without braces. */
static atom_status backend_open(struct backend *b, const char *more,
				struct atom_error *err)
{
	struct setting *group = NULL;
	json_t *json;
	char text[1024];
	atom_status status;

	(void)snprintf(text, sizeof(text),
		       "{\"base_url\":\"http://127.0.0.1:%d/v1\","
		       "\"api_key\":\"" KEY "\"%s%s}",
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

static void backend_close(struct backend *b)
{
	if (b->self != NULL)
		ops->destroy(b->self);
	options_free(&b->options);
	buffer_fini(&b->errors);
}

/* --- one call ------------------------------------------------------------------------ */

struct call {
	struct message message;
	struct backend *backend;
	struct atom_call_request request;
	struct buffer emitted; /* kind, bytes, newline */
	struct buffer text;    /* bytes alone */
	unsigned int emits;
	unsigned int busy_every; /* EBUSY at each so many-th emit */
	unsigned int cancel_at;	 /* by the host at this emit */
	struct timer timer;
	struct atom_usage usage;
	unsigned int usages, finishes;
	atom_status invoked;
	atom_status status;
	struct atom_error error;
	sem_t ended;
};

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

	ops->resume(call->backend->self, NULL, (atom_call)(uintptr_t)call);
}

static void cancel_later(struct timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);

	ops->cancel(call->backend->self, NULL, (atom_call)(uintptr_t)call,
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
		CHECK(strstr(err->message, KEY) == NULL);
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
	call->invoked = ops->invoke(call->backend->self, NULL,
				    (atom_call)(uintptr_t)call, &call->error);
	if (call->invoked != ATOM_OK)
		tell_later(call);
}

/* `body` NULL: an invoke. */
static void call_init(struct call *call, struct backend *backend,
		      const char *body, uint32_t flags)
{
	static const char plain[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";
	struct atom_call_request *r = &call->request;
	const char *messages;

	memset(call, 0, sizeof(*call));
	call->backend = backend;
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

static void call_run(struct call *call)
{
	atomic_fetch_add(&scripted, 1);
	loop_post(loops_get(0), &call->message);
	call_wait(call);
}

static void call_fini(struct call *call)
{
	buffer_fini(&call->emitted);
	buffer_fini(&call->text);
	(void)sem_destroy(&call->ended);
}

/* --- what the server does ---------------------------------------------------------------- */

/* Set before a call, read by the server's thread. */
static const char *answer_status; /* "200 OK" */
static const char *answer_fields;
static const char *answer_body;
static const char *const *answer_chunks; /* NULL-ended: a stream */
static bool answer_cut;			 /* no last chunk */
static bool answer_hangs;		 /* nothing behind the chunks */
static char seen[UPSTREAM_REQUEST_MAX + 1];

static void reset_answer(void)
{
	answer_status = "200 OK";
	answer_fields = "Content-Type: application/json\r\n";
	answer_body = "";
	answer_chunks = NULL;
	answer_cut = answer_hangs = false;
}

static bool answer(struct upstream_connection *c)
{
	(void)atomic_load(&scripted);
	memcpy(seen, c->request, c->length + 1);
	if (answer_chunks == NULL)
		return upstream_whole(c, answer_status, answer_fields,
				      answer_body);
	if (!upstream_send(c, "HTTP/1.1 200 OK\r\n"
			      "Content-Type: text/event-stream\r\n"
			      "Transfer-Encoding: chunked\r\n\r\n"))
		return false;
	for (size_t i = 0; answer_chunks[i] != NULL; i++)
		if (!upstream_chunk(c, answer_chunks[i]))
			return false;
	if (answer_hangs)
		upstream_wait_closed(c);
	return !answer_hangs && !answer_cut && upstream_chunk(c, "");
}

static const char *sent_body(void)
{
	return strstr(seen, "\r\n\r\n") + 4;
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

#define WHOLE(text, more)                                                \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":" \
	"\"assistant\",\"content\":" text                                \
	"},\"finish_reason\":\"stop\"}]" more "}"
#define USAGE                                                               \
	",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"prompt_" \
	"tokens_details\":{\"cached_tokens\":2}}"
#define DELTA(text)                                                       \
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text \
	"\"},\"finish_reason\":null}]}\n\n"
#define FINISH(reason)                                         \
	"data: {\"choices\":[{\"index\":0,\"delta\":{},\"fini" \
	"sh_reason\":\"" reason "\"}]}\n\n"
#define STREAM_USAGE                                                      \
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completi" \
	"on_tokens\":4}}\n\n"
#define DONE "data: [DONE]\n\n"

/* --- what is sent --------------------------------------------------------------------------- */

static void expect_sent(const char *options, const char *body, uint32_t flags,
			int64_t max_tokens, const char *expected)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	reset_answer();
	answer_body = WHOLE("\"x\"", "");
	CHECK(backend_open(&b, options, &err) == ATOM_OK);
	call_init(&call, &b, body, flags);
	call.request.max_tokens = max_tokens;
	call_run(&call);
	if (strcmp(sent_body(), expected) != 0)
		printf("# sent     %s\n# expected %s\n", sent_body(), expected);
	CHECK(strcmp(sent_body(), expected) == 0);
	call_fini(&call);
	backend_close(&b);
}

static void bodies_are_spliced(void)
{
	/* Nothing to change: byte for byte. */
	expect_sent("", "{ \"model\" : \"bot\",\t" MESSAGES ",\"z\":-0.0 }", 0,
		    0, "{ \"model\" : \"bot\",\t" MESSAGES ",\"z\":-0.0 }");
	expect_sent("\"model\":\"m\\\"1\"",
		    "{\"model\":\"bot\"," MESSAGES ",\"a\":{\"model\":1}}", 0,
		    0,
		    "{\"model\":\"m\\\"1\"," MESSAGES ",\"a\":{\"model\":1}}");
	expect_sent("\"model\":\"m\"", "{" MESSAGES ",\"mod\\u0065l\":\"bot\"}",
		    0, 9,
		    "{\"max_tokens\":9," MESSAGES ",\"mod\\u0065l\":\"m\"}");
	expect_sent("", "{\"max_tokens\":3," MESSAGES "}", 0, 9,
		    "{\"max_tokens\":3," MESSAGES "}");
	expect_sent("", "{\"max_completion_tokens\":3," MESSAGES "}", 0, 9,
		    "{\"max_completion_tokens\":3," MESSAGES "}");
	expect_sent("", "{\"max_tokens\": null ," MESSAGES "}", 0, 9,
		    "{\"max_tokens\": 9 ," MESSAGES "}");
	expect_sent("\"token_field\":\"max_completion_tokens\"",
		    "{" MESSAGES "}", 0, 9,
		    "{\"max_completion_tokens\":9," MESSAGES "}");
}

static void streams_ask_for_usage(void)
{
	expect_sent("", "{" MESSAGES "}", ATOM_CALL_STREAM, 0,
		    "{\"stream_options\":{\"include_usage\":true}," MESSAGES
		    "}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":{ }}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true"
		    " }}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":{\"a\":1}}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true,"
		    "\"a\":1}}");
	expect_sent("",
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":"
		    "false}}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true}"
		    "}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":null}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true}"
		    "}");
	expect_sent("", "{" MESSAGES "}",
		    ATOM_CALL_STREAM | ATOM_CALL_WANTS_STREAM_USAGE, 0,
		    "{" MESSAGES "}");
}

static void an_invoke_is_built(void)
{
	expect_sent("\"model\":\"m\"", NULL, 0, 5,
		    "{\"model\":\"m\"," MESSAGES ",\"max_tokens\":5}");
	expect_sent("", NULL, ATOM_CALL_STREAM, 0,
		    "{\"model\":\"bot\"," MESSAGES ",\"stream\":true,"
		    "\"stream_options\":{\"include_usage\":true}}");
}

static void messages_are_replaced_when_the_host_has_others(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	reset_answer();
	answer_body = WHOLE("\"x\"", "");
	CHECK(backend_open(&b, "", &err) == ATOM_OK);
	call_init(&call, &b, "{\"a\":1," MESSAGES ",\"b\":2}", 0);
	call.request.messages = (struct atom_span){ "[1]", 3 };
	call_run(&call);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(sent_body(), "{\"a\":1,\"messages\":[1],\"b\":2}") == 0);
	call_fini(&call);
	backend_close(&b);
}

static void heads_carry_what_is_configured(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	reset_answer();
	answer_body = WHOLE("\"x\"", "");
	CHECK(backend_open(&b,
			   "\"organization\":\"org\",\"headers\":"
			   "{\"X-More\":\"1\"}",
			   &err) == ATOM_OK);
	call_init(&call, &b, NULL, 0);
	call_run(&call);
	CHECK(strncmp(seen, "POST /v1/chat/completions HTTP/1.1\r\n", 36) == 0);
	CHECK(strstr(seen, "Authorization: Bearer " KEY "\r\n") != NULL);
	CHECK(strstr(seen, "OpenAI-Organization: org\r\n") != NULL);
	CHECK(strstr(seen, "X-More: 1\r\n") != NULL);
	CHECK(strstr(seen, "x-request-id: req-1\r\n") != NULL);
	CHECK(strstr(seen, "traceparent: 00-1-2-01\r\n") != NULL);
	CHECK(strstr(seen, "Content-Type: application/json\r\n") != NULL);
	call_fini(&call);
	backend_close(&b);
}

static void wrong_options_are_sentences(void)
{
	static const struct {
		const char *options;
		const char *word;
	} wrong[] = {
		{ "\"base_url\":\"ftp://x\"", "base_url" },
		{ "\"base_url\":\"http://u:p@x/v1\"", "api_key" },
		{ "\"ca_file\":\"/no/such/file\"", "ca_file" },
		{ "\"headers\":{\"Host\":\"x\"}", "Host" },
		{ "\"organization\":\"a\\nb\"", "OpenAI-Organization" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct backend b;

		CHECK(backend_open(&b, wrong[i].options, &err) != ATOM_OK);
		if (strstr(err.message, wrong[i].word) == NULL)
			printf("# %s: %s\n", wrong[i].options, err.message);
		CHECK(strstr(err.message, wrong[i].word) != NULL);
		backend_close(&b);
	}
}

/* --- whole answers ----------------------------------------------------------------------------- */

static void run_plain(struct call *call, struct backend *b, const char *body,
		      uint32_t flags)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(backend_open(b, "", &err) == ATOM_OK);
	call_init(call, b, body, flags);
	call_run(call);
}

static void a_whole_answer_is_relayed_with_its_usage(void)
{
	struct backend b;
	struct call call;

	reset_answer();
	answer_body = WHOLE("\"a\\u00e9\"", USAGE);
	run_plain(&call, &b, "{" MESSAGES "}", 0);
	CHECK(call.status == ATOM_OK && call.emits == 1);
	CHECK(strcmp(call.emitted.bytes,
		     "4:" WHOLE("\"a\\u00e9\"", USAGE) "\n") == 0);
	CHECK(call.usages == 1 && call.usage.input_tokens == 7);
	CHECK(call.usage.output_tokens == 3 && call.usage.cached_tokens == 2);
	CHECK(call.usage.finish_reason == ATOM_FINISH_STOP);
	call_fini(&call);
	backend_close(&b);

	run_plain(&call, &b, NULL, 0);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(call.emitted.bytes, "1:a\xc3\xa9\n") == 0);
	call_fini(&call);
	backend_close(&b);
}

static void what_is_no_completion_is_an_error(void)
{
	static const struct {
		const char *body;
		atom_status status;
	} answers[] = {
		{ "", ATOM_EPROTO },
		{ "<html>", ATOM_EPROTO },
		{ "{}", ATOM_EPROTO },
		{ "[]", ATOM_EPROTO },
		{ "{\"choices\":[]}", ATOM_EPROTO },
		{ "{\"choices\":[{}]}", ATOM_EPROTO },
		{ "{\"choices\":[{\"message\":{}}]", ATOM_EPROTO },
		{ "{\"choices\":[{\"message\":{}}]} x", ATOM_EPROTO },
		{ "{\"error\":{\"message\":\"m\",\"code\":\"c\"}}", ATOM_EIO },
		{ "{\"error\":\"busy\"}", ATOM_EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct backend b;
		struct call call;

		reset_answer();
		answer_body = answers[i].body;
		run_plain(&call, &b, "{" MESSAGES "}", 0);
		CHECK(call.status == answers[i].status && call.emits == 0);
		call_fini(&call);
		backend_close(&b);
		run_plain(&call, &b, "{" MESSAGES "}", ATOM_CALL_STREAM);
		CHECK(call.status == answers[i].status && call.emits == 0);
		call_fini(&call);
		backend_close(&b);
	}
}

static void provider_errors_are_mapped(void)
{
	static const struct {
		const char *status;
		const char *fields;
		const char *body;
		atom_status mapped;
		int32_t http_status;
		const char *code;
		const char *message;
		int32_t retry_ms;
	} answers[] = {
		{ "400 Bad Request", "",
		  "{\"error\":{\"message\":\"too \\\"long\\\" " KEY
		  "\",\"type\":\"t\",\"code\":\"context_length_exceeded\"}}",
		  ATOM_EINVAL, 400, "context_length_exceeded",
		  "too \"long\" ***", 0 },
		{ "404 Not Found", "",
		  "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":null}"
		  "}",
		  ATOM_ENOENT, 404, "t", "m", 0 },
		{ "401 Unauthorized", "",
		  "{\"error\":{\"message\":\"wrong " KEY
		  "\",\"code\":\"invalid_api_key\"}}",
		  ATOM_EPERM, 401, "", "openai: the provider refused", 0 },
		{ "429 Too Many", "Retry-After: 7\r\n",
		  "{\"error\":{\"message\":\"slow down\",\"code\":\"rate\"}}",
		  ATOM_EQUOTA, 429, "rate", "slow down", 7000 },
		{ "429 Too Many", "retry-after-ms: 250\r\nRetry-After: 7\r\n",
		  "", ATOM_EQUOTA, 429, "", "openai: the provider answered 429",
		  250 },
		{ "500 Oops", "", "<html>nginx</html>", ATOM_EIO, 500, "",
		  "openai: the provider answered 500", 0 },
		{ "503 Busy", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		  "{\"detail\":\"loading\"}", ATOM_EBUSY, 503, "", "loading",
		  0 },
		{ "422 No", "",
		  "[{\"error\":{\"message\":\"m2\",\"code\":\"a b\"}}]",
		  ATOM_EINVAL, 422, "", "m2", 0 },
		{ "302 Found", "Location: /x\r\n", "", ATOM_EPROTO, 302, "",
		  "openai: the provider answered with a redirection", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers) * 2; i++) {
		size_t n = i / 2;
		struct backend b;
		struct call call;

		reset_answer();
		answer_status = answers[n].status;
		answer_fields = answers[n].fields;
		answer_body = answers[n].body;
		run_plain(&call, &b, "{" MESSAGES "}",
			  i % 2 ? ATOM_CALL_STREAM : 0);
		CHECK(call.status == answers[n].mapped && call.emits == 0);
		CHECK(call.error.http_status == answers[n].http_status);
		CHECK(strcmp(call.error.code, answers[n].code) == 0);
		CHECK(strncmp(call.error.message, answers[n].message,
			      strlen(answers[n].message)) == 0);
		CHECK(call.error.retry_after_ms == answers[n].retry_ms);
		call_fini(&call);
		backend_close(&b);
	}
}

static void a_retry_date_counts_from_now(void)
{
	char fields[96], date[64];
	time_t later = time(NULL) + 60;
	struct backend b;
	struct call call;
	struct tm tm;

	reset_answer();
	CHECK(gmtime_r(&later, &tm) != NULL);
	CHECK(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) >
	      0);
	(void)snprintf(fields, sizeof(fields), "Retry-After: %s\r\n", date);
	answer_status = "429 Too Many";
	answer_fields = fields;
	run_plain(&call, &b, "{" MESSAGES "}", 0);
	CHECK(call.error.retry_after_ms > 50000);
	CHECK(call.error.retry_after_ms <= 60000);
	call_fini(&call);
	backend_close(&b);
}

/* --- streams --------------------------------------------------------------------------------------- */

static void run_stream(struct call *call, struct backend *b,
		       const char *const *chunks, uint32_t flags,
		       const char *body)
{
	reset_answer();
	answer_chunks = chunks;
	run_plain(call, b, body, flags | ATOM_CALL_STREAM);
}

static void a_stream_is_relayed_chunk_by_chunk(void)
{
	static const char *const chunks[] = {
		": hello\n\n" DELTA("a"),   "data: {\"choices\":[{\"delta\":",
		"{\"content\":\"b\"}}]}\r", "\n\r\n" FINISH("length"),
		STREAM_USAGE DONE,	    NULL
	};
	struct backend b;
	struct call call;

	run_stream(&call, &b, chunks, 0, "{" MESSAGES "}");
	CHECK(call.status == ATOM_OK && call.emits == 3);
	CHECK(strstr(call.emitted.bytes, "usage") == NULL);
	CHECK(strncmp(call.emitted.bytes, "4:{\"choices\":", 13) == 0);
	CHECK(call.usages == 1 && call.usage.input_tokens == 5);
	CHECK(call.usage.output_tokens == 4);
	CHECK(call.usage.finish_reason == ATOM_FINISH_LENGTH);
	call_fini(&call);
	backend_close(&b);

	run_stream(&call, &b, chunks, ATOM_CALL_WANTS_STREAM_USAGE,
		   "{" MESSAGES "}");
	CHECK(call.status == ATOM_OK && call.emits == 4);
	CHECK(strstr(call.emitted.bytes, "usage") != NULL);
	call_fini(&call);
	backend_close(&b);

	run_stream(&call, &b, chunks, 0, NULL);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(call.emitted.bytes, "1:a\n1:b\n") == 0);
	call_fini(&call);
	backend_close(&b);
}

static void lines_may_end_and_break_anywhere(void)
{
	static const char *const separators[] = { "\n", "\r\n", "\r" };
	static char pieces[600][2];
	const char *chunks[601];

	for (size_t s = 0; s < ARRAY_SIZE(separators); s++) {
		const char *e = separators[s];
		struct backend b;
		struct call call;
		char text[600];
		size_t n = 0;

		(void)snprintf(text, sizeof(text),
			       "\xef\xbb\xbf"
			       "event: message%sid: 1%sdata:{\"choices\":%s"
			       "data: [{\"delta\":{\"content\":\"yes\"}%s"
			       "data:,\"finish_reason\":\"stop\"}]}%s%s"
			       "retry: 5%s%sdata: [DONE]%s%s",
			       e, e, e, e, e, e, e, e, e, e);
		for (; text[n] != '\0'; n++) {
			pieces[n][0] = text[n];
			chunks[n] = pieces[n];
		}
		chunks[n] = NULL;
		run_stream(&call, &b, chunks, 0, NULL);
		if (call.status != ATOM_OK)
			printf("# %s\n", call.error.message);
		CHECK(call.status == ATOM_OK);
		CHECK(strcmp(call.text.bytes, "yes") == 0);
		call_fini(&call);
		backend_close(&b);
	}
}

static void broken_streams_are_never_successes(void)
{
	static const char *const cut[] = { DELTA("a"), NULL };
	static const char *const only_done[] = { DONE, NULL };
	static const char *const garbage[] = { DELTA("a"), "data: {{{ not\n\n",
					       NULL };
	static const char *const utf8[] = {
		"data: {\"choices\":[\"\xff\"]}\n\n", NULL
	};
	static const char *const no_choices[] = { "data: {\"a\":1}\n\n", NULL };
	static const char *const error[] = {
		DELTA("a"),
		"data: {\"error\":{\"message\":\"fell over\",\"code\":\"oops\""
		"}}\n\n",
		DONE, NULL
	};
	static const char *const named[] = {
		"event: error\ndata: {\"message\":\"fell over\"}\n\n", NULL
	};
	static const char *const quota[] = {
		"data: {\"error\":{\"message\":\"m\",\"type\":"
		"\"rate_limit_error\"}}\n\n",
		NULL
	};
	static const struct {
		const char *const *chunks;
		atom_status status;
		const char *word;
	} streams[] = {
		{ cut, ATOM_EIO, "ended before" },
		{ only_done, ATOM_EPROTO, "no answer" },
		{ garbage, ATOM_EPROTO, "no JSON" },
		{ utf8, ATOM_EPROTO, "no JSON" },
		{ no_choices, ATOM_EPROTO, "choices" },
		{ error, ATOM_EIO, "fell over" },
		{ named, ATOM_EIO, "fell over" },
		{ quota, ATOM_EQUOTA, "m" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		struct backend b;
		struct call call;

		run_stream(&call, &b, streams[i].chunks, 0, "{" MESSAGES "}");
		CHECK(call.status == streams[i].status);
		CHECK(strstr(call.error.message, streams[i].word) != NULL);
		CHECK(call.emits <= 1);
		call_fini(&call);
		backend_close(&b);
	}
}

static void a_stream_cut_or_stalled_midway_is_an_error(void)
{
	static const char *const chunks[] = { DELTA("a"), FINISH("stop"),
					      NULL };
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	reset_answer();
	answer_chunks = chunks;
	answer_cut = true;
	run_plain(&call, &b, "{" MESSAGES "}", ATOM_CALL_STREAM);
	CHECK(call.status == ATOM_EIO && call.emits == 2);
	call_fini(&call);
	backend_close(&b);

	answer_cut = false;
	answer_hangs = true;
	CHECK(backend_open(&b, "", &err) == ATOM_OK);
	call_init(&call, &b, "{" MESSAGES "}", ATOM_CALL_STREAM);
	call.request.stall_ms = 60;
	call_run(&call);
	CHECK(call.status == ATOM_ETIMEOUT && call.emits == 2);
	call_fini(&call);
	backend_close(&b);
}

static void a_stream_that_lingers_behind_done_is_complete(void)
{
	static const char *const chunks[] = { DELTA("a"), FINISH("stop"), DONE,
					      NULL };
	struct backend b;
	struct call call;

	reset_answer();
	answer_chunks = chunks;
	answer_hangs = true;
	run_plain(&call, &b, "{" MESSAGES "}", ATOM_CALL_STREAM);
	CHECK(call.status == ATOM_OK && call.emits == 2);
	call_fini(&call);
	backend_close(&b);
}

static void an_event_without_end_is_bounded(void)
{
	static char long_text[70000];
	static const char *chunks[64];
	struct backend b;
	struct call call;

	memset(long_text, 'x', sizeof(long_text) - 1);
	chunks[0] = "data: {\"choices\":\"";
	for (size_t i = 1; i < ARRAY_SIZE(chunks) - 1; i++)
		chunks[i] = long_text;
	run_stream(&call, &b, chunks, 0, "{" MESSAGES "}");
	CHECK(call.status == ATOM_EPROTO);
	CHECK(strstr(call.error.message, "1048576") != NULL);
	call_fini(&call);
	backend_close(&b);
}

/* --- backpressure and cancelling ---------------------------------------------------------------------- */

static void a_slow_client_loses_nothing(void)
{
	const char *chunks[202];
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	for (size_t i = 0; i < 200; i++)
		chunks[i] = DELTA("0123456789");
	chunks[200] = FINISH("stop") DONE;
	chunks[201] = NULL;
	reset_answer();
	answer_chunks = chunks;
	CHECK(backend_open(&b, "", &err) == ATOM_OK);
	call_init(&call, &b, NULL, ATOM_CALL_STREAM);
	call.busy_every = 17;
	call_run(&call);
	CHECK(call.status == ATOM_OK && call.text.length == 2001);
	call_fini(&call);
	backend_close(&b);
}

static void cancelling_closes_the_connection(void)
{
	static const char *const chunks[] = { DELTA("a"), NULL };
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	reset_answer();
	answer_chunks = chunks;
	answer_hangs = true;
	CHECK(backend_open(&b, "", &err) == ATOM_OK);
	call_init(&call, &b, "{" MESSAGES "}", ATOM_CALL_STREAM);
	call.cancel_at = 1;
	call_run(&call);
	CHECK(call.status == ATOM_ECANCELED);
	call_fini(&call);
	backend_close(&b);
}

static void nobody_there_is_an_error(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct backend b;
	struct call call;

	CHECK(backend_open(&b, "\"base_url\":\"http://127.0.0.1:1/v1\"",
			   &err) == ATOM_OK);
	call_init(&call, &b, "{" MESSAGES "}", 0);
	call_run(&call);
	CHECK(call.status == ATOM_EIO && call.error.http_status == 0);
	call_fini(&call);
	backend_close(&b);
}

/* --- the whole -------------------------------------------------------------------------------------- */

static const struct tap_test tests[] = {
	TAP_TEST(bodies_are_spliced),
	TAP_TEST(streams_ask_for_usage),
	TAP_TEST(an_invoke_is_built),
	TAP_TEST(messages_are_replaced_when_the_host_has_others),
	TAP_TEST(heads_carry_what_is_configured),
	TAP_TEST(wrong_options_are_sentences),
	TAP_TEST(a_whole_answer_is_relayed_with_its_usage),
	TAP_TEST(what_is_no_completion_is_an_error),
	TAP_TEST(provider_errors_are_mapped),
	TAP_TEST(a_retry_date_counts_from_now),
	TAP_TEST(a_stream_is_relayed_chunk_by_chunk),
	TAP_TEST(lines_may_end_and_break_anywhere),
	TAP_TEST(broken_streams_are_never_successes),
	TAP_TEST(a_stream_cut_or_stalled_midway_is_an_error),
	TAP_TEST(a_stream_that_lingers_behind_done_is_complete),
	TAP_TEST(an_event_without_end_is_bounded),
	TAP_TEST(a_slow_client_loses_nothing),
	TAP_TEST(cancelling_closes_the_connection),
	TAP_TEST(nobody_there_is_an_error),
};

static void *drive(void *argument)
{
	(void)argument;
	(void)tap_main(tests, ARRAY_SIZE(tests));
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

int main(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	pthread_t driver;

	open_plugin();
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(loops_serving()) == ATOM_OK);
	CHECK(host_register_basic() == ATOM_OK);
	CHECK(http_client_register(&err) == ATOM_OK);
	CHECK(host_register(ATOM_BACKEND_HOST, &backend_host) == ATOM_OK);
	CHECK(host_for_tests("backend/openai", &host) == ATOM_OK);
	upstream_start(&upstream, answer);
	CHECK(loops_start(&err) == ATOM_OK);
	CHECK(pthread_create(&driver, NULL, drive, NULL) == 0);
	loops_run_control();
	CHECK(pthread_join(driver, NULL) == 0);
	loops_fini();
	upstream_stop(&upstream);
	host_for_tests_free(&host);
	metric_fini();
	return 0;
}
