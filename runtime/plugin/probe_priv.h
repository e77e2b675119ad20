/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_PROBE_PRIV_H
#define PLUGIN_PROBE_PRIV_H

/*
 * One child of a helper, between the files that start it, read it and judge
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
/* The refusal of a plugin with more than PROBE_ANSWER_MAX to say. */
#define PROBE_TOO_MUCH "describes itself in more than 4 MiB"
#define PROBE_LINE_MAX (2 * PROBE_ANSWER_MAX)

#define PROBE_FD 3 /* the helper's first file */
/* Where a child answers, and above which all pipes are. */
#define PROBE_ANSWER_FD (PROBE_FD + PROBE_FILES_MAX)

/* What a helper has found out about one file. */
struct probe_result {
	int fd;
	json_t *answer; /* its shape checked */
	char *refusal;
	bool passing; /* the refusal is not the plugin's fault */
};

struct probe_child {
	pid_t pid; /* 0: none */
	int pidfd;
	int answer_fd;
	int said_fd;
	bool timed_out;
	int64_t deadline_ns;
	struct probe_result *result;
	struct buffer answer;
	struct buffer said;
};

struct probe_told {
	bool heard;   /* the helper told of this file */
	bool lasting; /* what it told is the plugin's doing */
};

/* Runs a helper for all of `jobs`, at most PROBE_FILES_MAX.  False where
 * something ended it, so that files it did not tell of are refused which may
 * be innocent of that. */
bool probe_helper_run(struct probe_job *const *jobs, size_t count,
		      struct probe_told *told);

/* Forks it, for one file or for several together; only in a process of one
 * thread.  False when it could not be started, with the refusal of the first
 * file. */
bool probe_child_start(struct probe_child *child, struct probe_result *results,
		       size_t count);
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
ATOM_PRINTF(1, 2)
char *probe_refusal(const char *format, ...);

/* May an answer be handed to the daemon? */
bool probe_answer_shaped(const json_t *answer);

/* The child's life.  Of one file: its stages and its answer.  Of several: a
 * line {"file": N, "answer": {...}} for each that is in order.  What the
 * plugins print goes to `said_fd`. */
_Noreturn void probe_child_main(const struct probe_result *results,
				size_t count, int answer_fd, int said_fd);

#endif
