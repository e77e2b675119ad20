/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_PROBE_PRIV_H
#define PLUGIN_PROBE_PRIV_H

/*
 * One child of a probe, between the files that start it, read it and judge
 * it.
 *
 *	start -> (answer and what it says are read) -> ended -> judged
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/buffer.h"
#include "plugin/probe.h"

#define PROBE_SAID_MAX 4096 /* bytes kept of what a plugin prints */

struct probe_child {
	pid_t pid; /* 0: none */
	int pidfd;
	int answer_fd;
	int said_fd;
	bool timed_out;
	int64_t deadline_ns;
	struct probe_job *job;
	struct buffer answer;
	struct buffer said;
};

extern const char *probe_program;

/* False when it could not be started: the job is refused then, and that is
 * not to be remembered, for it was not the plugin's fault. */
bool probe_child_start(struct probe_child *child, struct probe_job *job);
/* Takes what there is to read, without waiting. */
void probe_child_read(struct probe_child *child);
/* Kills it once its time is over; when even that does not end it, true: give
 * it up. */
bool probe_child_late(struct probe_child *child, int64_t now_ns);
/* Its process is a zombie: reap it and what it left behind. */
int probe_child_reap(struct probe_child *child);
void probe_child_fini(struct probe_child *child);

/* Answer or refusal, from what was read and its wait status. */
void probe_judge(struct probe_child *child, int wait_status);
ATOM_PRINTF(2, 3)
void probe_refuse(struct probe_job *job, const char *format, ...);

#endif
