/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_TLS_PRIV_H
#define HTTP_TLS_PRIV_H

/*
 * TLS of the server: contexts (tls.c), the keys of session tickets
 * (tls_ticket.c), when certificates expire (tls_expiry.c), and the
 * certificates of clients (tls_client.c).
 */

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/plugin.h>

struct http_connection;
struct http_listener;
struct http_server;

/* OpenSSL's first reason for what has just failed. */
const char *http_tls_reason(void);

/* A context of the listener's files as they are now; NULL with `err`.
 * [control] */
SSL_CTX *http_tls_new(const struct http_listener *listener,
		      struct atom_error *err);

/* Go on with the handshake. */
enum http_handshake {
	HANDSHAKE_DONE,
	HANDSHAKE_MORE,
	HANDSHAKE_FAILED,
	HANDSHAKE_PLAIN, /* the peer speaks HTTP without TLS */
};
enum http_handshake http_tls_handshake(struct http_connection *c);

/* --- session tickets --------------------------------------------------------- */

/* New keys; sessions under the ones before are still taken, older ones make
 * a full handshake.  The first call makes the first keys. [control] */
atom_status http_tickets_rotate(struct atom_error *err);
/* The context's tickets are made with these keys. */
void http_tickets_use(SSL_CTX *tls);
void http_tickets_fini(void);

/* --- when certificates expire ------------------------------------------------- */

/* Declares the metric. */
atom_status http_expiry_init(struct atom_error *err);
/* [control] The listener has a new context: its metric, the log line when
 * the end is near. */
void http_expiry_renewed(struct http_listener *listener);
/* Looks at all of them: hourly.  Also tells health. */
void http_expiry_check(struct http_server *server);
/* The listener is gone. */
void http_expiry_forget(const struct http_listener *listener);

/* --- certificates of clients --------------------------------------------------- */

/* The authorities and revocation lists of client certificates. */
atom_status http_tls_ask_clients(SSL_CTX *tls,
				 const struct http_listener *listener,
				 struct atom_error *err);
void http_certificate_free(struct http_connection *c);

#endif
