/* SPDX-License-Identifier: Apache-2.0 */
#include "sse.h"

#include <string.h>

void sse_init(struct sse *sse)
{
	*sse = (struct sse){ 0 };
	bytes_init(&sse->line, SSE_EVENT_MAX);
	bytes_init(&sse->data, SSE_EVENT_MAX);
}

void sse_fini(struct sse *sse)
{
	bytes_fini(&sse->line);
	bytes_fini(&sse->data);
}

static enum sse_result result_of(atom_status status)
{
	if (status == ATOM_OK)
		return SSE_MORE;
	return status == ATOM_ELIMIT ? SSE_LONG : SSE_NO_MEMORY;
}

static void forget(struct sse *sse)
{
	bytes_clear(&sse->data);
	sse->direct = NULL;
	sse->direct_length = 0;
	sse->has_data = sse->is_error = sse->told = 0;
}

/* Data that lies in the caller's bytes becomes our own. */
static atom_status keep(struct sse *sse)
{
	atom_status status;

	if (sse->direct == NULL)
		return ATOM_OK;
	status = bytes_append(&sse->data, sse->direct, sse->direct_length);
	sse->direct = NULL;
	return status;
}

static atom_status add_data(struct sse *sse, const char *bytes, size_t length,
			    int in_place)
{
	atom_status status = ATOM_OK;

	if (!sse->has_data && in_place) {
		sse->has_data = 1;
		sse->direct = bytes;
		sse->direct_length = length;
		return ATOM_OK;
	}
	if (sse->has_data) {
		status = keep(sse);
		if (status == ATOM_OK)
			status = bytes_append(&sse->data, "\n", 1);
	}
	sse->has_data = 1;
	if (status == ATOM_OK)
		status = bytes_append(&sse->data, bytes, length);
	return status;
}

/* A line that is not empty.  `in_place`: it lies in the caller's bytes. */
static atom_status add_line(struct sse *sse, const char *line, size_t length,
			    int in_place)
{
	const char *colon = memchr(line, ':', length);
	size_t name = colon != NULL ? (size_t)(colon - line) : length;
	const char *value = colon != NULL ? colon + 1 : line + length;
	size_t value_length = (size_t)(line + length - value);

	if (value_length > 0 && *value == ' ') {
		value++;
		value_length--;
	}
	if (name == 4 && memcmp(line, "data", 4) == 0)
		return add_data(sse, value, value_length, in_place);
	if (name == 5 && memcmp(line, "event", 5) == 0)
		sse->is_error =
			value_length == 5 && memcmp(value, "error", 5) == 0;
	return ATOM_OK;
}

/* The event is complete; without data it is none. */
static int end_event(struct sse *sse, struct sse_event *event_r)
{
	if (!sse->has_data) {
		forget(sse);
		return 0;
	}
	*event_r = (struct sse_event){
		.bytes = sse->direct != NULL ? sse->direct : sse->data.at,
		.length = sse->direct != NULL ? sse->direct_length
					      : sse->data.length,
		.is_error = sse->is_error,
	};
	sse->told = 1;
	return 1;
}

/* The first line end of [at, end), or NULL. */
static const char *line_end(const char *at, const char *end)
{
	const char *lf = memchr(at, '\n', (size_t)(end - at));
	const char *cr =
		memchr(at, '\r', (size_t)((lf != NULL ? lf : end) - at));

	return cr != NULL ? cr : lf;
}

static void skip_mark(struct sse *sse, const char **line, size_t *length)
{
	if (!sse->begun && *length >= 3 &&
	    memcmp(*line, "\xef\xbb\xbf", 3) == 0) {
		*line += 3;
		*length -= 3;
	}
	sse->begun = 1;
}

enum sse_result sse_next(struct sse *sse, const char **at, const char *end,
			 struct sse_event *event_r)
{
	atom_status status = ATOM_OK;

	if (sse->told)
		forget(sse);
	while (*at < end && status == ATOM_OK) {
		const char *line = *at, *stop;
		size_t length;
		int in_place = sse->line.length == 0;

		if (sse->after_cr && *line == '\n') {
			sse->after_cr = 0;
			*at += 1;
			continue;
		}
		sse->after_cr = 0;
		stop = line_end(line, end);
		length = (size_t)((stop != NULL ? stop : end) - line);
		if (stop == NULL || !in_place) {
			status = bytes_append(&sse->line, line, length);
			line = sse->line.at;
			length = sse->line.length;
		}
		*at = stop != NULL ? stop + 1 : end;
		if (stop == NULL || status != ATOM_OK)
			continue;
		sse->after_cr = *stop == '\r';
		skip_mark(sse, &line, &length);
		if (length > 0)
			status = add_line(sse, line, length, in_place);
		if (!in_place)
			bytes_clear(&sse->line);
		if (length == 0 && end_event(sse, event_r))
			return SSE_EVENT;
	}
	if (status == ATOM_OK)
		status = keep(sse);
	return result_of(status);
}

enum sse_result sse_end(struct sse *sse, struct sse_event *event_r)
{
	atom_status status = ATOM_OK;

	if (sse->told)
		forget(sse);
	if (sse->line.length > 0)
		status = add_line(sse, sse->line.at, sse->line.length, 0);
	bytes_clear(&sse->line);
	if (status != ATOM_OK)
		return result_of(status);
	return end_event(sse, event_r) ? SSE_EVENT : SSE_MORE;
}
