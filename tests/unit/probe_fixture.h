/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_PROBE_FIXTURE_H
#define TESTS_PROBE_FIXTURE_H

/*
 * A transfer of atom.http/1 that is begun on loop 0 and waited for on the
 * test's own thread: it collects what comes, and checks that callbacks come in
 * order, never from inside `start`, and end once.
 */

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <atomd/host.h>

#include "core/buffer.h"
#include "core/loop.h"
#include "tap.h"

/* Of the test's component; set by probe_main(). */
extern const struct atom_http *http;

struct probe {
	struct message message;
	struct atom_http_request request;
	struct atom_span body;
	/* What it does besides collecting. */
	void (*on_head)(struct probe *probe);
	void (*on_data)(struct probe *probe);
	void (*on_end)(struct probe *probe);
	void (*on_started)(struct probe *probe);
	/* What came. */
	struct atom_http_transfer *transfer;
	atom_status started;
	atom_status status;
	struct atom_error error;
	int32_t http_status;
	int32_t request_sent;
	char type[64];
	struct buffer got;
	unsigned int heads, pieces, ends;
	atomic_bool returned; /* start() */
	char url[96];
	struct timer timer;
	sem_t ended;
};

/* The URL is copied. */
void probe_prepare(struct probe *probe, const char *method, const char *url);
void probe_begin(struct probe *probe); /* on loop 0 */
void probe_start_here(struct probe *probe);
void probe_wait(struct probe *probe);
void probe_run(struct probe *probe);
void probe_fini(struct probe *probe);
/* It has got exactly this. */
bool probe_got(const struct probe *probe, const char *text);
void probe_until(unsigned int (*value)(void), unsigned int wanted);

/* Runs the tests with two loops and the service. */
void probe_main(const struct tap_test *all, int count);

#endif
