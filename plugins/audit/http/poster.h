/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_HTTP_POSTER_H
#define AUDIT_HTTP_POSTER_H

/*
 * One connection to the receiver, and requests over it, one at a time, on the
 * thread that has the poster.  libcurl's easy interface; each thread has an
 * easy handle of its own and nothing is shared between them.
 *
 * A request carries
 *
 *	Idempotency-Key: FIRST-LAST-DIGEST    the same for the same body
 *	X-Atomd-Sequence: FIRST-LAST          of the records covered
 *	X-Atomd-Records: COUNT                lines, checkpoints included
 *	X-Atomd-Timestamp: SECONDS            with a signature
 *	X-Atomd-Signature: v1=HEX             HMAC-SHA256 over
 *	                                      SECONDS "." BODY
 *
 * so that a receiver can drop what it has, find gaps and know the sender.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "plugins/audit/http/body.h"

struct poster_settings {
	const char *url;
	const struct atom_map *headers;
	const char *authorization; /* "" = none */
	const char *signature_key; /* "" = no signature */
	const char *ca_file;	   /* "" = the system's */
	const char *certificate;   /* "" = none */
	const char *key;	   /* "" = in `certificate` */
	const char *proxy;	   /* "" = none, the environment's too */
	int64_t connect_timeout;
	bool verify;
	bool array; /* the body is one JSON array */
	/* Becomes true: what is under way ends at once. */
	const atomic_bool *stop;
};

struct poster;

/* `settings` lives as long as the poster. */
atom_status poster_new(const struct poster_settings *settings,
		       struct poster **poster_r, struct atom_error *err);
void poster_free(struct poster **poster);

/* Within `timeout_ms`.  ATOM_OK: a 2xx has come.  On failure err->http_status
 * is the receiver's, 0 when it gave none, and err->retry_after_ms what it
 * asked for.
 *
 *	ATOM_EIO, ATOM_ETIMEOUT   not reached, or 408, 425 and 5xx: try again
 *	ATOM_EQUOTA               429: try again
 *	ATOM_ELIMIT               413: smaller, please
 *	ATOM_EPERM                anything else: it will not be taken like this
 *	ATOM_ECANCELED            `stop` */
atom_status poster_post(struct poster *poster, const struct body *body,
			int64_t timeout_ms, struct atom_error *err);

/* Is the URL http or https, with a host and without a password in it?
 * `target_r` of 256 bytes: host and port, for log lines. */
atom_status poster_check_url(const char *url, char *target_r,
			     struct atom_error *err);
/* Can the header be sent, and is it not one of ours? */
atom_status poster_check_header(const char *name, const char *value,
				struct atom_error *err);

#endif
