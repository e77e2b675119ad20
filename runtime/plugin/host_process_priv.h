/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_PROCESS_PRIV_H
#define PLUGIN_HOST_PROCESS_PRIV_H

/*
 * Parts of the process service: host_process.c (the service's table, and the
 * children of each loop), process_child.c (a child's life on its loop),
 * process_socket.c (its protocol socket), process_spawn.c (from a request to a
 * running child), process_output.c (its standard output and error as log
 * lines), process_tree.c (what /proc tells of trees of processes),
 * process_group.c (what control groups tell).
 *
 *	spawn -> (data, drained)* -> closed? -> exited -> free
 *
 * What ends a child is its exit, told by its pidfd.  Then what is left in its
 * socket is delivered, whether reading was paused or not, and `exited` is the
 * last event.  `free` may be called at any time, inside an event too.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include <atomd/host.h>

#include "core/buffer.h"
#include "core/loop.h"

/* A polled descriptor; freed when libuv has let go of it. */
struct watch {
	uv_poll_t poll;
	struct atom_process_handle *process;
	int fd;
};

/* --- process_output.c ----------------------------------------------------- */

struct output {
	const char *name; /* "stdout" "stderr" */
	char agent[64];	  /* "" = of none */
	char instance[96];
	struct buffer line;
	int64_t second; /* of the rate limit */
	unsigned int lines;
	uint64_t dropped;
};

void output_init(struct output *output, const char *name, const char *agent,
		 const char *instance);
void output_feed(struct output *output, const char *bytes, size_t length);
/* What is left without a line end becomes a line. */
void output_end(struct output *output);

/* --- process_spawn.c ------------------------------------------------------ */

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
bool spawn_step_is_exec(int32_t step);

/* Checks command, directory and user first, so that the usual mistakes come
 * back as sentences; returns when the child has begun to run its program.
 * [loop] */
atom_status process_spawn(const struct atom_process_request *request,
			  struct spawned *spawned_r, struct atom_error *err);

/* --- process_child.c ------------------------------------------------------ */

struct atom_process_handle {
	const struct atom_host *host;
	struct loop *loop;
	const struct atom_process_events *events;
	void *argument;
	char *program; /* for messages */
	pid_t pid;
	struct watch *socket;
	struct watch *outputs[2];
	struct watch *failure;
	struct watch *death;
	struct output lines[2];
	struct buffer unsent;
	size_t sent;  /* bytes in front of `unsent` that have gone out */
	int interest; /* UV_READABLE, UV_WRITABLE of the socket */
	bool paused;
	bool input_closed;
	bool want_drained;
	bool exited;
	bool freed;
	unsigned int busy; /* inside events */
	struct atom_process_handle *previous;
	struct atom_process_handle *next;
};

/* A child of the calling loop; its `program` is a copy. */
atom_status child_new(const struct atom_host *host,
		      const struct atom_process_request *request,
		      const struct atom_process_events *events, void *argument,
		      struct atom_process_handle **child_r,
		      struct atom_error *err);
/* To its whole group. */
void child_signal(struct atom_process_handle *p, int number);
void child_free(struct atom_process_handle *p);
/* Reaps it if it has ended: true, with the events that follow from that. */
bool child_reap(struct atom_process_handle *p);
/* Around what calls events: the second may free it. */
void child_enter(struct atom_process_handle *p);
void child_leave(struct atom_process_handle *p);
void child_unwatch(struct watch **watch);

/* --- process_socket.c ----------------------------------------------------- */

void socket_ready(uv_poll_t *poll, int status, int events);
/* Delivers what there is, and `closed` at its end. */
void socket_read_rest(struct atom_process_handle *p);
atom_status socket_write(struct atom_process_handle *p, const char *bytes,
			 size_t length);
void socket_pause(struct atom_process_handle *p);
void socket_resume(struct atom_process_handle *p);
void socket_close_input(struct atom_process_handle *p);

#define SOCKET_UNSENT_MAX ((size_t)16 * 1024 * 1024)

/* --- host_process.c ------------------------------------------------------- */

/* The children of the calling loop. */
void children_add(struct atom_process_handle *p);
void children_remove(struct atom_process_handle *p);
/* What a child leaves behind has been killed, and falls to the daemon. */
void children_reap_orphans_soon(void);

/* --- process_tree.c ------------------------------------------------------- */

/* os.vfork(), the child being remembered as ours until tree_forget():
 * everything else that falls to the daemon is an orphan. */
pid_t tree_vfork(int (*child)(void *argument), void *argument);
void tree_forget(pid_t pid);
/* Reaps the orphans that have ended (the daemon is their subreaper); returns
 * how many live on. [any] */
size_t tree_reap_orphans(void);
/* Ends all orphans: whoever started them has ended. */
void tree_kill_orphans(void);
/* Resident bytes and CPU time of a process and its descendants. */
atom_status tree_usage(pid_t pid, struct atom_process_usage *usage_r);
bool tree_is_descendant(pid_t pid);

/* --- process_group.c ------------------------------------------------------ */

/* The folder of the control group, version 2, of `pid`, if it has one that is
 * not the daemon's.  `proc` is "/proc". */
bool group_find(const char *proc, pid_t pid, char *folder, size_t size);
/* What the group counts takes the place of what `usage` holds; what it does
 * not count stays. */
void group_usage(const char *folder, struct atom_process_usage *usage);

#endif
