/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SYSLOG_STREAM_H
#define AUDIT_SYSLOG_STREAM_H

/*
 * A TCP connection to the receiver, with TLS in it or not, that never waits
 * longer than it is told and never raises SIGPIPE.
 *
 * Positions count bytes as they go over the wire.  What has been put up to a
 * position has left this machine for sure when stream_acknowledged() has
 * reached it: the receiver's TCP has it then.  Whether its program ever read
 * it, syslog has no word to ask.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "plugins/audit/syslog/address.h"
#include "plugins/audit/syslog/tls.h"

struct stream {
	int fd; /* -1: closed */
	struct tls *tls;
	char *out; /* put and not sent yet */
	size_t out_at;
	size_t out_length;
	size_t out_capacity;
	uint64_t sent; /* given to the socket */
};

void stream_init(struct stream *stream);
/* Tries each address in turn. `context` NULL: without TLS. */
atom_status stream_open(struct stream *stream, const struct addrinfo *list,
			struct tls_context *context, int64_t deadline,
			struct atom_error *err);
/* `politely`: says TLS's goodbye. */
void stream_close(struct stream *stream, bool politely);
/* Buffers; *position_r is where it ends on the wire. */
atom_status stream_put(struct stream *stream, const char *bytes, size_t length,
		       uint64_t *position_r, struct atom_error *err);
size_t stream_buffered(const struct stream *stream);
/* Sends what is buffered.  ATOM_ETIMEOUT: the rest stays buffered and the
 * connection is still good. */
atom_status stream_flush(struct stream *stream, int64_t deadline,
			 struct atom_error *err);
/* Is the receiver still there, as far as we have been told? */
atom_status stream_check(struct stream *stream, struct atom_error *err);
/* The position up to which the receiver's TCP has taken everything; from a
 * connection that a stream_check() right after finds dead, it means
 * nothing. */
uint64_t stream_acknowledged(const struct stream *stream);

#endif
