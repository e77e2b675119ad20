/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DIRECTORY_H
#define AGENT_DIRECTORY_H

/*
 * The routing snapshot: which agents there are and which revisions answer.
 *
 * Immutable; control publishes a new one and retires the old one (qsbr.h).  A
 * serving loop looks a name up within one iteration and takes a reference on
 * the revision when a call shall live on.  The look-up is one hash, whatever
 * the number of agents.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "agent/trial.h"
#include "config/config.h"
#include "core/loop.h"
#include "core/metric.h"

struct agent;
struct agent_limits;
struct revision;

/* Where a call wants to go. */
struct route_wish {
	const char *agent;
	size_t agent_length;
	const char *principal;
	const char *session;  /* NULL: none */
	const char *revision; /* a preview: this one's number; NULL: any */
	bool mirrors;	      /* who asks can repeat it, and have it graded */
};

enum route_result {
	ROUTE_FOUND,
	ROUTE_NO_AGENT,
	ROUTE_NO_REVISION /* not alive, or none of its instances is ready */
};

/* [loop] The revision a new call goes to, with references for the caller.
 * While two revisions share an agent's calls, a session goes where its hash
 * says and any other call is drawn; who wants a revision gets it, and is not
 * counted with those that were drawn. */
enum route_result directory_route(const struct route_wish *wish,
				  struct revision **revision_r,
				  struct assignment *assignment_r);
/* Where a mirrored call goes. */
struct mirror_route {
	struct revision *revision; /* a reference */
	int32_t cell;		   /* of the pair, in the trial */
	int64_t budget;		   /* tokens an hour; 0: any */
};
/* [loop] The new revision of this trial, if calls are mirrored to it still. */
bool directory_mirror(const char *agent, size_t length,
		      const struct trial *trial, struct mirror_route *route_r);
/* [loop] The agent's stable revision, with a reference, or NULL. */
struct revision *directory_find(const char *agent, size_t length);
/* [loop] [control] Visits every agent's serving revision in order of names.
 * No references are taken: use it within the visit. */
void directory_visit(void (*visit)(void *argument, struct revision *revision),
		     void *argument);

/* --- what a revision tells: immutable, any thread holding a reference ----- */

void revision_ref(struct revision *revision);
void revision_unref(struct revision *revision);
const char *revision_agent(const struct revision *revision);
int64_t revision_number(const struct revision *revision);
/* "3": for headers and labels. */
const char *revision_label(const struct revision *revision);
const struct config_agent *revision_config(const struct revision *revision);
/* Calls go to another one: who has not begun better goes there too. */
bool revision_retires(const struct revision *revision);
/* Unix time in seconds when it was made, for /v1/models. */
int64_t revision_created_s(const struct revision *revision);
/* max_tokens for a call that states none; 0 = leave it alone. */
int64_t revision_max_tokens(const struct revision *revision);

/* Of its agent; there as long as the reference. */
struct agent_limits *revision_limits(const struct revision *revision);

/* Counts a finished exchange: requests_total{agent,revision,code}, durations,
 * first token, tokens.  Times in ns, 0 = did not happen. [loop] */
#define REVISION_CLIENT_GONE 499 /* nobody waited, in nginx's words */
struct revision_outcome {
	int http_status;
	bool called; /* it was given to the revision */
	bool stream;
	bool invalid_json; /* JSON was asked for, and did not come */
	int64_t began_ns;
	int64_t granted_ns;
	int64_t first_emit_ns;
	int64_t ended_ns;
	int64_t input_tokens;
	int64_t output_tokens;
	/* For exemplars; "" or NULL: has none. */
	const char *trace_id;
	const char *request_id;
};
void revision_count(struct revision *revision,
		    const struct revision_outcome *outcome);

#endif
