/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMPLIANCE_PROBE_H
#define COMPLIANCE_PROBE_H

/*
 * How a run looks at the daemon from outside: requests and TLS handshakes to
 * its own listeners, each bounded by PROBE_MS, and words looked for in files.
 * [pool] all of it: these block.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include <atomd/plugin.h>

#define PROBE_MS 2000

/* "127.0.0.1:8080" "[::]:80" (then by loopback) "unix:/path". */
bool probe_is_unix(const char *address);
/* Only reachable from this machine? */
bool probe_is_loopback(const char *address);

struct probe_request {
	const char *address;
	bool tls;
	const char *method;
	const char *path;
	const char *key;	/* sent as Bearer; NULL = none */
	size_t padding;		/* bytes of a further header field */
	int64_t content_length; /* declared, never sent; 0 = none */
	const char *body;	/* sent; NULL = none */
};

/* One request on a connection of its own; *status_r is the answer's. */
atom_status probe_ask(const struct probe_request *request, int *status_r,
		      struct atom_error *err);

/* What came of a handshake. */
struct probe_handshake {
	bool reached; /* a connection was made */
	bool done;    /* the handshake succeeded */
	char version[16];
	char cipher[64];
	char refusal[160]; /* why not */
	int64_t not_after_ms;
	int key_bits;
};

/* A handshake that offers these versions only (TLS1_VERSION ...), certificate
 * unchecked, security level lowered so that old versions are really tried. */
void probe_tls(const char *address, int version_min, int version_max,
	       struct probe_handshake *handshake_r);

/* The words looked for, and what was read. */
struct probe_search {
	const char *const *words; /* NULL-ended */
	int64_t bytes_max;
	uint64_t files;
	int64_t bytes;
	bool cut;	   /* bytes_max was reached */
	char found[256];   /* the first file that holds one, or "" */
	size_t found_word; /* its index */
};

/* Looks through every regular file below `folder`, links not followed. */
atom_status probe_files(const char *folder, struct probe_search *search,
			struct atom_error *err);

/* Visits every file and folder below `folder`, itself included; non-zero ends
 * it.  `mode` is st_mode. */
atom_status probe_walk(const char *folder,
		       int (*visit)(void *argument, const char *path,
				    unsigned int mode),
		       void *argument, struct atom_error *err);

#endif
