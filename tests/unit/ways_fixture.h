/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_WAYS_FIXTURE_H
#define TESTS_WAYS_FIXTURE_H

/*
 * A machine on which the loops' connections to addresses that are nobody's end
 * where a test wants: at a server, at a listener that takes nobody, or nowhere.
 * Every name that is looked up has all of them.  It notes which are tried and
 * counts the sockets that are open.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define WAYS_MAX  15
#define WAYS_DEAF 4 /* who fill a listener's queue */

enum end {
	END_NONE, /* of the list */
	END_LIVE,
	END_DEAF,
	END_REFUSES,
	END_NOWHERE,
};

extern struct way {
	const char *address;
	enum end end;
} ways[WAYS_MAX + 1];

extern char ways_tried[512];	  /* "192.0.2.1 2001:db8::1 " */
extern atomic_bool ways_are_real; /* addresses lead where they always do */
extern atomic_int ways_open;	  /* sockets */
extern atomic_int ways_socket_failures; /* that the next so many are */
/* As if the time had passed, for the loops. */
extern atomic_long ways_clock_jump_s;

/* Takes the machine's place; a server listens at that port of 127.0.0.1. */
void ways_begin(int live_port);
/* The list ends behind `place`. */
void ways_lead(size_t place, const char *address, enum end end);
/* A bound socket listens and takes nobody, for its queue is full: its port,
 * or -1. */
int ways_fill_listener(int fd, int *others);

#endif
