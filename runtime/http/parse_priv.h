/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PARSE_PRIV_H
#define HTTP_PARSE_PRIV_H

/*
 * What the files of the HTTP parser share. Nobody else includes this.
 */

#include "http/parse.h"

/* Classes of bytes. */
#define HTTP_TOK   1  /* RFC 9110 tchar */
#define HTTP_PATH  2  /* RFC 3986 pchar and "/", without "%" */
#define HTTP_QUERY 4  /* what URL parsers of browsers leave as it is */
#define HTTP_HOST  8  /* of a name or an IPv4 address */
#define HTTP_IP6   16 /* within brackets */

extern const unsigned char http_class[256];

static inline bool http_is_token(char c)
{
	return http_class[(unsigned char)c] & HTTP_TOK;
}

bool http_all_of(const char *text, size_t len, unsigned char class);

/* No control bytes but tabs: field-content of RFC 9110 section 5.5. */
bool http_is_printable(const char *text, size_t len);

struct http_text http_trim(struct http_text text);

/* A host with an optional port. */
bool http_host_ok(const char *text, size_t len);

/* What a head has shown so far (http_head.seen). */
enum {
	HTTP_SEEN_HOST = 1,
	HTTP_SEEN_LENGTH = 2,
	HTTP_SEEN_CODING = 4,
	HTTP_SEEN_CLOSE = 8,
	HTTP_SEEN_KEEP_ALIVE = 16,
	HTTP_SEEN_EMPTY_LINE = 32,
	HTTP_SEEN_FIRST_LINE = 64,
	HTTP_SEEN_ABSOLUTE = 128,
};

/* Refuses the head; always HTTP_PARSE_REFUSED. */
enum http_parse http_refuse(struct http_head *head, unsigned status,
			    const char *why);

static inline struct http_span http_span_of(const struct http_head *head,
					    const char *at, size_t len)
{
	return (struct http_span){ (uint16_t)(at - head->text), (uint16_t)len };
}

/* The first line, without its end. DONE means only that it is sound. */
enum http_parse http_request_line(struct http_head *head, const char *line,
				  size_t len);
enum http_parse http_status_line(struct http_head *head, const char *line,
				 size_t len);

#endif
