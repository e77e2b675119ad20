/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as words and options.
 *
 * Options may stand before, between and after the words; `--` makes everything
 * behind it a word, `-` is one. An option means the same for every command
 * that knows it, so the line can be read before the command is known; which
 * commands know it stands in commands.c.
 */
#ifndef CTL_ARGUMENTS_H
#define CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum option_id {
	OPTION_URL,
	OPTION_KEY,
	OPTION_KEY_FILE,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_SESSION,
	OPTION_FOLLOW,
	OPTION_LIMIT,
	OPTION_AUTO,
	OPTION_NOW,
	OPTION_ROLE,
	OPTION_AGENTS,
	OPTION_EXPIRES,
	OPTION_NAME,
	OPTION_ACCEPT,
	OPTION_REASON,
	OPTION_RPM,
	OPTION_TPM,
	OPTION_CONCURRENT,
	OPTION_GRACE,
	OPTION_USER,
	OPTION_TYPE,
	OPTION_CATEGORY,
	OPTION_REQUEST,
	OPTION_SINCE,
	OPTION_UNTIL,
	OPTION_AFTER,
	OPTION_PUBLIC_KEY,
	OPTION_CHECKPOINTS,
	OPTION_CHECK,
	OPTION_BEFORE,
	OPTION_WATCH,
	OPTION_RETIRE,
	OPTION_KEYRING,
	OPTION_KEYRING_KEY,
	OPTION_SIZING,
	OPTION_AGENT_CONFIG,
	OPTION_TRACE,
	OPTION_STRATEGY,
	OPTION_COLD_START,
	OPTION_SERVICE_TIME,
	OPTION_TARGET_WAIT,
	OPTION_SEED,
	OPTION_PLOT,
	OPTION_JUDGE,
	OPTION_ERROR_RATE,
	OPTION_CANARY_ERROR_RATE,
	OPTION_WEIGHT,
	OPTION_CALLS,
	OPTION_RUNS,
	OPTION_OUTAGE,
	OPTION_FILE,
	OPTION_TO,
	OPTION_DIFF,
	OPTION_CREATE,
	OPTION_RATE,
	OPTION_OFF,
	OPTION_FULL,
	OPTION_SUPERSEDE,
	OPTION_STATE,
	OPTION_DURATION,
	OPTION_COMMENT,
	OPTION_REPLAY,
	OPTION_COUNT,
};

/* Known with every command. */
static inline bool option_is_global(int id)
{
	return id == OPTION_URL || id == OPTION_KEY || id == OPTION_KEY_FILE ||
	       id == OPTION_JSON || id == OPTION_HELP || id == OPTION_VERSION;
}

struct option_row {
	const char *name; /* without the dashes */
	/* Short form, or 0. One that `behind` names a command for means this
	 * option behind that word, and another elsewhere. */
	char letter;
	const char *value; /* what stands for its value in help; NULL: none */
	const char *help;
	const char *behind; /* NULL: the letter counts everywhere */
};

extern const struct option_row option_rows[OPTION_COUNT];

#define ARGUMENTS_WORDS_MAX 8

struct arguments {
	const char *words[ARGUMENTS_WORDS_MAX];
	size_t word_count;
	size_t plain_words;		  /* so many stand before `--` */
	const char *values[OPTION_COUNT]; /* NULL: not given; "" for flags */
	const char *unknown;		  /* first unknown option, dashes too */
};

#define ARGUMENTS_ERROR_MAX 256

/* Reads argv without its first word. The strings stay argv's. False: `error`
 * holds a sentence (a value missing or not wanted, too many words). An unknown
 * option is kept in `unknown`: only the command can say what it has. */
bool arguments_parse(struct arguments *arguments, int argc, char **argv,
		     char error[ARGUMENTS_ERROR_MAX]);

/* Overwrites the value of --key in argv, where other users could read it. The
 * value itself moves to memory of its own, which the caller frees; NULL when
 * there is none or no memory is left. */
char *arguments_hide_key(struct arguments *arguments);

#endif
