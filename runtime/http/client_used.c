/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/os.h"
#include "http/client_priv.h"

/*
 * Connections that are used again.  A server that says more than its answer
 * was to hold, or says something later, leaves bytes in the connection, and
 * whoever takes it next would have them for an answer: a stranger's, maybe.
 * libcurl 7.88 takes such a connection for a live one ("input pending"), so
 * that it is looked at here, right before a request goes into it: an idle
 * connection has nothing to say.  With TLS a late session ticket counts as
 * bytes, too, which costs a new connection and no more.
 *
 * Before a request libcurl names the two ends of a connection, after an answer
 * also its socket.  The table has one place for each of both ends' hashes; a
 * connection that lost its place to another is not used again.
 */

#define NAME_MAX_ (2 * 64 + 2 * 8)

static uint64_t name_of(const char *peer, int peer_port, const char *own,
			int own_port)
{
	char name[NAME_MAX_];
	int length = snprintf(name, sizeof(name), "%s %d %s %d", peer,
			      peer_port, own, own_port);

	return table_hash(name, length < NAME_MAX_ ? (size_t)length
						   : sizeof(name) - 1);
}

void used_note(struct http_client *client, CURL *easy)
{
	char *peer = NULL, *own = NULL;
	long peer_port = 0, own_port = 0;
	curl_socket_t fd = CURL_SOCKET_BAD;
	uint64_t name;

	/* Closed: it is nobody's next one. */
	if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
	    fd == CURL_SOCKET_BAD ||
	    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &peer) != CURLE_OK ||
	    curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &peer_port) !=
		    CURLE_OK ||
	    curl_easy_getinfo(easy, CURLINFO_LOCAL_IP, &own) != CURLE_OK ||
	    curl_easy_getinfo(easy, CURLINFO_LOCAL_PORT, &own_port) !=
		    CURLE_OK ||
	    peer == NULL || own == NULL)
		return;
	name = name_of(peer, (int)peer_port, own, (int)own_port);
	client->used[name % HTTP_USED_MAX] = (struct used){ name, fd };
}

bool used_is_quiet(const struct http_client *client, const char *peer,
		   int peer_port, const char *own, int own_port)
{
	uint64_t name = name_of(peer, peer_port, own, own_port);
	const struct used *used = &client->used[name % HTTP_USED_MAX];
	char byte;

	return used->name == name &&
	       os.recv(used->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}
