/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DIRECTORY_PRIV_H
#define AGENT_DIRECTORY_PRIV_H

/*
 * The writing side of the routing snapshot.  [control]
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

struct revision;
struct trial;

/* An agent's revisions and how its calls are split between them. */
struct split {
	struct revision *stable;
	struct revision *next;	   /* NULL: every call goes to stable */
	struct revision *previous; /* for those who name it; NULL */
	struct trial *trial;	   /* of next; NULL: nothing is counted */
	int32_t weight;		   /* of next, of ATOM_WEIGHT_ALL */
	int32_t mirror;		   /* of the calls, repeated by next */
	int64_t mirror_budget;	   /* tokens an hour; 0: any */
};

/* Calls go as the splits say from now on.  The snapshot takes references of
 * its own.  ATOM_ENOMEM: the old one stays. */
atom_status directory_publish(const struct split *splits, size_t count);
/* No call is routed from now on, for the daemon ends. */
void directory_clear(void);

#endif
