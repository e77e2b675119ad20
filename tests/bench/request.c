/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 1024

bool request_init(struct request *r, uint16_t port, const char *path,
		  const char *key, const struct shape *shape, size_t body_size)
{
	size_t number_at;
	char *body =
		question_new(shape, body_size, &r->body_length, &number_at);
	struct answer answer;
	bool ready = false;
	int head;

	r->bytes = malloc(HEAD_MAX + body_size);
	if (body == NULL || r->bytes == NULL) {
		fprintf(stderr, "load: a body of %zu bytes is too small\n",
			body_size);
		goto out;
	}
	head = snprintf(r->bytes, HEAD_MAX,
			"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
			"%s%s%sContent-Type: application/json\r\n"
			"Content-Length: %zu\r\n\r\n",
			path, port, key != NULL ? "Authorization: Bearer " : "",
			key != NULL ? key : "", key != NULL ? "\r\n" : "",
			r->body_length);
	if (head < 0 || head >= HEAD_MAX) {
		fprintf(stderr, "load: path and key are too long\n");
		goto out;
	}
	r->body = r->bytes + head;
	memcpy(r->body, body, r->body_length);
	r->number = r->body + number_at;
	r->length = (size_t)head + r->body_length;
	r->text = question_text(r->body, r->body_length, &r->text_length);
	ready = question_read(r->body, r->body_length, &answer);
	if (!ready)
		fprintf(stderr, "load: the model would not read this\n");
out:
	free(body);
	return ready;
}

void request_fini(struct request *r)
{
	free(r->bytes);
	*r = (struct request){ 0 };
}

void request_number(struct request *r, uint64_t number)
{
	question_number(r->number, number);
}

void request_answer(const struct request *r, struct answer *answer_r)
{
	(void)question_read(r->body, r->body_length, answer_r);
}
