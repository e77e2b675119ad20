/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP head parser against raw bytes: what is accepted, what is refused
 * with which status, and that a head read byte by byte means the same.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "http/parse.h"

#define H     "Host: a\r\n"
#define GET11 "GET / HTTP/1.1\r\n"

struct raw_case {
	const char *name;
	const char *text;
	size_t len;  /* 0: up to the NUL */
	int verdict; /* 0 sound, -1 more, else the status */
};

#define RAW(name, verdict, text)                      \
	{                                             \
		name, text, sizeof(text) - 1, verdict \
	}

/* clang-format off */
static const struct raw_case requests[] = {
	/* sound */
	RAW("plain get", 0, GET11 H "\r\n"),
	RAW("post with length", 0, "POST /v1/x HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"),
	RAW("zero length", 0, "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"),
	RAW("leading zeros in length", 0, "POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n"),
	RAW("chunked", 0, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
	RAW("chunked in capitals", 0, "POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: Chunked\r\n\r\n"),
	RAW("chunked with space around", 0, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \t chunked \t\r\n\r\n"),
	RAW("all methods: head", 0, "HEAD / HTTP/1.1\r\n" H "\r\n"),
	RAW("all methods: put", 0, "PUT / HTTP/1.1\r\n" H "\r\n"),
	RAW("all methods: patch", 0, "PATCH / HTTP/1.1\r\n" H "\r\n"),
	RAW("all methods: delete", 0, "DELETE / HTTP/1.1\r\n" H "\r\n"),
	RAW("all methods: options", 0, "OPTIONS / HTTP/1.1\r\n" H "\r\n"),
	RAW("options asterisk", 0, "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute form", 0, "GET http://b:80/p?q HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute form https", 0, "GET HTTPS://b/p HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute form without path", 0, "GET http://b HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute form with query only", 0, "GET http://b?x HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute form ipv6", 0, "GET http://[::1]:8/ HTTP/1.1\r\n" H "\r\n"),
	RAW("http 1.0 without host", 0, "GET / HTTP/1.0\r\n\r\n"),
	RAW("http 1.0 with host", 0, "GET / HTTP/1.0\r\n" H "\r\n"),
	RAW("later minor version", 0, "GET / HTTP/1.7\r\n" H "\r\n"),
	RAW("one empty line first", 0, "\r\n" GET11 H "\r\n"),
	RAW("no space after colon", 0, GET11 "Host:a\r\n\r\n"),
	RAW("empty value", 0, GET11 H "X:\r\n\r\n"),
	RAW("value of white space", 0, GET11 H "X: \t \r\n\r\n"),
	RAW("tab within value", 0, GET11 H "X: a\tb\r\n\r\n"),
	RAW("obs-text in value", 0, GET11 H "X: \xc3\xa9\xff\r\n\r\n"),
	RAW("colon in value", 0, GET11 H "X: a:b:c\r\n\r\n"),
	RAW("all token characters", 0, GET11 H "!#$%&'*+-.^_`|~09azAZ: v\r\n\r\n"),
	RAW("host with port", 0, GET11 "Host: a.b-c_d:8080\r\n\r\n"),
	RAW("host with empty port", 0, GET11 "Host: a:\r\n\r\n"),
	RAW("host ipv6", 0, GET11 "Host: [2001:db8::1]:443\r\n\r\n"),
	RAW("host ipv4", 0, GET11 "hOsT: 127.0.0.1\r\n\r\n"),
	RAW("percent in path", 0, "GET /a%20b%C3%A9 HTTP/1.1\r\n" H "\r\n"),
	RAW("percent of a line feed", 0, "GET /%0a HTTP/1.1\r\n" H "\r\n"),
	RAW("sub-delims in path", 0, "GET /!$&'()*+,;=:@-._~ HTTP/1.1\r\n" H "\r\n"),
	RAW("double slash", 0, "GET //a//b HTTP/1.1\r\n" H "\r\n"),
	RAW("query as browsers send it", 0, "GET /?a[]={b}|c^`\\%zz HTTP/1.1\r\n" H "\r\n"),
	RAW("question mark in query", 0, "GET /?a?b/c HTTP/1.1\r\n" H "\r\n"),
	RAW("empty query", 0, "GET /? HTTP/1.1\r\n" H "\r\n"),
	RAW("other names as long as those that frame", 0, GET11 H "Date: 1\r\nAccept: 2\r\nUser-Agent: 3\r\nAccept-Charset: 4\r\nIf-Modified-Since: 5\r\n\r\n"),
	RAW("connection list", 0, GET11 H "Connection: , foo ,close,\r\n\r\n"),
	RAW("expect", 0, "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
	RAW("repeated ordinary field", 0, GET11 H "X: 1\r\nX: 2\r\n\r\n"),
	RAW("length of get", 0, GET11 H "Content-Length: 5\r\n\r\n"),
	RAW("largest length", 0, "POST / HTTP/1.1\r\n" H "Content-Length: 999999999999999999\r\n\r\n"),
	RAW("upgrade is ignored", 0, GET11 H "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
	RAW("te field", 0, GET11 H "TE: trailers\r\n\r\n"),

	/* not complete */
	RAW("nothing", -1, ""),
	RAW("half a method", -1, "GE"),
	RAW("request line only", -1, GET11),
	RAW("line without feed", -1, "GET / HTTP/1.1\r"),
	RAW("no empty line", -1, GET11 H),
	RAW("cr of the empty line", -1, GET11 H "\r"),
	RAW("only an empty line", -1, "\r\n"),

	/* the first line */
	RAW("bare lf everywhere", 400, "GET / HTTP/1.1\nHost: a\n\n"),
	RAW("bare lf at start", 400, "\nGET / HTTP/1.1\r\n"),
	RAW("two empty lines first", 400, "\r\n\r\n" GET11 H "\r\n"),
	RAW("bare cr in line", 400, "GET /\r HTTP/1.1\r\n" H "\r\n"),
	RAW("cr cr lf", 400, "GET / HTTP/1.1\r\r\n" H "\r\n"),
	RAW("space behind an empty line", 400, "\r\n / HTTP/1.1\r\n" H "\r\n"),
	RAW("space first", 400, " GET / HTTP/1.1\r\n" H "\r\n"),
	RAW("tls hello", 400, "\x16\x03\x01"),
	RAW("nul first", 400, "\0GET / HTTP/1.1\r\n"),
	RAW("brace first", 400, "{\"a\":1}"),
	RAW("high byte first", 400, "\xff"),
	RAW("two spaces", 400, "GET  / HTTP/1.1\r\n" H "\r\n"),
	RAW("tab between", 400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
	RAW("two spaces before version", 400, "GET /  HTTP/1.1\r\n" H "\r\n"),
	RAW("space at end", 400, "GET / HTTP/1.1 \r\n" H "\r\n"),
	RAW("no version", 400, "GET /\r\n" H "\r\n"),
	RAW("no target", 400, "GET HTTP/1.1\r\n" H "\r\n"),
	RAW("empty target", 400, "GET  HTTP/1.1\r\n" H "\r\n"),
	RAW("only a method", 400, "GET\r\n" H "\r\n"),
	RAW("separator in method", 400, "G(T / HTTP/1.1\r\n" H "\r\n"),
	RAW("nul in method", 400, "G\0T / HTTP/1.1\r\n" H "\r\n"),
	RAW("high byte in method", 400, "G\xc3T / HTTP/1.1\r\n" H "\r\n"),
	RAW("version in small letters", 400, "GET / http/1.1\r\n" H "\r\n"),
	RAW("version without minor", 400, "GET / HTTP/1\r\n" H "\r\n"),
	RAW("version with two digits", 400, "GET / HTTP/1.10\r\n" H "\r\n"),
	RAW("version with a leading zero", 400, "GET / HTTP/01.1\r\n" H "\r\n"),
	RAW("version without slash", 400, "GET / HTTP 1.1\r\n" H "\r\n"),
	RAW("version of letters", 400, "GET / HTTP/a.b\r\n" H "\r\n"),
	RAW("version below the digits", 400, "GET / HTTP/!.1\r\n" H "\r\n"),
	RAW("version with a comma", 400, "GET / HTTP/1,1\r\n" H "\r\n"),
	RAW("version with a letter as minor", 400, "GET / HTTP/1.a\r\n" H "\r\n"),
	RAW("version with plus", 400, "GET / HTTP/1.+\r\n" H "\r\n"),
	RAW("version 0.9", 505, "GET / HTTP/0.9\r\n" H "\r\n"),
	RAW("version 2.0", 505, "GET / HTTP/2.0\r\n" H "\r\n"),
	RAW("version 3.0", 505, "GET / HTTP/3.0\r\n" H "\r\n"),
	RAW("preface of http/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	RAW("unknown method", 501, "BREW / HTTP/1.1\r\n" H "\r\n"),
	RAW("method in small letters", 501, "get / HTTP/1.1\r\n" H "\r\n"),
	RAW("connect", 501, "CONNECT a:1 HTTP/1.1\r\n" H "\r\n"),
	RAW("trace", 501, "TRACE / HTTP/1.1\r\n" H "\r\n"),
	RAW("methods are not prefixes", 501, "GETX / HTTP/1.1\r\n" H "\r\n"),

	/* the target */
	RAW("space in target", 400, "GET /a b HTTP/1.1\r\n" H "\r\n"),
	RAW("fragment", 400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
	RAW("fragment in query", 400, "GET /?a#b HTTP/1.1\r\n" H "\r\n"),
	RAW("quote in path", 400, "GET /\"a\" HTTP/1.1\r\n" H "\r\n"),
	RAW("angle in query", 400, "GET /?<a> HTTP/1.1\r\n" H "\r\n"),
	RAW("backslash in path", 400, "GET /a\\b HTTP/1.1\r\n" H "\r\n"),
	RAW("brace in path", 400, "GET /{a} HTTP/1.1\r\n" H "\r\n"),
	RAW("nul in path", 400, "GET /a\0b HTTP/1.1\r\n" H "\r\n"),
	RAW("del in path", 400, "GET /a\x7f HTTP/1.1\r\n" H "\r\n"),
	RAW("high byte in path", 400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
	RAW("high byte in query", 400, "GET /?\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
	RAW("tab in query", 400, "GET /?a\tb HTTP/1.1\r\n" H "\r\n"),
	RAW("escape of a nul", 400, "GET /a%00 HTTP/1.1\r\n" H "\r\n"),
	RAW("half an escape", 400, "GET /a%4 HTTP/1.1\r\n" H "\r\n"),
	RAW("escape without digits", 400, "GET /a%zz HTTP/1.1\r\n" H "\r\n"),
	RAW("percent at end", 400, "GET /% HTTP/1.1\r\n" H "\r\n"),
	RAW("relative path", 400, "GET a/b HTTP/1.1\r\n" H "\r\n"),
	RAW("query alone", 400, "GET ?a HTTP/1.1\r\n" H "\r\n"),
	RAW("asterisk with get", 400, "GET * HTTP/1.1\r\n" H "\r\n"),
	RAW("asterisk and more", 400, "OPTIONS *a HTTP/1.1\r\n" H "\r\n"),
	RAW("unknown scheme", 400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
	RAW("no scheme", 400, "GET ://a/ HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute without host", 400, "GET http:///p HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute with user", 400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute with bad port", 400, "GET http://a:x/ HTTP/1.1\r\n" H "\r\n"),
	RAW("scheme without slashes", 400, "GET http:abcd HTTP/1.1\r\n" H "\r\n"),
	RAW("one letter", 400, "GET x HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute with a bad path", 400, "GET http://a/< HTTP/1.1\r\n" H "\r\n"),
	RAW("percent and no digit", 400, "GET /%!a HTTP/1.1\r\n" H "\r\n"),
	RAW("percent and a letter behind F", 400, "GET /%Ga HTTP/1.1\r\n" H "\r\n"),
	RAW("percent and a letter behind f", 400, "GET /%ga HTTP/1.1\r\n" H "\r\n"),
	RAW("percent and one digit", 400, "GET /%az HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute with one slash", 400, "GET http:/a HTTP/1.1\r\n" H "\r\n"),
	RAW("absolute without host field", 400, "GET http://a/ HTTP/1.1\r\n\r\n"),

	/* fields */
	RAW("space before colon", 400, GET11 H "X : a\r\n\r\n"),
	RAW("tab before colon", 400, GET11 H "X\t: a\r\n\r\n"),
	RAW("space in length's name", 400, "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\n"),
	RAW("folded line", 400, GET11 H "X: a\r\n b\r\n\r\n"),
	RAW("folded with tab", 400, GET11 H "X: a\r\n\tb\r\n\r\n"),
	RAW("space on first field line", 400, GET11 " " H "\r\n"),
	RAW("line of one space", 400, GET11 H " \r\n\r\n"),
	RAW("empty name", 400, GET11 H ": a\r\n\r\n"),
	RAW("no colon", 400, GET11 H "abc\r\n\r\n"),
	RAW("separator in name", 400, GET11 H "a(b): c\r\n\r\n"),
	RAW("quote in name", 400, GET11 H "\"a\": c\r\n\r\n"),
	RAW("high byte in name", 400, GET11 H "\xc3\xa9: c\r\n\r\n"),
	RAW("nul in name", 400, GET11 H "a\0b: c\r\n\r\n"),
	RAW("nul in value", 400, GET11 H "X: a\0b\r\n\r\n"),
	RAW("nul late in a long value", 400, GET11 H "X: 0123456789abcdef\0\r\n\r\n"),
	RAW("bare cr in value", 400, GET11 H "X: a\rb\r\n\r\n"),
	RAW("cr in front of the end", 400, GET11 H "X: a\r\r\n\r\n"),
	RAW("bare lf in fields", 400, GET11 H "X: a\n\r\n"),
	RAW("bare lf as end", 400, GET11 H "\n"),
	RAW("escape byte in value", 400, GET11 H "X: \x1b[0m\r\n\r\n"),
	RAW("del in value", 400, GET11 H "X: \x7f\r\n\r\n"),
	RAW("del in a long value", 400, GET11 H "X: aaaaaaaaaaaaaaaa\x7f" "bbbbbbb\r\n\r\n"),
	RAW("vertical tab", 400, GET11 H "X: a\vb\r\n\r\n"),

	/* Host */
	RAW("no host", 400, GET11 "\r\n"),
	RAW("two hosts", 400, GET11 H H "\r\n"),
	RAW("two hosts in 1.0", 400, "GET / HTTP/1.0\r\n" H H "\r\n"),
	RAW("two different hosts", 400, GET11 H "host: b\r\n\r\n"),
	RAW("empty host", 400, GET11 "Host:\r\n\r\n"),
	RAW("host list", 400, GET11 "Host: a, b\r\n\r\n"),
	RAW("host with path", 400, GET11 "Host: a/b\r\n\r\n"),
	RAW("host with user", 400, GET11 "Host: u@a\r\n\r\n"),
	RAW("host with space", 400, GET11 "Host: a b\r\n\r\n"),
	RAW("host of a port", 400, GET11 "Host: :80\r\n\r\n"),
	RAW("host with large port", 400, GET11 "Host: a:65536\r\n\r\n"),
	RAW("host with a port of six digits", 400, GET11 "Host: a:123456\r\n\r\n"),
	RAW("host with a mark as port", 400, GET11 "Host: a:8!\r\n\r\n"),
	RAW("host with letters as port", 400, GET11 "Host: a:80b\r\n\r\n"),
	RAW("host with open bracket", 400, GET11 "Host: [::1\r\n\r\n"),
	RAW("host with empty brackets", 400, GET11 "Host: []\r\n\r\n"),
	RAW("host with name in brackets", 400, GET11 "Host: [xyz]\r\n\r\n"),
	RAW("host with text after brackets", 400, GET11 "Host: [::1]a\r\n\r\n"),
	RAW("host with high bytes", 400, GET11 "Host: \xc3\xa9\r\n\r\n"),

	/* the framing */
	RAW("length and chunked", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
	RAW("chunked and length", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
	RAW("two lengths", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"),
	RAW("two equal lengths", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
	RAW("list of lengths", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n"),
	RAW("negative length", 400, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"),
	RAW("length with plus", 400, "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"),
	RAW("length with space", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n"),
	RAW("hexadecimal length", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n"),
	RAW("length with underscore", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 1_0\r\n\r\n"),
	RAW("length with fraction", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 3.0\r\n\r\n"),
	RAW("empty length", 400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
	RAW("length beyond 64 bits", 400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n"),
	RAW("gzip, chunked", 501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	RAW("gzip", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"),
	RAW("identity", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
	RAW("chunked, identity", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n"),
	RAW("chunked twice in a list", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
	RAW("chunked twice in fields", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	RAW("chunked and an empty field", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n"),
	RAW("empty coding", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
	RAW("misspelt coding", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
	RAW("quoted coding", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
	RAW("coding with parameter", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"),
	RAW("coding behind a control byte", 400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n"),
	RAW("chunked in 1.0", 400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
	RAW("unknown expectation", 417, "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"),
};

static const struct raw_case responses[] = {
	RAW("plain", 0, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"),
	RAW("no reason", 0, "HTTP/1.1 200 \r\n\r\n"),
	RAW("no space either", 0, "HTTP/1.1 200\r\n\r\n"),
	RAW("reason with high bytes", 0, "HTTP/1.1 404 Pas trouv\xe9\r\n\r\n"),
	RAW("http 1.0", 0, "HTTP/1.0 200 OK\r\n\r\n"),
	RAW("chunked", 0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	RAW("fields of a request", 0, "HTTP/1.1 200 OK\r\nHost: ?\r\nExpect: ?\r\n\r\n"),
	RAW("interim", 0, "HTTP/1.1 100 Continue\r\n\r\n"),
	RAW("half", -1, "HTTP/1.1 2"),
	RAW("empty line first", 502, "\r\nHTTP/1.1 200 OK\r\n\r\n"),
	RAW("two digits", 502, "HTTP/1.1 20\r\n\r\n"),
	RAW("four digits", 502, "HTTP/1.1 2000\r\n\r\n"),
	RAW("letters as code", 502, "HTTP/1.1 abc OK\r\n\r\n"),
	RAW("no space behind the version", 502, "HTTP/1.1x200 OK\r\n\r\n"),
	RAW("mark in the code", 502, "HTTP/1.1 2!0 OK\r\n\r\n"),
	RAW("letter in the code", 502, "HTTP/1.1 2a0 OK\r\n\r\n"),
	RAW("mark at the code's end", 502, "HTTP/1.1 20! OK\r\n\r\n"),
	RAW("letter at the code's end", 502, "HTTP/1.1 20a OK\r\n\r\n"),
	RAW("code below 100", 502, "HTTP/1.1 099 OK\r\n\r\n"),
	RAW("two spaces", 502, "HTTP/1.1  200 OK\r\n\r\n"),
	RAW("version 2", 502, "HTTP/2.0 200 OK\r\n\r\n"),
	RAW("icy", 502, "ICY 200 OK\r\n\r\n"),
	RAW("control in reason", 502, "HTTP/1.1 200 O\x01K\r\n\r\n"),
	RAW("bare lf", 502, "HTTP/1.1 200 OK\n\n"),
	RAW("both framings", 502, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"),
	RAW("two lengths", 502, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n"),
	RAW("gzip coding", 502, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
	RAW("folded", 502, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
	RAW("chunked in 1.0", 502, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
};
/* clang-format on */

static void head_init(struct http_head *head, bool response)
{
	if (response)
		http_head_init_response(head, HTTP_GET, HTTP_HEAD_BYTES);
	else
		http_head_init_request(head, HTTP_HEAD_BYTES);
}

static int verdict(const struct http_head *head, enum http_parse result)
{
	if (result == HTTP_PARSE_MORE)
		return -1;
	return result == HTTP_PARSE_REFUSED ? head->refusal : 0;
}

/* At once, then byte by byte in a buffer that is exactly as long. */
static void check(const struct raw_case *raw, bool response)
{
	struct http_head whole, slow;
	enum http_parse result;
	int got;

	head_init(&whole, response);
	got = verdict(&whole, http_head_parse(&whole, raw->text, raw->len));
	cr_expect_eq(got, raw->verdict, "%s: got %d (%s), expected %d",
		     raw->name, got, whole.why ? whole.why : "", raw->verdict);
	cr_expect_eq(got > 0, whole.why != NULL, "%s: reason", raw->name);

	head_init(&slow, response);
	result = HTTP_PARSE_MORE;
	for (size_t n = 0; n <= raw->len && result == HTTP_PARSE_MORE; n++) {
		char *copy = malloc(n ? n : 1);

		cr_assert(copy);
		memcpy(copy, raw->text, n);
		result = http_head_parse(&slow, copy, n);
		if (result == HTTP_PARSE_DONE)
			cr_expect_eq(n, whole.size, "%s: size", raw->name);
		free(copy);
	}
	cr_expect_eq(verdict(&slow, result), raw->verdict,
		     "%s byte by byte: got %d", raw->name,
		     verdict(&slow, result));
	if (result == HTTP_PARSE_DONE)
		cr_expect(whole.n_fields == slow.n_fields &&
			  whole.framing == slow.framing &&
			  whole.content_length == slow.content_length &&
			  whole.keep_alive == slow.keep_alive);
}

Test(http_parse, requests_are_accepted_or_refused_as_the_table_says)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		check(&requests[i], false);
}

Test(http_parse, responses_are_accepted_or_refused_as_the_table_says)
{
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++)
		check(&responses[i], true);
}

Test(http_parse, a_field_is_found_by_its_whole_name)
{
	struct http_text value = { NULL, 0 };
	struct http_head head;

	http_head_init_request(&head, HTTP_HEAD_BYTES);
	cr_assert_eq(http_head_parse(&head,
				     GET11 H "Date: 1\r\nX: 2\r\nx: 3\r\n\r\n",
				     sizeof(GET11 H) + 24),
		     HTTP_PARSE_DONE);
	cr_assert_eq(http_head_find(&head, "host", 4, &value), 1);
	cr_assert_eq(http_head_find(&head, "x", 1, &value), 2);
	cr_assert(value.len == 1 && *value.at == '2', "the first of them");
	cr_assert_eq(http_head_find(&head, "late", 4, &value), 0);
}

/* The word ends where its NUL is, whatever the text says behind that. */
Test(http_parse, a_text_with_a_nul_is_no_word)
{
	cr_assert(http_text_is((struct http_text){ "A-b", 3 }, "a-b"));
	cr_assert_not(http_text_is((struct http_text){ "a\0b", 3 }, "a"));
	cr_assert_not(http_text_is((struct http_text){ "ab", 2 }, "abc"));
}

static enum http_parse parse(struct http_head *head, const char *text)
{
	http_head_init_request(head, HTTP_HEAD_BYTES);
	return http_head_parse(head, text, strlen(text));
}

#define expect_text(head, span, text)                                     \
	do {                                                              \
		struct http_text got_ = http_head_text(&(head), span);    \
		cr_expect(got_.len == strlen(text) &&                     \
				  memcmp(got_.at, text, got_.len) == 0,   \
			  "got \"%.*s\", expected \"%s\"", (int)got_.len, \
			  got_.at, text);                                 \
	} while (0)

Test(http_parse, the_parts_of_a_request_are_found)
{
	struct http_head head;
	struct http_text value = { NULL, 0 };

	cr_assert_eq(parse(&head, "POST /v1/agents/a/invoke?x=1&y HTTP/1.1\r\n"
				  "Host: h:80\r\n"
				  "AUTHORIZATION:  Bearer abc \r\n"
				  "Accept: a\r\naccept: b\r\n"
				  "Content-Length: 12\r\n\r\nleft alone"),
		     HTTP_PARSE_DONE);
	cr_expect_eq(head.method, HTTP_POST);
	expect_text(head, head.target, "/v1/agents/a/invoke?x=1&y");
	expect_text(head, head.path, "/v1/agents/a/invoke");
	expect_text(head, head.query, "x=1&y");
	expect_text(head, head.host, "h:80");
	cr_expect_eq(head.framing, HTTP_BODY_LENGTH);
	cr_expect_eq(head.content_length, 12);
	cr_expect_str_eq(head.text + head.size, "left alone");
	cr_expect_eq(http_head_field(&head, "authorization", &value), 1);
	cr_expect(value.len == 10 && !memcmp(value.at, "Bearer abc", 10));
	cr_expect_eq(http_head_field(&head, "Accept", &value), 2);
	cr_expect(value.len == 1 && *value.at == 'a');
	cr_expect_eq(http_head_field(&head, "accep", &value), 0);
	cr_expect_eq(http_head_field(&head, "accept-", &value), 0);
}

Test(http_parse, an_absolute_target_names_host_and_path)
{
	struct http_head head;

	cr_assert_eq(parse(&head, "GET http://real:1/p?q HTTP/1.1\r\n"
				  "Host: other\r\n\r\n"),
		     HTTP_PARSE_DONE);
	expect_text(head, head.host, "real:1");
	expect_text(head, head.path, "/p");
	expect_text(head, head.query, "q");
	cr_assert_eq(parse(&head, "GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n"),
		     HTTP_PARSE_DONE);
	cr_expect_eq(http_head_path(&head).len, 1);
	cr_expect_eq(*http_head_path(&head).at, '/');
	expect_text(head, head.query, "q");
}

Test(http_parse, the_connection_persists_by_version_and_wish)
{
	static const struct {
		const char *text;
		bool keep_alive;
	} cases[] = {
		{ GET11 H "\r\n", true },
		{ GET11 H "Connection: close\r\n\r\n", false },
		{ GET11 H "Connection: keep-alive\r\n\r\n", true },
		{ GET11 H "Connection: keep-alive, CLOSE\r\n\r\n", false },
		{ GET11 H "Connection: a\r\nConnection: close\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
		  false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_head head;

		cr_assert_eq(parse(&head, cases[i].text), HTTP_PARSE_DONE);
		cr_expect_eq(head.keep_alive, cases[i].keep_alive, "%s",
			     cases[i].text);
	}
}

Test(http_parse, expectations_of_http_1_0_are_ignored)
{
	struct http_head head;

	cr_assert_eq(parse(&head, "POST / HTTP/1.0\r\nExpect: 100-continue\r\n"
				  "Content-Length: 1\r\n\r\n"),
		     HTTP_PARSE_DONE);
	cr_expect_not(head.expect_continue);
	cr_assert_eq(parse(&head, "POST / HTTP/1.1\r\n" H
				  "Expect: 100-continue\r\n\r\n"),
		     HTTP_PARSE_DONE);
	cr_expect(head.expect_continue);
}

Test(http_parse, the_framing_of_a_response_follows_method_and_status)
{
	static const struct {
		const char *text;
		enum http_method method;
		enum http_framing framing;
		bool keep_alive;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_POST,
		  HTTP_BODY_LENGTH, true },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_HEAD,
		  HTTP_BODY_NONE, true },
		{ "HTTP/1.1 204 No\r\n\r\n", HTTP_POST, HTTP_BODY_NONE, true },
		{ "HTTP/1.1 304 No\r\n\r\n", HTTP_GET, HTTP_BODY_NONE, true },
		{ "HTTP/1.1 100 No\r\n\r\n", HTTP_POST, HTTP_BODY_NONE, true },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		  HTTP_GET, HTTP_BODY_CHUNKED, true },
		{ "HTTP/1.1 200 OK\r\n\r\n", HTTP_GET, HTTP_BODY_UNTIL_CLOSE,
		  false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_GET,
		  HTTP_BODY_LENGTH, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_head head;

		http_head_init_response(&head, cases[i].method, 4096);
		cr_assert_eq(http_head_parse(&head, cases[i].text,
					     strlen(cases[i].text)),
			     HTTP_PARSE_DONE);
		cr_expect_eq(head.framing, cases[i].framing, "case %zu", i);
		cr_expect_eq(head.keep_alive, cases[i].keep_alive, "case %zu",
			     i);
	}
}

/* A head of exactly n bytes, filled up with one long field or target. */
static int verdict_of_size(size_t n, bool in_target)
{
	const char *front = in_target ? "GET /" : GET11 H "X: ";
	const char *back = in_target ? " HTTP/1.1\r\n" H "\r\n" : "\r\n\r\n";
	size_t front_len = strlen(front), back_len = strlen(back);
	char *text = malloc(n);
	struct http_head head;
	int got;

	cr_assert(text);
	memset(text, 'a', n);
	memcpy(text, front, front_len);
	memcpy(text + n - back_len, back, back_len);
	http_head_init_request(&head, HTTP_HEAD_BYTES);
	got = verdict(&head, http_head_parse(&head, text, n));
	if (got == 0)
		cr_expect_eq(head.size, n);
	free(text);
	return got;
}

Test(http_parse, a_head_may_have_16_kib_and_no_byte_more)
{
	cr_expect_eq(verdict_of_size(HTTP_HEAD_BYTES, false), 0);
	cr_expect_eq(verdict_of_size(HTTP_HEAD_BYTES + 1, false), 431);
	cr_expect_eq(verdict_of_size(HTTP_HEAD_BYTES, true), 0);
	cr_expect_eq(verdict_of_size(HTTP_HEAD_BYTES + 1, true), 431);
	cr_expect_eq(verdict_of_size(HTTP_HEAD_BYTES + 100, true), 414);
	cr_expect_eq(verdict_of_size(200000, false), 431);
	cr_expect_eq(verdict_of_size(200000, true), 414);
}

static int verdict_of_fields(unsigned n)
{
	char text[4096];
	size_t len = 0;
	struct http_head head;

	len += (size_t)snprintf(text, sizeof(text), GET11 H);
	for (unsigned i = 1; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"X%u: v\r\n", i);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\r\n");
	http_head_init_request(&head, HTTP_HEAD_BYTES);
	return verdict(&head, http_head_parse(&head, text, len));
}

Test(http_parse, a_head_may_have_100_fields_and_no_more)
{
	cr_expect_eq(verdict_of_fields(HTTP_FIELDS_MAX), 0);
	cr_expect_eq(verdict_of_fields(HTTP_FIELDS_MAX + 1), 431);
}

Test(http_parse, every_byte_is_judged_at_every_place_of_a_word)
{
	/* A control byte at each offset of the eight-byte steps. */
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 24; at++) {
			char text[] = GET11 H "X: .aaaaaaaaaaaaaaaaaaaaaaaa.";
			char raw[128];
			size_t len = sizeof(text) - 1;
			struct http_head head;
			bool bad = (c < 32 && c != '\t') || c == 127;

			memcpy(raw, text, len);
			memcpy(raw + len, "\r\n\r\n", 4);
			raw[len - 25 + at] = (char)c;
			http_head_init_request(&head, HTTP_HEAD_BYTES);
			cr_assert_eq(http_head_parse(&head, raw, len + 4),
				     bad ? HTTP_PARSE_REFUSED : HTTP_PARSE_DONE,
				     "byte %d at %zu", c, at);
		}
	}
}

Test(http_parse, list_elements_come_without_space_and_emptiness)
{
	struct http_text list = { " a,, \tb\t ,c , ", 14 }, element;
	char got[16] = "";

	while (http_list_next(&list, &element)) {
		cr_assert_eq(element.len, 1);
		strncat(got, element.at, 1);
	}
	cr_expect_str_eq(got, "abc");
}

Test(http_parse, words_compare_whole_and_in_any_case)
{
	cr_expect(http_text_is((struct http_text){ "ClOsE", 5 }, "close"));
	cr_expect(http_text_is((struct http_text){ "", 0 }, ""));
	cr_expect_not(http_text_is((struct http_text){ "clos", 4 }, "close"));
	cr_expect_not(http_text_is((struct http_text){ "closed", 6 }, "close"));
	cr_expect_not(http_text_is((struct http_text){ "", 0 }, "a"));
	/* '@' and '`' differ only in the bit that makes letters small */
	cr_expect_not(http_text_is((struct http_text){ "@", 1 }, "`"));
}
