/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all commands share: one run of atomctl.
 *
 * A command answers an exit code. When that is not CTL_DONE it has left a
 * sentence with `ctl_fail`, which main prints once; stdout then holds nothing
 * that could be taken for an answer.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "arguments.h"
#include "client.h"
#include "table.h"
#include "terminal.h"
#include "text.h"

#include <jansson.h>

/* Exit codes: a promise to scripts. */
enum {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3,
	CTL_NOT_PERMITTED = 4,
	CTL_WAITS = 5, /* --watch ended: a person has to say how to go on */
};

struct command;

struct ctl {
	const struct command *command;
	struct arguments arguments;
	const char *const *words; /* what stands behind the command */
	size_t word_count;
	struct terminal terminal;
	struct client *client;
	char *key;	     /* --key, out of argv */
	struct text message; /* why it failed */
};

/* Leaves the sentence (no full stop, no program name) and answers `code`. */
int ctl_fail(struct ctl *ctl, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The option's value, NULL when not given ("" for a given flag). */
const char *ctl_option(const struct ctl *ctl, enum option_id id);
bool ctl_has(const struct ctl *ctl, enum option_id id);

/* What a call's result and status mean; CTL_DONE for a whole 2xx answer. */
int ctl_judge(struct ctl *ctl, enum client_result result,
	      const struct client_answer *answer);

/* Fails with the sentence of an OpenAI-shaped `error` object. */
int ctl_fail_error(struct ctl *ctl, const json_t *error, long status,
		   const char *request_id);

/* A prepared call with a JSON answer, the caller's on CTL_DONE. */
int ctl_exchange(struct ctl *ctl, const struct client_request *request,
		 json_t **answer_r);

/* A call with a JSON answer. `body` is borrowed and may be NULL. On CTL_DONE
 * `*answer_r` is the caller's. */
int ctl_call(struct ctl *ctl, const char *method, const char *path,
	     const json_t *body, const char *progress, json_t **answer_r);
int ctl_get(struct ctl *ctl, const char *path, json_t **answer_r);

/* As ctl_get, and `*list_r` is the answer's member `name`, an array, owned by
 * the caller. */
int ctl_get_list(struct ctl *ctl, const char *path, const char *name,
		 json_t **list_r);

/* Begins a path with a format of our own, then an escaped segment, then an
 * ending. */
bool ctl_path(struct text *path, const char *before, const char *segment,
	      const char *after);

/* Prints one JSON document and a newline. */
int ctl_print_json(struct ctl *ctl, const json_t *value);

/* As printf(), of words that a server or a file has said: on a terminal no
 * escape sequence comes through. */
void ctl_say(const struct ctl *ctl, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Prints a table to stdout. */
int ctl_print_table(struct ctl *ctl, struct table *table);

int ctl_fail_memory(struct ctl *ctl);

/* Members of an object by name, forgiving: another version of the daemon may
 * lack one. */
const char *member_string(const json_t *object, const char *name);
long long member_integer(const json_t *object, const char *name);
double member_real(const json_t *object, const char *name, double otherwise);
bool member_true(const json_t *object, const char *name);

/* Any member as words: a string bare, null as nothing, all else as JSON. */
bool member_text(const json_t *object, const char *name, struct text *out);

#endif
