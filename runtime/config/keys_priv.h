/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_KEYS_PRIV_H
#define CONFIG_KEYS_PRIV_H

/*
 * The host's own keys, declared in tables (tables.c), and the one function
 * that reads a group of settings by a table into a struct.  Types, ranges,
 * defaults, the nearest name in a message and the reference in
 * docs/configuration.md all come from the tables.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/setting.h"
#include "core/buffer.h"

/* Types of a key, and the C type of its field. */
enum key_type {
	KEY_BOOL,     /* bool */
	KEY_INT,      /* int64_t */
	KEY_FLOAT,    /* double */
	KEY_DURATION, /* int64_t, milliseconds */
	KEY_SIZE,     /* int64_t, in `unit` bytes, rounded up */
	KEY_STRING,   /* const char *, never NULL */
	KEY_CHOICE,   /* int, index into `words` */
	KEY_STRINGS,  /* const char *const *, NULL-ended */
	KEY_GROUP,    /* an embedded struct, by `members` */
	KEY_GROUPS,   /* const struct setting *: a list of groups; whoever
			 declares no field has them checked by `members` */
	KEY_OPTIONS   /* const struct setting *: a group that a plugin's
			 options stand in, beside our own `members` */
};

enum {
	KEY_REQUIRED = 1,
	KEY_LATER = 2, /* in this version only the default is taken */
	KEY_SECRET = 4 /* never quoted */
};

#define KEY_NOWHERE SIZE_MAX /* no field: checked only */

struct key {
	const char *name;
	enum key_type type;
	unsigned int flags;
	size_t offset;
	int64_t minimum; /* both 0: unbounded */
	int64_t maximum;
	/* DURATION, SIZE: of a plain number, in ms or bytes; 0 = refused. */
	int64_t unit;
	const char *fallback; /* as it would stand in the file */
	const char *const *words;
	const struct key_table *members;
	const char *help;
};

struct key_table {
	const struct key *keys;
	size_t count;
	bool open; /* other keys are a plugin's */
};

extern const struct key_table host_keys;     /* struct config_holder */
extern const struct key_table agent_keys;    /* struct agent_reading */
extern const struct key_table listener_keys; /* struct config_listener */
extern const struct key_table role_keys;     /* struct config_role */
extern const struct key_table jwt_keys;	     /* struct config_jwt */
extern const struct key_table jwt_role_keys; /* struct config_jwt_role */
/* struct config_client_certificate */
extern const struct key_table client_certificate_keys;
extern const struct key_table scaling_keys;    /* struct scaling_reading */
extern const struct key_table deployment_keys; /* struct deployment_reading */
extern const struct key_table webhook_keys;    /* struct webhook_reading */
extern const struct key_table window_keys;     /* struct window_reading */
extern const struct key_table policy_keys;     /* struct policy_reading */
extern const struct key_table component_keys;  /* struct config_component */
extern const struct key_table sink_keys;       /* struct config_component */
extern const struct key_table state_keys;      /* struct config_holder */

struct config_holder;

struct keys_reading {
	struct config_holder *holder; /* keeps what is allocated */
	struct buffer *errors;
	bool no_memory;
};

/* Reads `group` (NULL: all defaults) into the struct at `out` (NULL: only
 * checked).  Every fault is added to r->errors. */
void keys_read(const struct key_table *table, const struct setting *group,
	       void *out, struct keys_reading *r);
/* Did a reference of this string fail?  It was told already. */
bool keys_is_unresolved(const struct setting *setting);

#endif
