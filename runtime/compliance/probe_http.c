/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <uv.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "core/os.h"

#define UNIX_PREFIX "unix:"

bool probe_is_unix(const char *address)
{
	return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

union endpoint {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
};

/* An address that stands for all of the machine's is reached by loopback. */
static void aim_at_loopback(union endpoint *endpoint)
{
	if (endpoint->any.sa_family == AF_INET &&
	    endpoint->v4.sin_addr.s_addr == htonl(INADDR_ANY))
		endpoint->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (endpoint->any.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_UNSPECIFIED(&endpoint->v6.sin6_addr))
		endpoint->v6.sin6_addr = in6addr_loopback;
}

static socklen_t parse(const char *address, union endpoint *endpoint)
{
	const char *colon = strrchr(address, ':');
	char host[64];
	int port;

	memset(endpoint, 0, sizeof(*endpoint));
	if (probe_is_unix(address)) {
		endpoint->local.sun_family = AF_UNIX;
		(void)snprintf(endpoint->local.sun_path,
			       sizeof(endpoint->local.sun_path), "%s",
			       address + strlen(UNIX_PREFIX));
		return sizeof(endpoint->local);
	}
	if (colon == NULL || sscanf(colon + 1, "%d", &port) != 1)
		return 0;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(colon - address),
		       address);
	if (host[0] == '[') {
		host[strcspn(host, "]")] = '\0';
		return uv_ip6_addr(host + 1, port, &endpoint->v6) == 0
			       ? sizeof(endpoint->v6)
			       : 0;
	}
	return uv_ip4_addr(host, port, &endpoint->v4) == 0
		       ? sizeof(endpoint->v4)
		       : 0;
}

bool probe_is_loopback(const char *address)
{
	union endpoint endpoint;

	if (parse(address, &endpoint) == 0)
		return false;
	switch (endpoint.any.sa_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return (ntohl(endpoint.v4.sin_addr.s_addr) >> 24) == 127;
	default:
		return IN6_IS_ADDR_LOOPBACK(&endpoint.v6.sin6_addr);
	}
}

static atom_status reach(const char *address, int *fd_r, struct atom_error *err)
{
	const struct timeval patience = { PROBE_MS / 1000,
					  PROBE_MS % 1000 * 1000L };
	union endpoint endpoint;
	socklen_t length = parse(address, &endpoint);
	int fd;

	if (length == 0)
		return atom_fail(err, ATOM_EINVAL, "%s is no address", address);
	aim_at_loopback(&endpoint);
	fd = os.socket(endpoint.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return atom_fail(err, ATOM_EIO, "socket: %s", strerror(errno));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) != 0 ||
	    connect(fd, &endpoint.any, length) != 0) {
		atom_fail(err, ATOM_EIO, "%s: %s", address, strerror(errno));
		(void)os.close(fd);
		return ATOM_EIO;
	}
	*fd_r = fd;
	return ATOM_OK;
}

/* --- TLS ------------------------------------------------------------------------ */

static void tls_reason(char *out, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	(void)snprintf(out, size, "%s",
		       reason != NULL ? reason : "the connection was closed");
	ERR_clear_error();
}

/* Certificates are looked at and not verified here: the probe asks what the
 * listener does, not who it is. */
static SSL *shake(int fd, int version_min, int version_max, char *refusal,
		  size_t refusal_size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	ERR_clear_error();
	if (context == NULL)
		goto fail;
	/* Level 0, or the library itself would not offer TLS 1.0. */
	SSL_CTX_set_security_level(context, 0);
	if (SSL_CTX_set_min_proto_version(context, version_min) != 1 ||
	    SSL_CTX_set_max_proto_version(context, version_max) != 1)
		goto fail;
	ssl = SSL_new(context);
	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1) {
		SSL_CTX_free(context);
		return ssl;
	}
fail:
	tls_reason(refusal, refusal_size);
	SSL_free(ssl);
	SSL_CTX_free(context);
	return NULL;
}

static void look_at_certificate(SSL *ssl, struct probe_handshake *h)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	struct tm end;
	EVP_PKEY *key;

	if (certificate == NULL)
		return;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
		h->not_after_ms = (int64_t)timegm(&end) * 1000;
	key = X509_get0_pubkey(certificate);
	if (key != NULL)
		h->key_bits = EVP_PKEY_get_security_bits(key);
	X509_free(certificate);
}

void probe_tls(const char *address, int version_min, int version_max,
	       struct probe_handshake *h)
{
	struct atom_error err = ATOM_ERROR_INIT;
	SSL *ssl;
	int fd = -1;

	memset(h, 0, sizeof(*h));
	if (reach(address, &fd, &err) != ATOM_OK) {
		(void)snprintf(h->refusal, sizeof(h->refusal), "%.150s",
			       err.message);
		return;
	}
	h->reached = true;
	ssl = shake(fd, version_min, version_max, h->refusal,
		    sizeof(h->refusal));
	if (ssl != NULL) {
		h->done = true;
		(void)snprintf(h->version, sizeof(h->version), "%s",
			       SSL_get_version(ssl));
		(void)snprintf(h->cipher, sizeof(h->cipher), "%s",
			       SSL_get_cipher_name(ssl));
		look_at_certificate(ssl, h);
		SSL_free(ssl);
	}
	(void)os.close(fd);
}

/* --- one request ----------------------------------------------------------------- */

static atom_status compose(const struct probe_request *r, struct buffer *out)
{
	int64_t length =
		r->body != NULL ? (int64_t)strlen(r->body) : r->content_length;

	(void)buffer_printf(out,
			    "%s %s HTTP/1.1\r\nHost: localhost\r\n"
			    "Connection: close\r\n",
			    r->method, r->path);
	if (r->key != NULL)
		(void)buffer_printf(out, "Authorization: Bearer %s\r\n",
				    r->key);
	if (length > 0)
		(void)buffer_printf(out,
				    "Content-Type: application/json\r\n"
				    "Content-Length: %lld\r\n",
				    (long long)length);
	if (r->padding > 0) {
		(void)buffer_append_text(out, "X-Padding: ");
		for (size_t i = 0; i < r->padding; i++)
			(void)buffer_append_char(out, 'x');
		(void)buffer_append_text(out, "\r\n");
	}
	(void)buffer_append_text(out, "\r\n");
	if (r->body != NULL)
		(void)buffer_append_text(out, r->body);
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}

/* A peer that refuses early closes while we still write: what it said before
 * counts, so that a failed write is no failure yet. */
static void send_all(int fd, SSL *ssl, const struct buffer *bytes)
{
	size_t at = 0;

	while (at < bytes->length) {
		const char *from = bytes->bytes + at;
		size_t left = bytes->length - at;
		ssize_t n = ssl != NULL ? SSL_write(ssl, from, (int)left)
					: send(fd, from, left, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		at += (size_t)n;
	}
}

static atom_status read_status(int fd, SSL *ssl, int *status_r,
			       struct atom_error *err)
{
	char head[64] = "";
	size_t length = 0;

	while (length < sizeof(head) - 1 &&
	       memchr(head, '\n', length) == NULL) {
		size_t room = sizeof(head) - 1 - length;
		ssize_t n = ssl != NULL
				    ? SSL_read(ssl, head + length, (int)room)
				    : os.recv(fd, head + length, room, 0);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
	head[length] = '\0';
	if (sscanf(head, "HTTP/1.%*1d %3d", status_r) != 1)
		return atom_fail(err, ATOM_EPROTO,
				 "expected an HTTP/1.1 answer within %d ms, "
				 "found %zu bytes of something else",
				 PROBE_MS, length);
	return ATOM_OK;
}

atom_status probe_ask(const struct probe_request *request, int *status_r,
		      struct atom_error *err)
{
	struct buffer text = BUFFER_INIT((size_t)1024 * 1024);
	char refusal[160];
	SSL *ssl = NULL;
	int fd = -1;
	atom_status status = compose(request, &text);

	if (status == ATOM_OK)
		status = reach(request->address, &fd, err);
	if (status == ATOM_OK && request->tls) {
		ssl = shake(fd, TLS1_2_VERSION, 0, refusal, sizeof(refusal));
		if (ssl == NULL)
			status = atom_fail(err, ATOM_EPROTO, "%s: %s",
					   request->address, refusal);
	}
	if (status == ATOM_OK) {
		send_all(fd, ssl, &text);
		status = read_status(fd, ssl, status_r, err);
	}
	SSL_free(ssl);
	if (fd >= 0)
		(void)os.close(fd);
	/* The credential was in it. */
	if (text.bytes != NULL)
		explicit_bzero(text.bytes, text.length);
	buffer_fini(&text);
	return status;
}
