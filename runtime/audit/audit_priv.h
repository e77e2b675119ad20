/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_AUDIT_PRIV_H
#define AUDIT_AUDIT_PRIV_H

/*
 * What the parts of the audit log share: the log's head, batches and the
 * window of the last ones, sinks, and the sequencer's thread that joins them.
 */

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include <atomd/audit.h>

#include "audit/audit.h"
#include "audit/note.h"
#include "core/mailbox.h"
#include "core/metric.h"
#include "plugin/options.h"

/* --- the head of the log: recovery.c -------------------------------------- */

struct audit_log {
	char directory[PATH_MAX]; /* the state folder: key, last head */
	struct note_signer signer;
	char verifier[NOTE_VERIFIER_MAX];
	uint64_t sequence;	  /* of the last record */
	uint8_t hash[CHAIN_HASH]; /* its hash */
	struct tree_range range;  /* over all of them */
	uint64_t signed_sequence; /* of the last signed head */
};

/* [sink's thread] Takes the log up where the required sink left it: key, last
 * head, chain and range are checked against each other.  ATOM_EDATALOSS: they
 * contradict each other; `err` says where and what to do. */
atom_status recovery_run(struct audit_log *log,
			 const struct atom_audit_ops *ops, void *self,
			 struct atom_error *err);
/* The record is the next one: chain and tree go on.  False: no memory, and
 * nothing has changed. */
bool log_step(struct audit_log *log, struct atom_audit_record *record);

/* --- the key and the last head as files: key_file.c ------------------------ */

/* `audit.key` of the folder.  ATOM_ENOENT: there is none. */
atom_status key_file_read(const char *directory, struct note_signer *signer_r,
			  struct atom_error *err);
/* A new log: a new id and a new key, in place of an older one. */
atom_status key_file_make(const char *directory, struct note_signer *signer_r,
			  struct atom_error *err);
/* `audit.head`: the note signed last, so that a log that has lost its end is
 * told from one that never had it.  Replaced whole; not synced. */
atom_status head_file_write(const char *directory, const char *note,
			    size_t length, struct atom_error *err);
/* *length_r = 0 when there is none. */
atom_status head_file_read(const char *directory, char note[NOTE_READ_MAX + 1],
			   size_t *length_r, struct atom_error *err);
void head_file_remove(const char *directory);

/* --- batches and the window: window.c -------------------------------------- */

/* Records that were written and synced together.  Counted; immutable once it
 * is in the window. */
struct audit_batch {
	_Atomic int references;
	size_t count;
	size_t room;
	struct atom_audit_record *records;
	size_t *starts; /* of each line, while `json` still grows */
	struct buffer json;
};

/* Batches of up to so many records use each other's memory again. */
#define BATCH_SPARE_RECORDS 2048

struct audit_head {
	_Atomic int references;
	struct atom_audit_checkpoint checkpoint;
	char note[NOTE_TEXT_MAX];
	char verifier[NOTE_VERIFIER_MAX];
	uint8_t range[TREE_RANGE_MAX][TREE_HASH];
};

struct audit_batch *batch_new(size_t room);
struct audit_batch *batch_ref(struct audit_batch *batch);
void batch_unref(struct audit_batch **batch);
/* All lines are there: records get pointers to them. */
void batch_seal(struct audit_batch *batch);
uint64_t batch_first(const struct audit_batch *batch);
uint64_t batch_last(const struct audit_batch *batch);
struct audit_head *head_ref(struct audit_head *head);
void head_unref(struct audit_head **head);

/* [sequencer] What the other sinks shall have; takes a reference. */
void window_add_batch(struct audit_batch *batch);
void window_add_head(struct audit_head *head);
void window_fini(void);

enum window_next {
	WINDOW_NOTHING, /* yet */
	WINDOW_BATCH,
	WINDOW_HEAD,
	WINDOW_BEHIND /* records up to `before_r` are gone from the window */
};
/* What comes for a sink that has the records up to `cursor` and the heads up
 * to `head`.  [audit.lock held] */
enum window_next window_next(uint64_t cursor, uint64_t head,
			     struct audit_batch **batch_r,
			     struct audit_head **head_r, uint64_t *before_r);

/* --- sinks: sink.c ----------------------------------------------------------- */

struct audit_sink {
	struct audit_sink *next;
	char name[64];	       /* the component's, "#2" behind a second one */
	struct config *config; /* holds the group */
	const struct config_component *declared;
	const struct component *component;
	struct configured *configured;
	const struct atom_audit_ops *ops;
	void *self;
	pthread_t thread;
	bool required;
	bool seen;		       /* by the reload under way */
	bool stopping;		       /* [audit.lock] */
	bool ended;		       /* [audit.lock] */
	bool failing;		       /* told; written by its thread */
	_Atomic int64_t busy_since_ns; /* in a function of the sink; 0: not */
	_Atomic bool hangs;	       /* told */
	_Atomic bool lossy;	       /* it cannot say what is durable */
	_Atomic uint64_t cursor;       /* the last record it has */
	uint64_t synced;
	uint64_t head;
	unsigned int unsynced; /* batches */

	/* Records from the required sink, fetched by the sequencer. */
	struct audit_job fetch;
	bool fetching; /* [audit.lock] */
	uint64_t fetch_before;
	struct audit_batch *fetched;
	atom_status fetch_status;

	metric_id written, taken, failed, dropped, depth, sync_seconds;
};

#define SINK_HANG_NS ((int64_t)5 * 1000000000)

/* registry_component(); programs that are not the daemon put in sinks of their
 * own. */
extern atom_status (*audit_find_component)(const char *kind, const char *name,
					   const struct component **component_r,
					   struct atom_error *err);

/* [control] Not started yet. */
struct audit_sink *sink_new(struct config *config, size_t index,
			    struct atom_error *err);
void sink_free(struct audit_sink **sink);
/* [sink's thread] create */
atom_status sink_open(struct audit_sink *sink, struct atom_error *err);
void sink_close(struct audit_sink *sink);
/* [sink's thread] write, sync, checkpoint with time and counts. */
atom_status sink_write(struct audit_sink *sink, const struct audit_batch *batch,
		       size_t from, struct atom_error *err);
atom_status sink_sync(struct audit_sink *sink, struct atom_error *err);
atom_status sink_head(struct audit_sink *sink, const struct audit_head *head,
		      struct atom_error *err);
/* [sink's thread] Its sync has said that it cannot know: told once. */
void sink_note_lossy(struct audit_sink *sink, const struct atom_error *err);
/* Has one of its functions been running for longer than that? */
bool sink_is_hanging(const struct audit_sink *sink, int64_t for_ns);
/* [sink's thread] Tells health, log and audit log of a failure, once, and of
 * its end. */
void sink_failure(struct audit_sink *sink, const struct atom_error *err);
void sink_success(struct audit_sink *sink);
/* [control] Its thread has ended: what it said of itself is over, unless
 * another sink of that name fails just now. */
void sink_forget(const struct audit_sink *ended);
/* [control] Once a second: does it hang? */
void sink_look(struct audit_sink *sink);

/* [sink's thread] ATOM_ENOTSUP: it cannot know what is durable, and cannot be
 * the required one: control actions wait for its sync. */
atom_status sink_must_be_durable(struct audit_sink *sink,
				 struct atom_error *err);

/* [control] Makes `next`, not opened yet, the required sink of the running
 * log, at a moment when nothing is under way; takes it.  ATOM_OK: *former_r is
 * closed, and the caller's to keep until the sequencer has ended.  Anything
 * else: the one before goes on as if nothing had been.  handover.c */
atom_status handover_run(struct audit_sink **next, struct audit_sink **former_r,
			 struct atom_error *err);

/* The thread of a sink that is not required: follower.c */
atom_status follower_start(struct audit_sink *sink, struct atom_error *err);

/* --- the sequencer: sequencer.c ---------------------------------------------- */

enum audit_state {
	AUDIT_OFF,     /* no sinks */
	AUDIT_OPENING, /* records wait */
	AUDIT_WELL,
	AUDIT_FAILING, /* the required sink refuses; tried again */
	AUDIT_BROKEN,  /* the log cannot be taken up: nothing is taken */
	AUDIT_ENDED
};

struct audit {
	pthread_mutex_t lock;
	pthread_cond_t wake;	/* the sequencer */
	pthread_cond_t changed; /* window, ends, fetches: everybody else */
	bool urgent, batched, stopping, ended, opened;
	int64_t batched_ns;	 /* when the batched ones shall be written */
	size_t lingers_for;	 /* the sequencer: for so many waiters */
	struct atom_error error; /* why it is BROKEN */
	size_t owed;		 /* waiters of control's, not told yet */
	bool closed;		 /* [control] it ends, and waits no more */

	_Atomic int state;
	_Atomic int calls; /* enum config_audit_calls */
	struct mailbox entries;
	struct mailbox jobs;
	_Atomic size_t waiting_bytes;
	_Atomic uint64_t waiting;
	_Atomic size_t waiters;	    /* posted, in no batch yet */
	_Atomic uint64_t gaps;	    /* records not kept, not told yet */
	_Atomic uint64_t gaps_seen; /* all of them */
	_Atomic uint64_t sequence;  /* durable */
	_Atomic unsigned int searches;
	_Atomic unsigned int followers; /* threads of other sinks */

	/* The sequencer's; another one only by handover_run(), and the one
	 * before stays in memory until the end: others may look at it. */
	struct audit_sink *_Atomic required;
	struct audit_sink *others; /* [control], list under lock */
	struct audit_log log;	   /* the sequencer's */
	bool has_metrics;
	metric_id checkpoints, gap_count, last_sequence;
	uint32_t records_family, depth_family, sync_family;
};

extern struct audit audit;

atom_status sequencer_start(struct atom_error *err);
/* [any] Gives it a job; false: it has ended, and never looks at it. */
bool sequencer_give(struct audit_job *job);
/* [sequencer] Tells a waiter on its loop. */
void audit_tell(struct audit_waiter *waiter, atom_status status);
/* [sequencer] One that control waited for by audit_post() has been told. */
void audit_paid(void);
/* A thread with all signals blocked. */
atom_status audit_thread(pthread_t *thread, const char *name,
			 void *(*start)(void *argument), void *argument,
			 struct atom_error *err);
/* Waits on `condition` until that time of os.monotonic_ns().  [lock held] */
void audit_wait(pthread_cond_t *condition, int64_t until_ns);

/* [sequencer] Reads at most `limit` records after `after` and up to `until`
 * into a new batch; ATOM_ENOTSUP: the sink cannot be read. */
atom_status audit_read(uint64_t after, uint64_t until, uint64_t limit,
		       struct audit_batch **batch_r, struct atom_error *err);

atom_status audit_metrics(struct atom_error *err);
void audit_metrics_of(struct audit_sink *sink);

#endif
