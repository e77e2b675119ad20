/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the head of a request or a response.  The first byte chooses
 * which, and where the message is split: the verdict must not depend on that,
 * and every span must lie within the head.
 */
#include <stdlib.h>
#include <string.h>

#include "http/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void init(struct http_head *head, uint8_t mode)
{
	if (mode & 1)
		http_head_init_response(head, mode & 2 ? HTTP_HEAD : HTTP_POST,
					4096);
	else
		http_head_init_request(head, 4096);
}

static void check_span(const struct http_head *head, struct http_span span)
{
	if ((uint32_t)span.at + span.len > head->size)
		abort();
}

static void check_sound(const struct http_head *head, size_t size)
{
	struct http_text list, element, value;

	if (head->size > size || head->size < 4)
		abort();
	check_span(head, head->target);
	check_span(head, head->path);
	check_span(head, head->query);
	check_span(head, head->host);
	check_span(head, head->reason);
	for (unsigned i = 0; i < head->n_fields; i++) {
		check_span(head, head->fields[i].name);
		check_span(head, head->fields[i].value);
		list = http_head_text(head, head->fields[i].value);
		if (memchr(list.at, '\r', list.len) ||
		    memchr(list.at, '\n', list.len) ||
		    memchr(list.at, '\0', list.len))
			abort();
		while (http_list_next(&list, &element))
			if (element.len == 0)
				abort();
	}
	if (http_head_field(head, "content-length", &value) > 1 ||
	    (!head->response && http_head_field(head, "host", &value) > 1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct http_head whole, split;
	enum http_parse at_once, in_two;
	const char *text = (const char *)bytes + 1;
	size_t first;

	if (size < 2)
		return 0;
	size--;
	init(&whole, bytes[0]);
	at_once = http_head_parse(&whole, text, size);
	if (at_once == HTTP_PARSE_DONE)
		check_sound(&whole, size);
	if (at_once == HTTP_PARSE_REFUSED && (!whole.why || !whole.refusal))
		abort();

	init(&split, bytes[0]);
	first = (size_t)(bytes[0] >> 2) * size / 64;
	in_two = http_head_parse(&split, text, first);
	if (in_two == HTTP_PARSE_MORE)
		in_two = http_head_parse(&split, text, size);
	if (at_once != in_two || whole.refusal != split.refusal ||
	    whole.n_fields != split.n_fields || whole.size != split.size)
		abort();
	return 0;
}
