/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_OPTIONS_PRIV_H
#define PLUGIN_OPTIONS_PRIV_H

/*
 * What the four halves of options share: checking a table, filling a struct
 * by it, comparing two, describing it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/setting.h"
#include "core/buffer.h"

#define OPTIONS_COUNT_MAX  256		 /* rows of one table */
#define OPTIONS_DEPTH_MAX  4		 /* tables inside each other */
#define OPTIONS_STRUCT_MAX (1024 * 1024) /* bytes of an options struct */

/* Memory that an options struct points to, freed as a whole. */
struct arena_chunk;

struct options {
	const struct atom_component *component;
	void *filled; /* component->options_size bytes; NULL = none */
	struct arena_chunk *chunks;
	struct options *older; /* configured.c's */
};

/* One walk over a table: where values go and where complaints go. */
struct filling {
	struct options *options;
	struct buffer *errors;
	const char *subject; /* "backend/openai", for messages */
	bool wrong;
	bool no_memory;
};

/* Zeroed memory of the options, for any type.  NULL without memory, which is
 * noted. */
void *filling_take(struct filling *f, size_t count, size_t size);
/* "option `x` is a number between 1 and 2, not the string "a"". */
void filling_expected(struct filling *f, const struct atom_option *option,
		      const struct setting *found);
/* Is `setting` a list of a legal length?  Complains otherwise. */
bool filling_list(struct filling *f, const struct atom_option *option,
		  const struct setting *setting);
/* A value or a list or a map into its field; `setting` NULL: the default.  Not
 * for groups. */
void filling_value(struct filling *f, const struct atom_option *option,
		   const struct setting *setting, void *field);

/* A default or a bound, by the option's type.  False when the text is none. */
bool options_parse_bool(const char *text, int32_t *value_r);
/* A plain number of a duration or size in what unit?  By the name's suffix
 * (`_ms`, `_s`, `_mib` ...), else milliseconds and bytes. */
int64_t options_unit(const struct atom_option *option);
bool options_parse_integer(const struct atom_option *option, const char *text,
			   int64_t *value_r);
/* minimum > maximum means unbounded. */
bool options_in_range(const struct atom_option *option, double value);
/* " between 1 and 16 tokens", "" when unbounded: for messages. */
#define OPTIONS_RANGE_MAX 96
void options_range_text(const struct atom_option *option,
			char out[OPTIONS_RANGE_MAX]);
/* "a duration", "a list of strings" ... and the word in descriptions. */
const char *options_type_name(int32_t type);
const char *options_type_word(int32_t type);
/* Index in `choices`, or -1. */
int32_t options_choice(const struct atom_option *option, const char *word);

#endif
