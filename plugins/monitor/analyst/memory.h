/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANALYST_MEMORY_H
#define ANALYST_MEMORY_H

/*
 * What an analyst remembers: the last messages between it and its agent, each
 * cut to MEMORY_TEXT_MAX bytes; and what it may spend, tokens an hour as a
 * bucket that fills evenly.  Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define MEMORY_TEXT_MAX 400
/* Of all that a question repeats. */
#define MEMORY_TOLD_MAX 8192

struct memory {
	json_t *messages; /* array of texts, oldest first */
	size_t most;
};

/* False: no memory. */
bool memory_init(struct memory *memory, size_t most);
void memory_fini(struct memory *memory);
/* `text` is cut where a character ends; what is no UTF-8 is not kept.  False:
 * no memory. */
bool memory_add(struct memory *memory, const char *text, size_t length);
/* The newest messages that fit into MEMORY_TOLD_MAX, oldest first.  NULL: no
 * memory. */
json_t *memory_told(const struct memory *memory);
/* As kept over a restart: a JSON array of texts. */
char *memory_save(const struct memory *memory); /* malloc()ed, or NULL */
/* False: it is none, or there is no memory for all; what of it is no text is
 * left out. */
bool memory_restore(struct memory *memory, const char *text, size_t length);

/* Length of the well-formed UTF-8 text that `text` begins with, without NUL,
 * of at most `length` bytes. */
size_t utf8_prefix(const char *text, size_t length);

struct budget {
	double per_hour;
	double left;
	int64_t at_ms;
};

void budget_init(struct budget *budget, double per_hour, int64_t now_ms);
/* Takes `tokens`, or false: not now. */
bool budget_take(struct budget *budget, double tokens, int64_t now_ms);
/* What was taken for has cost `used`.  What is reported cannot be trusted: it
 * counts for at most four times what was taken. */
void budget_settle(struct budget *budget, double taken, double used);

#endif
