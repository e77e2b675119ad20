/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the answer to a request of the lean HTTP client, at once and in
 * steps of the first byte's size: how it ends, its status and its body must be
 * the same, and a field of the head that is asked for is text.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "http/client.h"
#include "http/client_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define ANSWER_MAX 1000

struct outcome {
	bool ended;
	atom_status status;
	int32_t http_status;
	size_t length;
	uint64_t sum;
};

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct outcome *o = argument;
	const char *value = http_client_service()->header(transfer, "a");

	if (o->http_status != 0 || status < 200)
		abort();
	if (value != NULL && strpbrk(value, "\r\n") != NULL)
		abort();
	o->http_status = status;
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	struct outcome *o = argument;

	(void)transfer;
	if (o->http_status == 0 || length == 0 ||
	    length > ANSWER_MAX - o->length)
		abort();
	for (size_t i = 0; i < length; i++)
		o->sum = o->sum * 31 + (unsigned char)bytes[i];
	o->length += length;
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct outcome *o = argument;

	(void)request_sent;
	if (o->ended || (status != ATOM_OK && error->message[0] == '\0'))
		abort();
	o->ended = true;
	o->status = status;
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

/* No connection: the bytes are handed to the reader by us. */
static int no_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	errno = EMFILE;
	return -1;
}

static void set_up(void)
{
	static bool done;
	struct atom_error err = ATOM_ERROR_INIT;

	if (done)
		return;
	done = true;
	os.socket = no_socket;
	if (loops_init(1, &err) != ATOM_OK ||
	    metric_init(loops_serving()) != ATOM_OK ||
	    http_client_register(&err) != ATOM_OK)
		abort();
}

static struct outcome answer(const char *method, const char *bytes, size_t size,
			     size_t step)
{
	const struct atom_http_request request = {
		.struct_size = sizeof(request),
		.method = method,
		.url = "http://192.0.2.1/",
		.answer_max = ANSWER_MAX,
	};
	const struct atom_http *http = http_client_service();
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_http_transfer *t;
	struct outcome o = { 0 };

	if (http->start(NULL, &request, &events, &o, &t, &err) != ATOM_OK)
		abort();
	while (size > 0 && !o.ended) {
		size_t given = size < step ? size : step;
		/* The reader's buffer ends here, for sanitizers to see. */
		char *piece = malloc(given);

		if (piece == NULL)
			abort();
		memcpy(piece, bytes, given);
		lean_take(t, piece, given);
		free(piece);
		bytes += given;
		size -= given;
	}
	if (!o.ended) {
		http->cancel(t);
		o.status = ATOM_ECANCELED;
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct outcome at_once, in_steps;
	const char *method, *text = (const char *)bytes + 1;

	set_up();
	if (size < 2)
		return 0;
	method = (bytes[0] & 128) != 0 ? "HEAD" : "GET";
	at_once = answer(method, text, size - 1, size);
	in_steps = answer(method, text, size - 1, 1 + (bytes[0] & 15));
	if (at_once.status != in_steps.status ||
	    at_once.http_status != in_steps.http_status)
		abort();
	/* What is too long is refused in pieces as they come. */
	if (at_once.status != ATOM_ELIMIT &&
	    (at_once.length != in_steps.length || at_once.sum != in_steps.sum))
		abort();
	return 0;
}
