/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and 1.3 by OpenSSL.  A context is made by control from the files as
 * they are now; handshakes that have begun keep the one they began with.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "core/memory.h"
#include "http/server_priv.h"

/* Mozilla's "intermediate" list of 2024 for TLS 1.2, without DHE; TLS 1.3 has
 * only sound ones. */
#define CIPHERS                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define TICKET_KEYS_BYTES 80 /* OpenSSL's: name, AES and HMAC keys */

/* OpenSSL's first reason for what has just failed. */
static const char *reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		text = strerror(ERR_GET_REASON(code));
	return text ? text : "unknown reason";
}

/* Only HTTP/1.1 is spoken here; a client that offers others alone is told by
 * an alert (RFC 7301 section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **out,
			   unsigned char *out_length, const unsigned char *in,
			   unsigned int in_length, void *argument)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)argument;
	if (SSL_select_next_proto((unsigned char **)out, out_length, ours,
				  sizeof(ours) - 1, in,
				  in_length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

static bool base_settings(SSL_CTX *tls)
{
	static const unsigned char context[] = "atomd";

	SSL_CTX_set_options(tls, SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* Tickets alone: a cache would be shared, and locked, by all loops. */
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(tls, CIPHERS) == 1 &&
	       SSL_CTX_set_session_id_context(tls, context,
					      sizeof(context) - 1) == 1;
}

static atom_status load_files(SSL_CTX *tls,
			      const struct http_listener *listener,
			      struct atom_error *err)
{
	const char *ca = listener->client_ca;

	if (SSL_CTX_use_certificate_chain_file(tls, listener->certificate) != 1)
		return atom_fail(
			err, ATOM_EINVAL, "listener %s: certificate %s: %s",
			listener->name, listener->certificate, reason());
	if (SSL_CTX_use_PrivateKey_file(tls, listener->key, SSL_FILETYPE_PEM) !=
	    1)
		return atom_fail(err, ATOM_EINVAL, "listener %s: key %s: %s",
				 listener->name, listener->key, reason());
	if (SSL_CTX_check_private_key(tls) != 1)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: key %s does not belong to "
				 "certificate %s",
				 listener->name, listener->key,
				 listener->certificate);
	if (!*ca)
		return ATOM_OK;
	if (SSL_CTX_load_verify_file(tls, ca) != 1)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: client_ca %s: %s",
				 listener->name, ca, reason());
	SSL_CTX_set_client_CA_list(tls, SSL_load_client_CA_file(ca));
	SSL_CTX_set_verify(
		tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return ATOM_OK;
}

/* Sessions may be resumed after a reload; not where a client's certificate
 * counts, for the new file may no longer admit it. */
static void keep_tickets(SSL_CTX *tls, SSL_CTX *previous,
			 const struct http_listener *listener)
{
	unsigned char keys[TICKET_KEYS_BYTES];

	if (previous && !*listener->client_ca &&
	    SSL_CTX_get_tlsext_ticket_keys(previous, keys, sizeof(keys)) == 1)
		(void)SSL_CTX_set_tlsext_ticket_keys(tls, keys, sizeof(keys));
	OPENSSL_cleanse(keys, sizeof(keys));
}

SSL_CTX *http_tls_new(const struct http_listener *listener, SSL_CTX *previous,
		      struct atom_error *err)
{
	SSL_CTX *tls;

	ERR_clear_error();
	tls = SSL_CTX_new(TLS_server_method());
	if (!tls || !base_settings(tls)) {
		(void)atom_fail(err, ATOM_ENOMEM, "listener %s: TLS: %s",
				listener->name, reason());
		goto fail;
	}
	if (load_files(tls, listener, err) != ATOM_OK)
		goto fail;
	keep_tickets(tls, previous, listener);
	return tls;
fail:
	SSL_CTX_free(tls);
	ERR_clear_error();
	return NULL;
}

enum http_handshake http_tls_handshake(struct http_connection *c)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(c->ssl);
	c->blocked = false;
	if (result == 1)
		return HANDSHAKE_DONE;
	switch (SSL_get_error(c->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return HANDSHAKE_MORE;
	case SSL_ERROR_WANT_WRITE:
		c->blocked = true;
		return HANDSHAKE_MORE;
	default:
		break;
	}
	return ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST
		       ? HANDSHAKE_PLAIN
		       : HANDSHAKE_FAILED;
}
