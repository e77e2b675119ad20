/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_PROCESS_PRIV_H
#define PLUGIN_HOST_PROCESS_PRIV_H

/*
 * Parts of the process service: host_process.c (the service and a child's
 * life on its loop), process_spawn.c (from a request to a running child),
 * process_output.c (its standard output and error as log lines),
 * process_tree.c (what /proc tells of trees of processes).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include <atomd/host.h>

#include "core/buffer.h"
#include "core/loop.h"

/* --- process_spawn.c ---------------------------------------------------------- */

struct spawned {
	pid_t pid;
	int pidfd;
	int socket;	/* our end of the protocol socket, non-blocking */
	int outputs[2]; /* the child's stdout and stderr, -1 when it has none */
	int failure;	/* tells why exec failed; end of file when it did not */
};

/* What a child that could not exec writes before it ends. */
struct spawn_failure {
	int32_t error; /* errno */
	int32_t step;
};
const char *spawn_step_name(int32_t step);

/* Checks command, directory and user first, so that the usual mistakes come
 * back as sentences; forks. [loop] */
atom_status process_spawn(const struct atom_process_request *request,
			  struct spawned *spawned_r, struct atom_error *err);

/* --- process_output.c --------------------------------------------------------- */

struct output {
	const char *name; /* "stdout" "stderr" */
	char instance[96];
	struct buffer line;
	int64_t second; /* of the rate limit */
	unsigned int lines;
	uint64_t dropped;
};

void output_init(struct output *output, const char *name, const char *instance);
void output_feed(struct output *output, const char *bytes, size_t length);
/* What is left without a line end becomes a line. */
void output_end(struct output *output);

/* --- process_tree.c ------------------------------------------------------------- */

/* Resident bytes and CPU time of a process and its descendants. */
atom_status tree_usage(pid_t pid, struct atom_process_usage *usage_r);
bool tree_is_descendant(pid_t pid);
/* Reaps orphans that fell to the daemon (it is their subreaper). */
void tree_reap_orphans(void);

#endif
