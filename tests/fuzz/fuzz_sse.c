/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a provider's stream of server-sent events.  The first byte
 * chooses how the rest is cut: the events must be those of the whole, and
 * those that a reader finds who has all lines before him.
 */
#include "pieces.h"

#include "core/buffer.h"
#include "plugins/backend/openai/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void put(struct buffer *out, const void *bytes, size_t length)
{
	if (buffer_append(out, bytes, length) != ATOM_OK)
		abort();
}

static void put_event(struct buffer *out, const char *data, size_t length,
		      int is_error)
{
	put(out, is_error ? "E" : "e", 1);
	put(out, &length, sizeof(length));
	put(out, data, length);
}

/* --- the reader under test -------------------------------------------------- */

static void read_pieces(struct pieces pieces, struct buffer *out)
{
	struct sse sse;
	struct sse_event event;
	enum sse_result result = SSE_MORE;
	size_t length;
	const char *at;

	sse_init(&sse);
	while (result == SSE_MORE &&
	       (at = pieces_next(&pieces, &length)) != NULL) {
		const char *end = at + length;

		while ((result = sse_next(&sse, &at, end, &event)) == SSE_EVENT)
			put_event(out, event.bytes, event.length,
				  event.is_error);
		if (result == SSE_MORE && at != end)
			abort();
	}
	free(pieces.piece);
	if (result != SSE_MORE)
		abort(); /* no input is that long */
	if (sse_end(&sse, &event) == SSE_EVENT)
		put_event(out, event.bytes, event.length, event.is_error);
	sse_fini(&sse);
}

/* --- one that has it all ------------------------------------------------------ */

struct plain {
	struct buffer data;
	int has_data;
	int is_error;
};

static void plain_end(struct plain *p, struct buffer *out)
{
	if (p->has_data)
		put_event(out, p->data.bytes, p->data.length, p->is_error);
	buffer_clear(&p->data);
	p->has_data = p->is_error = 0;
}

static void plain_line(struct plain *p, const char *line, size_t length)
{
	size_t name = 0, value;

	while (name < length && line[name] != ':')
		name++;
	value = name < length ? name + 1 : length;
	if (value < length && line[value] == ' ')
		value++;
	if (name == 4 && memcmp(line, "data", 4) == 0) {
		if (p->has_data)
			put(&p->data, "\n", 1);
		p->has_data = 1;
		put(&p->data, line + value, length - value);
	} else if (name == 5 && memcmp(line, "event", 5) == 0) {
		p->is_error = length - value == 5 &&
			      memcmp(line + value, "error", 5) == 0;
	}
}

static void read_plain(const char *text, size_t size, struct buffer *out)
{
	struct plain p = { .data = BUFFER_INIT(SIZE_MAX) };
	size_t at = 0;

	while (at < size) {
		size_t end = at;

		while (end < size && text[end] != '\r' && text[end] != '\n')
			end++;
		if (at == 0 && end >= 3 &&
		    memcmp(text, "\xef\xbb\xbf", 3) == 0 && end < size)
			at = 3;
		if (end > at)
			plain_line(&p, text + at, end - at);
		else if (end < size)
			plain_end(&p, out);
		at = end + 1;
		if (at < size && text[end] == '\r' && text[at] == '\n')
			at++;
	}
	plain_end(&p, out);
	buffer_fini(&p.data);
}

/* --- both ---------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct buffer whole = BUFFER_INIT(SIZE_MAX);
	struct buffer cut = BUFFER_INIT(SIZE_MAX);
	struct buffer plain = BUFFER_INIT(SIZE_MAX);

	if (size == 0 || size > SSE_EVENT_MAX)
		return 0;
	read_pieces(pieces_of(bytes + 1, size - 1, 0), &whole);
	read_pieces(pieces_of(bytes + 1, size - 1, bytes[0]), &cut);
	read_plain((const char *)bytes + 1, size - 1, &plain);
	if (whole.length != cut.length || whole.length != plain.length ||
	    (whole.length > 0 &&
	     (memcmp(whole.bytes, cut.bytes, whole.length) != 0 ||
	      memcmp(whole.bytes, plain.bytes, whole.length) != 0)))
		abort();
	buffer_fini(&whole);
	buffer_fini(&cut);
	buffer_fini(&plain);
	return 0;
}
