/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end: the address, the process behind a unix socket, and
 * the client in front of a trusted proxy.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/os.h"
#include "core/text.h"
#include "http/server_priv.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* --- the socket's peer ------------------------------------------------------ */

/*
 * The credentials are those of connect(2).  SO_PEERPIDFD names that very
 * process; on an older kernel the pid may have been given to another process
 * in between, so the descriptor is taken at once, at accept.
 */
static void peer_credentials(struct http_connection *c)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int pidfd = -1;

	c->peer.pidfd = -1;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) !=
		    0 ||
	    credentials.pid <= 0)
		return;
	c->peer.known = true;
	c->peer.pid = credentials.pid;
	c->peer.uid = credentials.uid;
	c->peer.gid = credentials.gid;
	length = sizeof(pidfd);
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
		c->peer.pidfd = pidfd;
	else
		c->peer.pidfd = os.pidfd_open(credentials.pid, 0);
	c->peer.pidfd_error = c->peer.pidfd < 0 ? errno : 0;
}

static bool address_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* An IPv4 address that came in through an IPv6 socket reads as IPv4. */
static void address_format(const struct sockaddr *address,
			   char out[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;
	const void *bytes = &v6->sin6_addr;
	int family = address->sa_family;

	if (family == AF_INET) {
		bytes = &v4->sin_addr;
	} else if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		family = AF_INET;
		bytes = v6->sin6_addr.s6_addr + 12;
	}
	if (!inet_ntop(family, bytes, out, INET6_ADDRSTRLEN))
		out[0] = '\0';
}

static bool is_trusted(const struct http_listener *listener,
		       const char *address)
{
	if (!listener->trusted)
		return false;
	for (size_t i = 0; listener->trusted[i]; i++) {
		const char *cidr = listener->trusted[i];

		if (strcmp(cidr, address) == 0 || text_in_cidr(address, cidr))
			return true;
	}
	return false;
}

void http_peer_read(struct http_connection *c, const struct sockaddr *address)
{
	c->peer.pidfd = -1;
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6) {
		address_format(address, c->address);
		c->loopback = address_is_loopback(c->address);
	} else {
		snprintf(c->address, sizeof(c->address), "unix");
		c->loopback = true;
		peer_credentials(c);
	}
	c->trusted = is_trusted(c->socket->listener, c->address);
}

void http_peer_proxied(struct http_connection *c,
		       const struct http_proxy *header)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };

	if (header->family == AF_INET) {
		memcpy(&v4.sin_addr, header->address, sizeof(v4.sin_addr));
		address_format((const struct sockaddr *)&v4, c->address);
	} else if (header->family == AF_INET6) {
		memcpy(&v6.sin6_addr, header->address, sizeof(v6.sin6_addr));
		address_format((const struct sockaddr *)&v6, c->address);
	} else {
		return;
	}
	c->loopback = address_is_loopback(c->address);
	/* A proxy in front of that proxy may go on with X-Forwarded-For. */
	c->trusted = is_trusted(c->socket->listener, c->address);
}

void http_peer_close(struct http_connection *c)
{
	if (c->peer.pidfd >= 0)
		os.close(c->peer.pidfd);
	c->peer.pidfd = -1;
}

/* --- behind proxies ----------------------------------------------------------- */

bool http_cidr_sound(const char *cidr)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	const char *slash = strchr(cidr, '/');
	size_t length = slash ? (size_t)(slash - cidr) : strlen(cidr);
	int64_t bits = 0;
	int64_t bits_max;

	if (strcmp(cidr, "unix") == 0)
		return true;
	if (length >= sizeof(address))
		return false;
	memcpy(address, cidr, length);
	address[length] = '\0';
	if (inet_pton(AF_INET, address, bytes) == 1)
		bits_max = 32;
	else if (inet_pton(AF_INET6, address, bytes) == 1)
		bits_max = 128;
	else
		return false;
	return !slash ||
	       (text_to_int(slash + 1, &bits) && bits >= 0 && bits <= bits_max);
}

/* "1.2.3.4", "1.2.3.4:80", "2001:db8::1", "[2001:db8::1]:80", quoted or not;
 * false when it is no address. */
static bool forwarded_address(struct http_text element,
			      char out[INET6_ADDRSTRLEN])
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	const char *colon;

	if (element.len >= 2 && element.at[0] == '[') {
		const char *end = memchr(element.at, ']', element.len);

		if (!end)
			return false;
		element.at++;
		element.len = (size_t)(end - element.at);
	} else {
		colon = memchr(element.at, ':', element.len);
		if (colon &&
		    !memchr(colon + 1, ':',
			    element.len - (size_t)(colon + 1 - element.at)))
			element.len = (size_t)(colon - element.at);
	}
	if (element.len == 0 || element.len >= INET6_ADDRSTRLEN)
		return false;
	memcpy(out, element.at, element.len);
	out[element.len] = '\0';
	if (inet_pton(AF_INET, out, &v4.sin_addr) == 1)
		address_format((const struct sockaddr *)&v4, out);
	else if (inet_pton(AF_INET6, out, &v6.sin6_addr) == 1)
		address_format((const struct sockaddr *)&v6, out);
	else
		return false;
	return true;
}

/* The last element of a list, taken off its end; false when it is empty. */
static bool list_last(struct http_text *list, struct http_text *element)
{
	const char *comma = memrchr(list->at, ',', list->len);
	size_t from = comma ? (size_t)(comma + 1 - list->at) : 0;
	struct http_text rest = { list->at + from, list->len - from };

	if (list->len == 0)
		return false;
	list->len = comma ? from - 1 : 0;
	if (!http_list_next(&rest, element))
		*element = (struct http_text){ list->at, 0 };
	return true;
}

/* One field from its right end on; true when an untrusted one was found, or
 * something that is no address, behind which nothing can be believed: whoever
 * that is, it is not taken for a local caller. */
static bool forwarded_field(struct http_request *r, struct http_text list)
{
	struct http_text element;
	char address[INET6_ADDRSTRLEN];

	while (list_last(&list, &element)) {
		if (!forwarded_address(element, address)) {
			r->client_loopback = false;
			return true;
		}
		r->client_loopback = address_is_loopback(address);
		memcpy(r->client, address, sizeof(address));
		if (!is_trusted(r->connection->socket->listener, address))
			return true;
	}
	return false;
}

/*
 * X-Forwarded-For from its right end: each proxy appends whom it heard from,
 * so the rightmost address that is no trusted proxy is the last one that a
 * trusted proxy vouches for.  What stands left of it anybody can write.
 */
void http_forwarded(struct http_request *r)
{
	const struct http_head *head = r->head;

	r->client[0] = '\0';
	r->client_loopback = r->connection->loopback;
	if (!r->connection->trusted)
		return;
	for (unsigned i = head->n_fields; i-- > 0;) {
		const struct http_field *field = &head->fields[i];

		if (http_text_is(http_head_text(head, field->name),
				 "x-forwarded-for") &&
		    forwarded_field(r, http_head_text(head, field->value)))
			break;
	}
}
