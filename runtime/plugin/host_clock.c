/* SPDX-License-Identifier: Apache-2.0 */

/* atom.clock/1 and atom.secret/1: the seam's clock and randomness, and the
 * log's list of secrets. */

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/os.h"
#include "plugin/host_priv.h"

static int64_t monotonic_ns(const struct atom_host *host)
{
	(void)host;
	return os.monotonic_ns();
}

static int64_t realtime_ms(const struct atom_host *host)
{
	(void)host;
	return os.realtime_ms();
}

static size_t redact(const struct atom_host *host, char *text)
{
	(void)host;
	return text != NULL ? log_redact(text) : 0;
}

static void wipe(void *bytes, size_t length)
{
	if (bytes != NULL)
		explicit_bzero(bytes, length);
}

static atom_status random_bytes(void *bytes, size_t length,
				struct atom_error *err)
{
	if (os.random(bytes, length) != 0)
		return atom_fail(err, ATOM_EIO, "no random bytes: %s",
				 strerror(errno));
	return ATOM_OK;
}

const struct atom_clock host_clock_service = {
	.struct_size = sizeof(struct atom_clock),
	.monotonic_ns = monotonic_ns,
	.realtime_ms = realtime_ms,
};

const struct atom_secret host_secret_service = {
	.struct_size = sizeof(struct atom_secret),
	.redact = redact,
	.wipe = wipe,
	.random = random_bytes,
};
