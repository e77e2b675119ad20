/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_SETTING_H
#define CONFIG_SETTING_H

/*
 * The configuration as a tree of settings, each knowing its file and line.
 * libconfig's own tree stays inside setting.c: what the daemon works with is
 * this one, because settings also come from `-D`, from includes and from the
 * API (JSON), and because a reference such as ${file:...} is resolved late.
 *
 * A tree is immutable once read and is freed as a whole. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "core/buffer.h"

enum setting_type {
	SETTING_BOOL,
	SETTING_INT,
	SETTING_FLOAT,
	SETTING_STRING,
	SETTING_GROUP, /* named members */
	SETTING_LIST   /* list or array: unnamed members */
};

struct setting {
	enum setting_type type;
	bool secret; /* came through ${file:...}: never print */
	/* STRING: one whole reference or a value of -D, which may fill a
	 * number or a boolean as well (see value.h). */
	bool convertible;
	int line;	  /* 0 = not from a file */
	const char *file; /* "" from the API, "-D PATH" from an override */
	const char *name; /* NULL for members of lists */
	int64_t integer;  /* BOOL, INT */
	double number;	  /* FLOAT */
	char *raw;	  /* STRING: as written, references unresolved */
	char *text;	  /* STRING: resolved; == raw without reference */
	struct setting **members; /* GROUP, LIST */
	size_t member_count;
	const struct setting *parent;
};

const struct setting *setting_member(const struct setting *group,
				     const char *name);
/* "agents[2].backend.model", for messages; cut to fit. */
void setting_path(const struct setting *setting, char *out, size_t out_size);
const char *setting_type_name(enum setting_type type);

/* Canonical text of the tree with references unresolved: what is hashed to
 * tell whether an agent's text has changed.  Order of members counts not. */
atom_status setting_canonical(const struct setting *setting,
			      struct buffer *out);
/* The same with references resolved: holds secrets. */
atom_status setting_canonical_resolved(const struct setting *setting,
				       struct buffer *out);
/* libconfig text of the tree (references unresolved, so no secret shows).
 * Members named in `secret_names` (NULL-ended, may be NULL) print as "***"
 * unless they are references that hold no text of their own. */
atom_status setting_print(const struct setting *setting, int indent,
			  const char *const *secret_names, struct buffer *out);
/* The same as JSON. */
json_t *setting_to_json(const struct setting *setting,
			const char *const *secret_names);
/* A tree made from JSON (an agent created by the API). */
atom_status setting_of_json(const json_t *value, const char *name,
			    struct setting **setting_r, struct atom_error *err);
/* What leads from one tree to the other (either may be NULL: all of the other
 * is new, or gone), a row for each value that differs: {"key", "from", "to"}, key
 * as setting_path() has it, `from` and `to` as setting_to_json() has them
 * with the secret names of their side, absent where there is no value.
 * Lists are compared whole.  NULL without memory. */
json_t *setting_difference(const struct setting *from,
			   const char *const *from_secrets,
			   const struct setting *to,
			   const char *const *to_secrets);
/* A deep copy with nothing shared. */
struct setting *setting_copy(const struct setting *setting);
/* A copy of `group` with the members of `over` in place of those of the same
 * name, or beside them.  NULL: no memory. */
struct setting *setting_overlay(const struct setting *group,
				const struct setting *over);
/* Adds a string to a copy that nobody else has yet. */
atom_status setting_add_text(struct setting *group, const char *name,
			     const char *text);
void setting_free(struct setting **setting);

#endif
