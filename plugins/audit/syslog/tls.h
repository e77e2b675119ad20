/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_TLS_H
#define AUDIT_SYSLOG_TLS_H

/*
 * TLS for a stream (RFC 5425), over memory: OpenSSL never sees the socket,
 * so that deadlines, SIGPIPE and the count of bytes on their way are the
 * stream's affair alone.
 *
 * The receiver's certificate is verified against `ca_file` (empty: the
 * system's authorities) and must name `server_name`.  TLS 1.2 and up.
 */

#include <stdbool.h>
#include <stddef.h>

#include <atomd/plugin.h>

struct tls_settings {
	const char *ca_file;	 /* "" = the system's */
	const char *certificate; /* of the client, PEM chain; "" = none */
	const char *key;	 /* "" = in `certificate` */
	const char *server_name; /* a name or an address */
	bool verify;
};

struct tls_context;
struct tls;

/* Reads the files. */
atom_status tls_context_new(const struct tls_settings *settings,
			    struct tls_context **context_r,
			    struct atom_error *err);
void tls_context_free(struct tls_context **context);
bool tls_context_has_certificate(const struct tls_context *context);

atom_status tls_new(struct tls_context *context, struct tls **tls_r,
		    struct atom_error *err);
void tls_free(struct tls **tls);

/* What came from the receiver. */
atom_status tls_received(struct tls *tls, const char *bytes, size_t length,
			 struct atom_error *err);
/* Takes up to `room` bytes that must go to the receiver. */
size_t tls_take(struct tls *tls, char *out, size_t room);
/* A step of the handshake: ATOM_OK done, ATOM_EBUSY after tls_take() wait
 * for more from the receiver. */
atom_status tls_handshake(struct tls *tls, struct atom_error *err);
/* Encrypts; the result is for tls_take(). */
atom_status tls_write(struct tls *tls, const char *bytes, size_t length,
		      struct atom_error *err);
/* Works on what was received and throws the receiver's words away: syslog
 * goes one way.  ATOM_EIO: the receiver has closed or refused. */
atom_status tls_read(struct tls *tls, struct atom_error *err);
/* Tell the receiver that this is the end; for tls_take(). */
void tls_shutdown(struct tls *tls);
/* Of this connection: TLS 1.3, where the receiver judges our certificate
 * after our handshake is over. */
bool tls_judges_late(const struct tls *tls);

#endif
