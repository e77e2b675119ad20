/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and 1.3 by OpenSSL.  A context is made by control from the files as
 * they are now; handshakes that have begun keep the one they began with.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "core/memory.h"
#include "http/server_priv.h"
#include "http/tls_priv.h"

/* Mozilla's "intermediate" list of 2024 for TLS 1.2, without DHE; TLS 1.3 has
 * only sound ones. */
#define CIPHERS                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES                                           \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:" \
	"TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS	       "X25519:P-256"
#define SECURITY_LEVEL 2 /* 112 bits: RSA of 2,048, no SHA-1 */

const char *http_tls_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		text = strerror(ERR_GET_REASON(code));
	else if (ERR_GET_LIB(code) == ERR_LIB_PEM &&
		 ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		text = "there is nothing of that kind in PEM form in it";
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
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_security_level(tls, SECURITY_LEVEL);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* Tickets alone: a cache would be shared, and locked, by all loops. */
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	http_tickets_use(tls);
	SSL_CTX_set_alpn_select_cb(tls, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(tls, CIPHERS) == 1 &&
	       SSL_CTX_set_ciphersuites(tls, SUITES) == 1 &&
	       SSL_CTX_set1_groups_list(tls, GROUPS) == 1 &&
	       SSL_CTX_set_session_id_context(tls, context,
					      sizeof(context) - 1) == 1;
}

static atom_status load_files(SSL_CTX *tls,
			      const struct http_listener *listener,
			      struct atom_error *err)
{
	if (SSL_CTX_use_certificate_chain_file(tls, listener->certificate) != 1)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: certificate %s: %s",
				 listener->name, listener->certificate,
				 http_tls_reason());
	if (SSL_CTX_use_PrivateKey_file(tls, listener->key, SSL_FILETYPE_PEM) ==
		    1 &&
	    SSL_CTX_check_private_key(tls) == 1)
		return *listener->client_ca
			       ? http_tls_ask_clients(tls, listener, err)
			       : ATOM_OK;
	if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH ||
	    ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_TYPE_MISMATCH)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: key %s does not belong to "
				 "certificate %s",
				 listener->name, listener->key,
				 listener->certificate);
	return atom_fail(err, ATOM_EINVAL, "listener %s: key %s: %s",
			 listener->name, listener->key, http_tls_reason());
}

SSL_CTX *http_tls_new(const struct http_listener *listener,
		      struct atom_error *err)
{
	SSL_CTX *tls;

	ERR_clear_error();
	tls = SSL_CTX_new(TLS_server_method());
	if (!tls || !base_settings(tls)) {
		(void)atom_fail(err, ATOM_ENOMEM, "listener %s: TLS: %s",
				listener->name, http_tls_reason());
		goto fail;
	}
	if (load_files(tls, listener, err) != ATOM_OK)
		goto fail;
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
