/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

/*
 * HTTP/1.1 messages (RFC 9110, RFC 9112), read strictly from a buffer that
 * the caller owns: requests for the server, responses for the client.
 *
 * Nothing here allocates, blocks or keeps a pointer of its own. The head
 * parser is called again with the same, longer buffer until it has the empty
 * line; it takes up where it stopped and refuses a bad line as soon as the
 * line is complete. The chunk decoder consumes what it is given and hands
 * back runs of payload inside that same buffer, without copying.
 *
 * Where the RFC lets a recipient guess, this parser refuses: two parsers that
 * guess differently are how requests are smuggled. Refused are a bare CR or
 * LF, folded lines, a space before the colon, control bytes, a missing or
 * second Host, Content-Length that is repeated, a list or beside
 * Transfer-Encoding, and any transfer coding but "chunked".
 *
 * Thread: any; the structs have no hidden state.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HTTP_FIELDS_MAX	  100
#define HTTP_HEAD_BYTES	  16384 /* the server's limit on a whole head */
#define HTTP_HEAD_CEILING 65535 /* spans are 16 bits wide */

enum http_parse {
	HTTP_PARSE_MORE, /* sound so far, but not complete */
	HTTP_PARSE_DONE,
	HTTP_PARSE_REFUSED, /* see refusal and why */
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_PATCH,
	HTTP_DELETE,
	HTTP_OPTIONS,
};

/* How the end of the body is found, RFC 9112 section 6.3. */
enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

/* Bytes in the caller's buffer; never terminated by a NUL. */
struct http_text {
	const char *at;
	size_t len;
};

/* The same, as offsets from the first byte of the head. */
struct http_span {
	uint16_t at;
	uint16_t len;
};

struct http_field {
	struct http_span name;
	struct http_span value; /* without white space around it */
};

struct http_head {
	const char *text; /* the buffer; when it moves, set this anew */
	uint32_t size;	  /* of the whole head with its empty line, once done */
	bool response;
	uint8_t minor;	 /* the 0 or 1 of HTTP/1.x; later minors read as 1 */
	uint8_t method;	 /* enum http_method; responses: that of the request */
	uint8_t framing; /* enum http_framing */
	bool keep_alive; /* the sender's wish for this connection */
	bool expect_continue;
	uint16_t status; /* responses only */
	uint16_t n_fields;
	uint64_t content_length; /* with HTTP_BODY_LENGTH */
	struct http_span target; /* as sent */
	struct http_span path;	 /* use http_head_path() */
	struct http_span query;	 /* behind the "?" */
	struct http_span host;	 /* of an absolute target, else of Host */
	struct http_span reason; /* responses only */

	/* Set when refused. */
	uint16_t refusal; /* the status to answer with; responses: 502 */
	const char *why;  /* a short phrase, static */

	/* The parser's progress. */
	uint16_t fields_max;
	uint16_t seen;
	uint32_t size_max;
	uint32_t line;	  /* where the line being read begins */
	uint32_t scanned; /* no line feed before this */

	struct http_field fields[HTTP_FIELDS_MAX];
};

/*
 * Begins a head. size_max is bounded by HTTP_HEAD_CEILING. For a response,
 * method is the one of the request it answers: it decides the framing.
 */
void http_head_init_request(struct http_head *head, uint32_t size_max);
void http_head_init_response(struct http_head *head, enum http_method method,
			     uint32_t size_max);

/*
 * Reads on. text is the message from its first byte, len what has arrived,
 * never less than before. Bytes behind the head are left alone; it ends at
 * text + head->size. One empty line before a request is skipped (RFC 9112
 * section 2.2) and counted into the size.
 */
enum http_parse http_head_parse(struct http_head *head, const char *text,
				size_t len);

static inline struct http_text http_head_text(const struct http_head *head,
					      struct http_span span)
{
	return (struct http_text){ head->text + span.at, span.len };
}

/* The path of the target; "/" for an absolute target that has none. */
static inline struct http_text http_head_path(const struct http_head *head)
{
	return head->path.len ? http_head_text(head, head->path)
			      : (struct http_text){ "/", 1 };
}

/*
 * Looks a field up, in any case. Answers how often it occurs and gives the
 * first value; value is not touched when it does not occur.
 */
unsigned http_head_find(const struct http_head *head, const char *name,
			size_t name_len, struct http_text *value);

static inline unsigned http_head_field(const struct http_head *head,
				       const char *name,
				       struct http_text *value)
{
	return http_head_find(head, name, strlen(name), value);
}

/* Is the text this word, in any case of its ASCII letters? */
bool http_text_is(struct http_text text, const char *word);

/*
 * Takes the next element off a comma-separated list, without white space
 * around it; empty elements are skipped. False at the end of the list.
 */
bool http_list_next(struct http_text *list, struct http_text *element);

/* The word of the request line, "GET"; never NULL for a legal value. */
const char *http_method_name(enum http_method method);

/* The phrase of RFC 9110 section 15 ("Not Found"); "" for an unknown code. */
const char *http_status_phrase(unsigned status);

/* Bounds of what a peer may put round the payload of one chunked body. */
#define HTTP_CHUNK_EXTENSION_BYTES 4096
#define HTTP_TRAILER_BYTES	   4096
#define HTTP_TRAILER_FIELDS	   32

/* The decoder of one chunked body; all zero is its beginning. */
struct http_chunked {
	uint64_t left;		  /* of the chunk's size, payload to come */
	uint32_t extension_bytes; /* so far, all chunks together */
	uint32_t trailer_bytes;
	uint16_t trailer_fields;
	uint8_t digits;
	uint8_t state;
	const char *why; /* set when refused: a short phrase, static */
};

/*
 * Decodes from text: *used bytes are consumed, and payload is one run of body
 * bytes among them (len 0: none). MORE: call again with what follows; unless
 * a run was found, all of text is consumed. DONE: the body and its trailer
 * are complete; the next message begins at text + *used. Trailer fields are
 * checked and dropped.
 */
enum http_parse http_chunked_next(struct http_chunked *chunked,
				  const char *text, size_t len, size_t *used,
				  struct http_text *payload);

#endif
