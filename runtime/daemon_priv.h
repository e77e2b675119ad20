/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DAEMON_PRIV_H
#define DAEMON_PRIV_H

/*
 * What daemon.c (life), daemon_signals.c, daemon_reload.c, daemon_listeners.c,
 * daemon_audit.c (what is recorded of it), daemon_watch.c (plugin folders) and
 * daemon_parts.c (store, privileges) share.  [control]
 */

#include <uv.h>

#include "core/loop.h"
#include "core/metric.h"
#include "daemon.h"
#include "gateway/gateway.h"
#include "http/server.h"
#include "plugin/options.h"

struct daemon {
	struct daemon_options options;
	struct config *config;
	struct http_server *server;
	struct configured *store;
	uv_poll_t signals;
	int signals_fd;
	struct timer tick;
	int64_t memory_rest;  /* neither in use nor to be given back */
	int64_t memory_spare; /* beside it, at the last look */
	int64_t memory_next_ms;
	int64_t memory_cpu_ms;	  /* used until the last look */
	int64_t memory_settled;	  /* shared with files, when it last settled */
	int64_t memory_settle_ms; /* not before */
	int64_t watchdog_ms;
	int64_t watchdog_next_ms;
	metric_id reloads[2]; /* ok, failed */
	bool started;
	bool healthy;
	bool audit_late; /* the audit log opens still */
	bool no_keyring; /* the start failed because it did not open */
	bool threaded;	 /* the loops have their threads */
	int stopping;	 /* parts that have not stopped yet */
};

extern struct daemon daemon_state;

atom_status daemon_read_config(const struct daemon_options *options,
			       struct config **config_r, struct buffer *errors);
/* Where plugins are looked for, NULL-ended; mem_free() it, and nothing in
 * it, before `config` goes. */
atom_status daemon_plugin_directories(const struct config *config,
				      const char ***directories_r,
				      struct atom_error *err);
/* A reload, at its turn; for gateway_hooks. */
void daemon_reload(struct reload_order *order);
void daemon_on_hangup(void);
/* Looks through the plugin folders, in its turn among reloads. */
void daemon_on_plugins_changed(void);
void daemon_on_terminate(void);
/* Takes up how the agents are, and with it the start's last step: once a
 * second, and when a reload has ended. */
void daemon_look(void);
/* Before the first thread: SIGTERM, SIGINT and SIGHUP end nobody any more. */
void daemon_block_signals(void);
/* From now on each of them ends the process at once. */
void daemon_unblock_signals(void);
/* Calls daemon_on_hangup() and daemon_on_terminate() from now on. */
atom_status daemon_watch_signals(struct atom_error *err);
void daemon_unwatch_signals(void);
/* daemon_on_plugins_changed() when a file of theirs comes, changes or goes, if
 * the configuration wants that; in place of those watched before. */
void daemon_watch_plugins(const struct config *config);
void daemon_unwatch_plugins(void);
atom_status daemon_check_store(const struct config *config,
			       struct buffer *errors, struct atom_error *err);
atom_status daemon_open_store(const struct config *config,
			      struct atom_error *err);
/* Are the files of listeners that are new or changed sound (`now` NULL: all)?
 * Changes nothing. */
atom_status daemon_check_listeners(const struct config *now,
				   const struct config *next,
				   struct atom_error *err);
atom_status daemon_listen(const struct config *config, struct atom_error *err);
/* A reload's new listeners are bound, before anything else of it counts; on
 * failure none of them. */
atom_status daemon_add_listeners(const struct config *next,
				 struct atom_error *err);
/* The first `count` of them are given up again. */
void daemon_drop_listeners(const struct config *next, size_t count);
/* They accept; listeners gone are closed, changed ones changed. */
void daemon_update_listeners(const struct config *next);
/* Where it is missing, 0700, with the folders above it.  Before the listeners:
 * a socket may be put into it, and then the listener would make it, readable
 * for all.  What goes wrong the store tells. */
void daemon_make_state_folder(const struct config *config);
/* `user`: switch to it, once sockets are bound. */
atom_status daemon_drop_privileges(const struct config *config,
				   struct atom_error *err);
/* The resident set; what a load has left of it goes back to the system. */
int64_t daemon_memory(struct daemon *d);
void daemon_build_info(void);
/* The metrics of the disk that the state folder is on. */
atom_status daemon_watch_disk(const struct config *config);
/* What the metrics were, from now on and over restarts. */
atom_status daemon_start_history(const struct config *config,
				 struct atom_error *err);
/* On a terminal: the lines a newcomer tries first. */
void daemon_greet(void);
/* The daemon's own events, recorded. */
void daemon_audit_start(const struct config *config);
/* `needs_restart` (may be NULL): a key of the applied configuration. */
void daemon_audit_reload(bool applied, const char *needs_restart,
			 const struct buffer *errors);
/* While the loops are still there, and after they have ended. */
void daemon_audit_end(void);
/* Frees whatever was made, in reverse order; where a thread of the pool does
 * not come back it ends the process with this status instead. */
void daemon_free(int exit_status);

#endif
