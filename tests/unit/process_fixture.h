/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCESS_FIXTURE_H
#define PROCESS_FIXTURE_H

/*
 * The process service on a real loop, a child on it, and what its loop has
 * been told of the child.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <atomd/host.h>

#include "tap.h"

#define WAIT_S 20

/* --- waiting -------------------------------------------------------------- */

extern pthread_mutex_t lock;
extern pthread_cond_t changed;

void lock_all(void);
/* And wakes who waits. */
void unlock_all(void);

/* Until `condition`, looked at with the lock held, is true. */
#define AWAIT(condition)                                              \
	do {                                                          \
		struct timespec end_;                                 \
		CHECK(clock_gettime(CLOCK_REALTIME, &end_) == 0);     \
		end_.tv_sec += WAIT_S;                                \
		lock_all();                                           \
		while (!(condition))                                  \
			CHECK(pthread_cond_timedwait(&changed, &lock, \
						     &end_) == 0);    \
		unlock_all();                                         \
	} while (0)

/* What no event tells of: asked again every few milliseconds. */
#define POLL(condition)                                  \
	do {                                             \
		struct timespec pause_ = { 0, 5000000 }; \
		int turns_ = WAIT_S * 200;               \
		while (!(condition) && turns_-- > 0)     \
			(void)nanosleep(&pause_, NULL);  \
		CHECK(turns_ > 0);                       \
	} while (0)

/* --- the loop ------------------------------------------------------------- */

extern const struct atom_process *process;

/* Loops that run, and their end: once each in a test. */
void start(void);
void stop(void);
/* Runs it on the loop that serves, and waits for that. */
void on_loop(void (*run)(void *argument), void *argument);

/* --- children ------------------------------------------------------------- */

/* What a child's loop has been told. */
struct child {
	struct atom_process_handle *handle;
	char *data;
	size_t length;
	int drained;
	int closed;
	int exited;
	int after_end; /* events that came behind the last one */
	int32_t exit_code;
	int32_t signal;
	bool free_in_data;
};

/* `err` may be NULL; without success the child has nothing but its data. */
atom_status try_spawn(struct child *c,
		      const struct atom_process_request *request,
		      struct atom_error *err);
/* A child that runs it. */
void shell(struct child *c, const char *script);
void child_end(struct child *c);

atom_status child_write(struct child *c, const char *bytes, size_t length);
/* The number in the first line of what it said. */
pid_t number_in(struct child *c);

/* Neither running nor a zombie. */
bool gone(pid_t pid);
/* Or a zombie that nobody has reaped yet. */
bool dead(pid_t pid);

/* --- the whole ------------------------------------------------------------ */

/* In the log of this program. */
bool logged(const char *text);

/* Runs the tests with a log of their own; what main() returns. */
int process_main(const struct tap_test *all, int count);

#endif
