/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_OPENAI_FIXTURE_H
#define TESTS_UNIT_OPENAI_FIXTURE_H

/*
 * The openai backend as the daemon loads it, with the real HTTP client, in
 * front of a server that answers what each test wants.  The host's half of a
 * call is played here.
 */

#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/backend.h>

#include "core/buffer.h"
#include "core/loop.h"
#include "plugin/options.h"
#include "tap.h"

#define OPENAI_KEY "sk-test-5ecr3t-key"
#define MESSAGES   "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

/* --- one configured backend ----------------------------------------------- */

struct backend {
	struct options *options;
	void *self;
	struct buffer errors;
};

/* `more`: members of the settings, as JSON without braces. */
atom_status backend_open(struct backend *b, const char *more,
			 struct atom_error *err);
void backend_close(struct backend *b);

/* --- one call ------------------------------------------------------------- */

struct call {
	struct message message;
	struct backend backend;
	struct atom_call_request request;
	struct buffer emitted; /* kind, bytes, newline */
	struct buffer text;    /* bytes alone */
	unsigned int emits;
	unsigned int busy_every; /* EBUSY at each so many-th emit */
	unsigned int cancel_at;	 /* by the host at this emit */
	struct timer timer;
	struct atom_usage usage;
	unsigned int usages, finishes;
	atom_status invoked;
	atom_status status;
	struct atom_error error;
	sem_t ended;
};

/* A call of a backend of its own, with `more` settings; `body` NULL: an
 * invoke.  It changes what it wants of the request before call_run(). */
void call_open(struct call *call, const char *more, const char *body,
	       uint32_t flags);
/* Until it has ended, and the server is done with it. */
void call_run(struct call *call);
void call_close(struct call *call);
/* Open with no more settings, and run. */
void call_plain(struct call *call, const char *body, uint32_t flags);

/* --- what the server does ------------------------------------------------- */

/* Set before a call, read by the server's thread. */
struct answer {
	const char *status; /* "200 OK" */
	const char *fields;
	const char *body;
	const char *const *chunks; /* NULL-ended: a stream */
	bool cut;		   /* no last chunk */
	bool hangs;		   /* nothing behind the chunks */
};

extern struct answer answer;

/* 200, JSON, and an empty body. */
void answer_reset(void);

/* The last request, and its body alone. */
const char *sent(void);
const char *sent_body(void);

/* --- the whole ------------------------------------------------------------ */

/* Runs the tests beside one loop and the server; what main() returns. */
int openai_main(const struct tap_test *all, int count);

#endif
