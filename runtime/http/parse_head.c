/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a message, line by line: its fields, and what they say together
 * about the framing of the body. parse.h tells the rules.
 *
 * A line is looked at only when its line feed has come, so every byte is
 * looked at twice at most: by memchr and by the check of its line.
 */
#include "http/parse_priv.h"

enum http_parse http_refuse(struct http_head *head, unsigned status,
			    const char *why)
{
	head->refusal = (uint16_t)(head->response ? 502 : status);
	head->why = why;
	return HTTP_PARSE_REFUSED;
}

static void head_init(struct http_head *head, uint32_t size_max)
{
	memset(head, 0, offsetof(struct http_head, fields));
	head->size_max =
		size_max < HTTP_HEAD_CEILING ? size_max : HTTP_HEAD_CEILING;
	head->fields_max = HTTP_FIELDS_MAX;
}

void http_head_init_request(struct http_head *head, uint32_t size_max)
{
	head_init(head, size_max);
}

void http_head_init_response(struct http_head *head, enum http_method method,
			     uint32_t size_max)
{
	head_init(head, size_max);
	head->response = true;
	head->method = (uint8_t)method;
}

static enum http_parse content_length(struct http_head *head,
				      struct http_text value)
{
	uint64_t length = 0;

	if (head->seen & HTTP_SEEN_LENGTH)
		return http_refuse(head, 400, "more than one Content-Length");
	if (value.len == 0 || value.len > 18)
		return http_refuse(head, 400, "bad Content-Length");
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return http_refuse(head, 400, "bad Content-Length");
		length = length * 10 + (uint64_t)(value.at[i] - '0');
	}
	head->content_length = length;
	head->seen |= HTTP_SEEN_LENGTH;
	return HTTP_PARSE_DONE;
}

/*
 * RFC 9112 section 6.1: a coding that we do not know is 501, a list in which
 * "chunked" is not last, or stands twice, has no end that two recipients
 * would agree on.
 */
static enum http_parse transfer_encoding(struct http_head *head,
					 struct http_text value)
{
	struct http_text list = value, coding;
	bool chunked = false;

	if (head->seen & HTTP_SEEN_CODING)
		return http_refuse(head, 400,
				   "more than one Transfer-Encoding");
	head->seen |= HTTP_SEEN_CODING;
	if (http_text_is(value, "chunked"))
		return HTTP_PARSE_DONE;
	while (http_list_next(&list, &coding)) {
		if (chunked || !http_all_of(coding.at, coding.len, HTTP_TOK))
			return http_refuse(head, 400, "bad Transfer-Encoding");
		chunked = http_text_is(coding, "chunked");
	}
	if (!chunked)
		return http_refuse(head, 400, "bad Transfer-Encoding");
	return http_refuse(head, 501, "transfer coding not implemented");
}

static enum http_parse field_host(struct http_head *head,
				  struct http_span value)
{
	if (head->seen & HTTP_SEEN_HOST)
		return http_refuse(head, 400, "more than one Host");
	if (!http_host_ok(head->text + value.at, value.len))
		return http_refuse(head, 400, "bad Host");
	head->seen |= HTTP_SEEN_HOST;
	if (!(head->seen & HTTP_SEEN_ABSOLUTE))
		head->host = value;
	return HTTP_PARSE_DONE;
}

/* The fields that the framing depends on, told apart by their length. */
static enum http_parse field_known(struct http_head *head,
				   const struct http_field *field)
{
	struct http_text name = http_head_text(head, field->name);
	struct http_text value = http_head_text(head, field->value);
	struct http_text token;

	switch (name.len) {
	case 4:
		if (!head->response && http_text_is(name, "host"))
			return field_host(head, field->value);
		break;
	case 6:
		if (head->response || !http_text_is(name, "expect"))
			break;
		if (!http_text_is(value, "100-continue"))
			return http_refuse(head, 417, "unknown expectation");
		head->expect_continue = true;
		break;
	case 10:
		if (!http_text_is(name, "connection"))
			break;
		while (http_list_next(&value, &token)) {
			if (http_text_is(token, "close"))
				head->seen |= HTTP_SEEN_CLOSE;
			else if (http_text_is(token, "keep-alive"))
				head->seen |= HTTP_SEEN_KEEP_ALIVE;
		}
		break;
	case 14:
		if (http_text_is(name, "content-length"))
			return content_length(head, value);
		break;
	case 17:
		if (http_text_is(name, "transfer-encoding"))
			return transfer_encoding(head, value);
		break;
	default:
		break;
	}
	return HTTP_PARSE_DONE;
}

/* Why a line whose name ends at line[i] is no field line. */
static const char *bad_name(const char *line, size_t len, size_t i)
{
	if (i == len)
		return "field line without a colon";
	if (line[i] != ' ' && line[i] != '\t')
		return "bad field name";
	return i ? "white space in a field name" : "folded field line";
}

static enum http_parse field_line(struct http_head *head, const char *line,
				  size_t len)
{
	struct http_field *field = &head->fields[head->n_fields];
	struct http_text value;
	size_t i = 0;

	if (head->n_fields >= head->fields_max)
		return http_refuse(head, 431, "too many fields");
	while (i < len && http_class[(unsigned char)line[i]] & HTTP_TOK)
		i++;
	if (i == 0 || i == len || line[i] != ':')
		return http_refuse(head, 400, bad_name(line, len, i));
	value = http_trim((struct http_text){ line + i + 1, len - i - 1 });
	if (!http_is_printable(value.at, value.len))
		return http_refuse(head, 400, "control character in a field");
	field->name = http_span_of(head, line, i);
	field->value = http_span_of(head, value.at, value.len);
	head->n_fields++;
	return field_known(head, field);
}

/* All lines are in: what they say together. */
static enum http_parse head_end(struct http_head *head)
{
	bool coding = head->seen & HTTP_SEEN_CODING;
	bool length = head->seen & HTTP_SEEN_LENGTH;

	if (coding && length)
		return http_refuse(head, 400,
				   "both Content-Length and Transfer-Encoding");
	if (coding && head->minor == 0)
		return http_refuse(head, 400, "Transfer-Encoding in HTTP/1.0");
	if (!head->response && head->minor && !(head->seen & HTTP_SEEN_HOST))
		return http_refuse(head, 400, "Host missing");
	if (head->minor == 0)
		head->expect_continue = false;
	head->keep_alive = !(head->seen & HTTP_SEEN_CLOSE) &&
			   (head->minor || head->seen & HTTP_SEEN_KEEP_ALIVE);
	if (head->response &&
	    (head->method == HTTP_HEAD || head->status < 200 ||
	     head->status == 204 || head->status == 304))
		head->framing = HTTP_BODY_NONE;
	else if (coding)
		head->framing = HTTP_BODY_CHUNKED;
	else if (length)
		head->framing = HTTP_BODY_LENGTH;
	else if (head->response)
		head->framing = HTTP_BODY_UNTIL_CLOSE;
	if (head->framing == HTTP_BODY_UNTIL_CLOSE)
		head->keep_alive = false;
	return HTTP_PARSE_DONE;
}

/* One line without its end; DONE here means only that the line is sound. */
static enum http_parse head_line(struct http_head *head, const char *line,
				 size_t len)
{
	if (head->seen & HTTP_SEEN_FIRST_LINE)
		return field_line(head, line, len);
	head->seen |= HTTP_SEEN_FIRST_LINE;
	return head->response ? http_status_line(head, line, len)
			      : http_request_line(head, line, len);
}

static enum http_parse too_long(struct http_head *head)
{
	if (head->seen & HTTP_SEEN_FIRST_LINE)
		return http_refuse(head, 431, "head too large");
	return http_refuse(head, 414, "request line too long");
}

/*
 * The first byte of an opening line already tells a TLS hello, or any other
 * protocol, from HTTP; such a peer should not wait for the head's deadline.
 */
static enum http_parse first_byte(struct http_head *head, unsigned char c)
{
	if (http_class[c] & HTTP_TOK || c == '\r')
		return HTTP_PARSE_MORE;
	if (c == 0x16)
		return http_refuse(head, 400, "TLS on a plain HTTP port");
	return http_refuse(head, 400,
			   c == '\n' ? "bare LF" : "bad request line");
}

enum http_parse http_head_parse(struct http_head *head, const char *text,
				size_t len)
{
	size_t limit = len < head->size_max ? len : head->size_max;

	head->text = text;
	if (len && head->scanned == 0 &&
	    first_byte(head, (unsigned char)text[0]) == HTTP_PARSE_REFUSED)
		return HTTP_PARSE_REFUSED;
	for (;;) {
		const char *line = text + head->line;
		const char *feed = memchr(text + head->scanned, '\n',
					  limit - head->scanned);
		size_t line_len;

		if (!feed) {
			head->scanned = (uint32_t)limit;
			return len < head->size_max ? HTTP_PARSE_MORE
						    : too_long(head);
		}
		head->scanned = (uint32_t)(feed + 1 - text);
		if (feed == line || feed[-1] != '\r')
			return http_refuse(head, 400, "bare LF");
		line_len = (size_t)(feed - 1 - line);
		head->line = head->scanned;
		if (line_len) {
			if (head_line(head, line, line_len) ==
			    HTTP_PARSE_REFUSED)
				return HTTP_PARSE_REFUSED;
			continue;
		}
		if (head->seen & HTTP_SEEN_FIRST_LINE) {
			head->size = head->scanned;
			return head_end(head);
		}
		if (head->response || head->seen & HTTP_SEEN_EMPTY_LINE)
			return http_refuse(head, 400,
					   "empty line before the head");
		head->seen |= HTTP_SEEN_EMPTY_LINE;
	}
}

unsigned http_head_find(const struct http_head *head, const char *name,
			size_t name_len, struct http_text *value)
{
	unsigned n = 0;

	for (unsigned i = 0; i < head->n_fields; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->name.len != name_len ||
		    !http_text_is(http_head_text(head, field->name), name))
			continue;
		if (n++ == 0)
			*value = http_head_text(head, field->value);
	}
	return n;
}
