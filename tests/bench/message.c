/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void message_init(struct message *m)
{
	m->state = MESSAGE_START;
	m->chunked = m->has_length = m->close = m->event_stream = false;
	m->status = 0;
	m->left = m->body_bytes = 0;
	m->target[0] = '\0';
	m->line_length = 0;
}

static bool number(const char *text, int base, uint64_t *value_r)
{
	char *end;

	errno = 0;
	*value_r = strtoull(text, &end, base);
	/* A chunk's size may have extensions after it. */
	return errno == 0 && end != text && *text != '-' && *text != '+' &&
	       (*end == '\0' || *end == ';' || *end == ' ');
}

static bool first_line(struct message *m, const char *line)
{
	static const char version[] = "HTTP/1.1 ";
	const char *space = strchr(line, ' ');
	size_t length;

	m->state = MESSAGE_HEAD;
	if (strncmp(line, version, sizeof(version) - 1) == 0) {
		m->status = (int)strtol(line + sizeof(version) - 1, NULL, 10);
		return m->status >= 200 && m->status < 600;
	}
	space = space != NULL ? strchr(space + 1, ' ') : NULL;
	if (space == NULL || strncmp(space + 1, "HTTP/1.1", 8) != 0)
		return false;
	length = (size_t)(space - line);
	if (length >= sizeof(m->target))
		length = sizeof(m->target) - 1;
	memcpy(m->target, line, length);
	m->target[length] = '\0';
	return true;
}

static const char *field(const char *line, const char *name)
{
	size_t length = strlen(name);

	if (strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	line += length + 1;
	return line + strspn(line, " \t");
}

static bool head_line(struct message *m, const char *line)
{
	const char *value;

	if ((value = field(line, "content-length")) != NULL) {
		if (m->has_length)
			return false;
		m->has_length = true;
		return number(value, 10, &m->left);
	}
	if ((value = field(line, "transfer-encoding")) != NULL)
		m->chunked = strcasecmp(value, "chunked") == 0;
	else if ((value = field(line, "connection")) != NULL)
		m->close = strcasecmp(value, "close") == 0;
	else if ((value = field(line, "content-type")) != NULL)
		m->event_stream =
			strncasecmp(value, "text/event-stream", 17) == 0;
	return true;
}

static bool head_end(struct message *m)
{
	if (m->chunked && m->has_length)
		return false;
	if (m->chunked)
		m->state = MESSAGE_CHUNK_SIZE;
	else if (m->left > 0)
		m->state = MESSAGE_FIXED;
	else if (m->status == 0 || m->has_length)
		m->state = MESSAGE_DONE;
	else
		return false; /* an answer up to the connection's end */
	return true;
}

/* A line without its end, zero-terminated. */
static bool take_line(struct message *m, const char *line)
{
	switch (m->state) {
	case MESSAGE_START:
		return first_line(m, line);
	case MESSAGE_HEAD:
		return *line == '\0' ? head_end(m) : head_line(m, line);
	case MESSAGE_CHUNK_SIZE:
		m->state = MESSAGE_CHUNK;
		if (!number(line, 16, &m->left))
			return false;
		if (m->left == 0)
			m->state = MESSAGE_TRAILER;
		return true;
	case MESSAGE_CHUNK_END:
		m->state = MESSAGE_CHUNK_SIZE;
		return *line == '\0';
	case MESSAGE_TRAILER:
		if (*line == '\0')
			m->state = MESSAGE_DONE;
		return true;
	default:
		return false;
	}
}

/* Up to one line: it is kept until it is whole. */
static ssize_t take_part(struct message *m, const char *bytes, size_t length)
{
	const char *end = memchr(bytes, '\n', length);
	size_t part = end != NULL ? (size_t)(end - bytes) + 1 : length;

	if (part > sizeof(m->line) - m->line_length)
		return -1;
	memcpy(m->line + m->line_length, bytes, part);
	m->line_length += part;
	if (end == NULL)
		return (ssize_t)part;
	if (m->line_length < 2 || m->line[m->line_length - 2] != '\r')
		return -1;
	m->line[m->line_length - 2] = '\0';
	m->line_length = 0;
	return take_line(m, m->line) ? (ssize_t)part : -1;
}

static ssize_t take_body(struct message *m, const char *bytes, size_t length,
			 message_body *body, void *owner)
{
	if (length > m->left)
		length = (size_t)m->left;
	m->left -= length;
	m->body_bytes += length;
	if (m->left == 0)
		m->state = m->state == MESSAGE_CHUNK ? MESSAGE_CHUNK_END
						     : MESSAGE_DONE;
	return body(owner, bytes, length) ? (ssize_t)length : -1;
}

ssize_t message_take(struct message *m, const char *bytes, size_t length,
		     message_body *body, void *owner)
{
	size_t taken = 0;

	while (taken < length && m->state != MESSAGE_DONE) {
		bool inside =
			m->state == MESSAGE_FIXED || m->state == MESSAGE_CHUNK;
		ssize_t n =
			inside ? take_body(m, bytes + taken, length - taken,
					   body, owner)
			       : take_part(m, bytes + taken, length - taken);

		if (n < 0)
			return -1;
		taken += (size_t)n;
	}
	return (ssize_t)taken;
}
