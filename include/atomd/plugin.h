/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_PLUGIN_H
#define ATOMD_PLUGIN_H

/*
 * What every atomd plugin is made of: the entry that the daemon looks for,
 * statuses and errors, and typed options.
 *
 * A plugin is one shared object that exports exactly one symbol, the constant
 * `atom_plugin_entry`, and links to nothing of the daemon's.  Everything it
 * may call arrives through `struct atom_host` (host.h).  It holds one or more
 * components; a component is one thing of one kind (backend.h, scaling.h,
 * monitor.h, audit.h, deployment.h, store.h).
 *
 * The smallest plugin:
 *
 *	#include <atomd/backend.h>
 *	...
 *	ATOM_PLUGIN("shout", "1.0.0", "Apache-2.0",
 *		ATOM_COMPONENT(ATOM_KIND_BACKEND, "shout", "answers louder",
 *			       &shout_ops, shout_options,
 *			       struct shout_options));
 *
 * Rules of the binary interface.  A struct that crosses begins with
 * `uint32_t struct_size` and only grows at its end; a reader asks
 * ATOM_HAS(p, member) before it reads a member younger than minor 0.  Enums
 * travel as int32_t and only gain values.  A changed meaning gets a new
 * interface id, never a changed member.
 *
 * Thread tags, on every function of these headers: [control] the one control
 * thread; [loop] the event loop that owns the object; [loop*] any event loop,
 * several at once; [pool] some thread that may block, never two at once for
 * one component; [any] any thread.
 *
 * Memory: who allocates frees.  Arguments live until the call returns unless
 * said otherwise.  Plugins do not fork, exit, chdir, setenv or install signal
 * handlers.
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface.  A daemon loads a plugin when the majors are
 * equal and the plugin's `needs_minor` is at most the daemon's minor. */
#define ATOM_ABI_MAJOR 1
#define ATOM_ABI_MINOR 0

/* The oldest minor that a plugin runs on; define it before the include to
 * say that younger members are used. */
#ifndef ATOM_NEEDS_MINOR
#define ATOM_NEEDS_MINOR 0
#endif

/* Does the struct at `p`, as its writer knew it, hold `member`? */
#define ATOM_HAS(p, member)          \
	((size_t)(p)->struct_size >= \
	 offsetof(__typeof__(*(p)), member) + sizeof((p)->member))

/* --- statuses and errors ------------------------------------------------ */

/* Decides what happens next; the prose is in struct atom_error. */
typedef int32_t atom_status;

enum {
	ATOM_OK = 0,
	ATOM_EINVAL = 1,     /* the input is wrong; never retried */
	ATOM_ENOMEM = 2,     /* out of memory */
	ATOM_EIO = 3,	     /* the other side or the disk failed; retryable */
	ATOM_ETIMEOUT = 4,   /* a deadline passed; retryable */
	ATOM_EBUSY = 5,	     /* no capacity just now; retryable */
	ATOM_EQUOTA = 6,     /* a provider's or our limit; retryable */
	ATOM_ENOENT = 7,     /* no such thing */
	ATOM_EEXIST = 8,     /* there is one already */
	ATOM_EPERM = 9,	     /* not allowed */
	ATOM_ENOTSUP = 10,   /* not in this version, or not by this component */
	ATOM_ECANCELED = 11, /* asked to stop */
	ATOM_EPROTO = 12,    /* the other side does not speak the protocol */
	ATOM_ECONFLICT = 13, /* compare-and-set lost */
	ATOM_ELIMIT = 14,    /* larger than a stated maximum */
	ATOM_ESTATE = 15,    /* not now: called in the wrong state */
	ATOM_EINTERNAL = 16, /* a bug, ours or the plugin's */
	ATOM_EDATALOSS = 17, /* stored bytes are damaged */
	ATOM_EUNAVAILABLE = 18 /* gone for good or for long: a lost worker */
};

#define ATOM_ERROR_MESSAGE_MAX 480
#define ATOM_ERROR_CODE_MAX    32

/* Filled on failure only.  The message is one sentence: what was expected,
 * what was found, where, what to do.  It never holds a secret. */
struct atom_error {
	uint32_t struct_size;
	atom_status status;
	int32_t retry_after_ms; /* floor before a retry; 0 = none stated */
	int32_t http_status;	/* the provider's status; 0 = none */
	char code[ATOM_ERROR_CODE_MAX]; /* stable word, or "" */
	char message[ATOM_ERROR_MESSAGE_MAX];
};

#define ATOM_ERROR_INIT                                          \
	{                                                        \
		sizeof(struct atom_error), ATOM_OK, 0, 0, "", "" \
	}

#if defined(__GNUC__)
#define ATOM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define ATOM_UNUSED	  __attribute__((unused))
#else
#define ATOM_PRINTF(f, a)
#define ATOM_UNUSED
#endif

/* Fill `err` (NULL is allowed) and return `status`:
 *	return atom_fail(err, ATOM_EIO, "connect %s: %s", url, why);
 */
ATOM_PRINTF(3, 4)
static inline ATOM_UNUSED atom_status atom_fail(struct atom_error *err,
						atom_status status,
						const char *format, ...)
{
	va_list args;

	if (err == NULL)
		return status;
	err->struct_size = (uint32_t)sizeof(*err);
	err->status = status;
	err->retry_after_ms = 0;
	err->http_status = 0;
	err->code[0] = '\0';
	va_start(args, format);
	(void)vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return status;
}

/* --- options ------------------------------------------------------------ */

/* Types of an option, and the C type of its field. */
enum {
	ATOM_OPT_BOOL = 1,     /* int32_t, 0 or 1 */
	ATOM_OPT_INT = 2,      /* int64_t */
	ATOM_OPT_FLOAT = 3,    /* double */
	ATOM_OPT_STRING = 4,   /* const char *, never NULL */
	ATOM_OPT_CHOICE = 5,   /* int32_t, index into `choices` */
	ATOM_OPT_DURATION = 6, /* int64_t, milliseconds */
	ATOM_OPT_SIZE = 7,     /* int64_t, bytes */
	ATOM_OPT_SECRET = 8,   /* const char *, never NULL, never printed */
	ATOM_OPT_STRINGS = 9,  /* struct atom_strings */
	ATOM_OPT_INTS = 10,    /* struct atom_ints */
	ATOM_OPT_FLOATS = 11,  /* struct atom_floats */
	ATOM_OPT_GROUP = 12,   /* an embedded struct, by `members` */
	ATOM_OPT_GROUPS = 13,  /* struct atom_groups of `members` */
	ATOM_OPT_MAP = 14      /* struct atom_map: free keys, string values */
};

struct atom_strings {
	const char *const *items;
	size_t count;
};

struct atom_ints {
	const int64_t *items;
	size_t count;
};

struct atom_floats {
	const double *items;
	size_t count;
};

/* An array of plugin structs: `stride` bytes from one to the next. */
struct atom_groups {
	const void *items;
	size_t count;
	size_t stride;
};

struct atom_map_entry {
	const char *key;
	const char *value;
};

struct atom_map {
	const struct atom_map_entry *items;
	size_t count;
};

/* Flags of an option. */
enum {
	ATOM_RELOADABLE =
		1,	   /* a change calls `reconfigure`, nothing restarts */
	ATOM_REQUIRED = 2, /* no default: leaving it out is an error */
	ATOM_HIDDEN = 4	   /* works, but is not listed in help */
};

#define ATOM_OPTION_LIST_MAX 1000 /* items of a list or map option */

/* One row of a component's option table.  `fallback` is the default, written
 * as it would stand in the configuration ("1", "30s", "true"); for lists,
 * groups and maps it is ignored (empty).  `minimum` and `maximum` bound
 * numbers (milliseconds and bytes for durations and sizes), the length of
 * strings, and the number of items of lists; minimum > maximum: unbounded.
 * Members of a group that is not there get their defaults, and their
 * ATOM_REQUIRED says nothing.  A plain number stands for the unit that the
 * name ends in (`_ms` `_s` `_minutes` `_hours` `_days`, `_kib` `_mib` `_gib`),
 * else for milliseconds or bytes.  The name `plugin` is the daemon's. */
struct atom_option {
	uint32_t struct_size;
	int32_t type;
	uint32_t flags;
	uint32_t offset; /* of the field in the options struct */
	const char *name;
	const char *fallback;
	double minimum;
	double maximum;
	const char *unit;		   /* "ms", "bytes", "tokens", or "" */
	const char *help;		   /* one line */
	const char *const *choices;	   /* NULL-ended, for CHOICE */
	const struct atom_option *members; /* for GROUP and GROUPS */
	uint32_t member_count;
	uint32_t member_size; /* sizeof the member struct */
};

/* A field of the wrong type stops the compiler: _Generic has no other row. */
#ifdef __cplusplus
#define ATOM_OFFSET_(s, field, ctype)    \
	((uint32_t)(offsetof(s, field) + \
		    0 * sizeof(static_cast<ctype s::*>(&s::field))))
#else
#define ATOM_OFFSET_(s, field, ctype) \
	_Generic(&((s *)0)->field, ctype * : (uint32_t)offsetof(s, field))
#endif

#define ATOM_OPTION_(type, ctype, s, field, fb, lo, hi, fl, unit, help)    \
	{                                                                  \
		sizeof(struct atom_option), type, fl,                      \
			ATOM_OFFSET_(s, field, ctype), #field, fb, lo, hi, \
			unit, help, NULL, NULL, 0, 0                       \
	}

#define ATOM_OPTION_BOOL(s, field, fb, flags, help)                         \
	ATOM_OPTION_(ATOM_OPT_BOOL, int32_t, s, field, fb, 0, 1, flags, "", \
		     help)
#define ATOM_OPTION_INT(s, field, fb, lo, hi, flags, help)                   \
	ATOM_OPTION_(ATOM_OPT_INT, int64_t, s, field, fb, lo, hi, flags, "", \
		     help)
#define ATOM_OPTION_INT_UNIT(s, field, fb, lo, hi, flags, unit, help)          \
	ATOM_OPTION_(ATOM_OPT_INT, int64_t, s, field, fb, lo, hi, flags, unit, \
		     help)
#define ATOM_OPTION_FLOAT(s, field, fb, lo, hi, flags, help)                  \
	ATOM_OPTION_(ATOM_OPT_FLOAT, double, s, field, fb, lo, hi, flags, "", \
		     help)
#define ATOM_OPTION_FLOAT_UNIT(s, field, fb, lo, hi, flags, unit, help)   \
	ATOM_OPTION_(ATOM_OPT_FLOAT, double, s, field, fb, lo, hi, flags, \
		     unit, help)
#define ATOM_OPTION_STRING(s, field, fb, flags, help)                          \
	ATOM_OPTION_(ATOM_OPT_STRING, const char *, s, field, fb, 1, 0, flags, \
		     "", help)
#define ATOM_OPTION_SECRET(s, field, flags, help)                              \
	ATOM_OPTION_(ATOM_OPT_SECRET, const char *, s, field, "", 1, 0, flags, \
		     "", help)
#define ATOM_OPTION_DURATION(s, field, fb, lo, hi, flags, help)               \
	ATOM_OPTION_(ATOM_OPT_DURATION, int64_t, s, field, fb, lo, hi, flags, \
		     "ms", help)
#define ATOM_OPTION_SIZE(s, field, fb, lo, hi, flags, help)               \
	ATOM_OPTION_(ATOM_OPT_SIZE, int64_t, s, field, fb, lo, hi, flags, \
		     "bytes", help)
#define ATOM_OPTION_STRINGS(s, field, lo, hi, flags, help)                    \
	ATOM_OPTION_(ATOM_OPT_STRINGS, struct atom_strings, s, field, "", lo, \
		     hi, flags, "", help)
#define ATOM_OPTION_INTS(s, field, lo, hi, flags, help)                     \
	ATOM_OPTION_(ATOM_OPT_INTS, struct atom_ints, s, field, "", lo, hi, \
		     flags, "", help)
#define ATOM_OPTION_FLOATS(s, field, lo, hi, flags, help)                   \
	ATOM_OPTION_(ATOM_OPT_FLOATS, struct atom_floats, s, field, "", lo, \
		     hi, flags, "", help)
#define ATOM_OPTION_MAP(s, field, lo, hi, flags, help)                    \
	ATOM_OPTION_(ATOM_OPT_MAP, struct atom_map, s, field, "", lo, hi, \
		     flags, "", help)
#define ATOM_OPTION_CHOICE(s, field, fb, words, flags, help)                   \
	{                                                                      \
		sizeof(struct atom_option), ATOM_OPT_CHOICE, flags,            \
			ATOM_OFFSET_(s, field, int32_t), #field, fb, 1, 0, "", \
			help, words, NULL, 0, 0                                \
	}
#define ATOM_OPTION_GROUP(s, field, mtype, mtable, flags, help)              \
	{                                                                    \
		sizeof(struct atom_option), ATOM_OPT_GROUP, flags,           \
			ATOM_OFFSET_(s, field, mtype), #field, "", 1, 0, "", \
			help, NULL, mtable,                                  \
			(uint32_t)(sizeof(mtable) / sizeof((mtable)[0])),    \
			(uint32_t)sizeof(mtype)                              \
	}
#define ATOM_OPTION_GROUPS(s, field, mtype, mtable, lo, hi, flags, help)    \
	{                                                                   \
		sizeof(struct atom_option), ATOM_OPT_GROUPS, flags,         \
			ATOM_OFFSET_(s, field, struct atom_groups), #field, \
			"", lo, hi, "", help, NULL, mtable,                 \
			(uint32_t)(sizeof(mtable) / sizeof((mtable)[0])),   \
			(uint32_t)sizeof(mtype)                             \
	}

/* --- kinds, components, the entry --------------------------------------- */

struct atom_host;

#define ATOM_KIND_BACKEND    "atom.backend/1"
#define ATOM_KIND_SCALING    "atom.scaling/1"
#define ATOM_KIND_MONITOR    "atom.monitor/1"
#define ATOM_KIND_AUDIT	     "atom.audit/1"
#define ATOM_KIND_DEPLOYMENT "atom.deployment/1"
#define ATOM_KIND_STORE	     "atom.store/1"

/* What every ops struct begins with, so that life-cycle is written once.
 *
 * create [control; audit: its own thread; store: pool]: makes one configured
 * component from the plugin's own options struct (NULL when it has no
 * options), which lives until `destroy` has returned.  Sets *self_r on
 * success only.  `host` lives as long as the component.
 *
 * destroy [same thread as create]: called once, when nothing is running.  It
 * begins nothing that calls back later (work, state, HTTP requests, calls of
 * agents, children): there would be nobody to call.
 *
 * reconfigure [same thread; may be NULL when no option is RELOADABLE]: the
 * new options replace the old ones; on failure the old ones stay.  Calls on
 * other threads may run meanwhile and may go on reading the old struct: keep
 * the pointer to it atomic where a kind's functions run elsewhere.
 *
 * These five never change within a major; a kind's own functions follow. */
#define ATOM_OPS_HEAD                                               \
	uint32_t struct_size;                                       \
	uint32_t flags; /* of the kind; see the kind's header */    \
	atom_status (*create)(const struct atom_host *host,         \
			      const void *options, void **self_r,   \
			      struct atom_error *err);              \
	void (*destroy)(void *self);                                \
	atom_status (*reconfigure)(void *self, const void *options, \
				   struct atom_error *err)

struct atom_ops {
	ATOM_OPS_HEAD;
};

/* One component.  `ops` points to the ops struct of its kind.  `name` is
 * [a-z0-9_-]{1,63}. */
struct atom_component {
	uint32_t struct_size;
	uint32_t option_count;
	const char *kind;
	const char *name;
	const char *summary; /* one line */
	const struct atom_ops *ops;
	const struct atom_option *options;
	size_t options_size; /* sizeof the options struct, 0 = no options */
};

#define ATOM_COMPONENT(kind, name, summary, ops, table, otype)                \
	{                                                                     \
		sizeof(struct atom_component),                                \
			(uint32_t)(sizeof(table) / sizeof((table)[0])), kind, \
			name, summary, (const struct atom_ops *)(ops), table, \
			sizeof(otype)                                         \
	}

#define ATOM_COMPONENT_PLAIN(kind, name, summary, ops)                 \
	{                                                              \
		sizeof(struct atom_component), 0, kind, name, summary, \
			(const struct atom_ops *)(ops), NULL, 0        \
	}

#define ATOM_PLUGIN_MAGIC 0x41544f4d504c4731ull /* "ATOMPLG1" */

/* Flags of a plugin. */
enum {
	ATOM_PLUGIN_UNLOADABLE =
		1 /* dlclose is safe: no threads, no TLS left */
};

struct atom_plugin {
	uint64_t magic;
	uint32_t struct_size;
	uint32_t flags;
	uint16_t abi_major;
	uint16_t abi_minor;
	uint16_t needs_minor;
	uint16_t component_stride; /* sizeof(struct atom_component) */
	uint32_t component_count;
	uint32_t reserved; /* 0 */
	const char *name;  /* [a-z0-9_-]{1,63} */
	const char *version;
	const char *license; /* SPDX expression */
	const struct atom_component *components;
	/* Once, after loading, before anything else [control]; may be NULL.
	 * If it fails nothing else of the plugin is called.  Its host offers
	 * log, metric, clock, secret and thread only, and lives until `fini`
	 * has returned.  The daemon also runs init and fini once in a child
	 * process of a few seconds' life, to see whether the plugin is sound:
	 * no I/O here, that belongs to `create`. */
	atom_status (*init)(const struct atom_host *host,
			    struct atom_error *err);
	void (*fini)(void); /* once, after the last destroy; may be NULL */
};

#define ATOM_STRING_2_(x) #x
#define ATOM_STRING_(x)	  ATOM_STRING_2_(x)

/* The note lets the daemon refuse a plugin without running a byte of it:
 * plain text between \002 and \003 in the section .atom_plugin. */
#define ATOM_PLUGIN_NOTE_(name, version)                                                             \
	__attribute__((used, section(".atom_plugin"),                                                \
		       aligned(1))) static const char atom_plugin_note_[] =                          \
		"ATOM-PLUGIN\002abi=" ATOM_STRING_(ATOM_ABI_MAJOR) "." ATOM_STRING_(                 \
			ATOM_ABI_MINOR) " needs=" ATOM_STRING_(ATOM_NEEDS_MINOR) " name=" name       \
										 " version=" version \
										 "\003"

#define ATOM_PLUGIN_EXPORT __attribute__((visibility("default")))

/* Declares the plugin: name, version and license are string literals, then
 * one or more components. */
#define ATOM_PLUGIN(name, version, license, ...) \
	ATOM_PLUGIN_FULL(name, version, license, 0, NULL, NULL, __VA_ARGS__)

#ifdef __cplusplus
#define ATOM_EXTERN_ extern "C"
#else
#define ATOM_EXTERN_ extern
#endif

#define ATOM_PLUGIN_FULL(name, version, license, flags, init, fini, ...) \
	ATOM_PLUGIN_NOTE_(name, version);                                \
	static const struct atom_component atom_components_[] = {        \
		__VA_ARGS__                                              \
	};                                                               \
	ATOM_EXTERN_ const struct atom_plugin atom_plugin_entry          \
		ATOM_PLUGIN_EXPORT;                                      \
	const struct atom_plugin atom_plugin_entry = {                   \
		ATOM_PLUGIN_MAGIC,                                       \
		sizeof(struct atom_plugin),                              \
		flags,                                                   \
		ATOM_ABI_MAJOR,                                          \
		ATOM_ABI_MINOR,                                          \
		ATOM_NEEDS_MINOR,                                        \
		sizeof(struct atom_component),                           \
		(uint32_t)(sizeof(atom_components_) /                    \
			   sizeof(atom_components_[0])),                 \
		0,                                                       \
		name,                                                    \
		version,                                                 \
		license,                                                 \
		atom_components_,                                        \
		init,                                                    \
		fini                                                     \
	}

/* The one symbol the daemon looks up. */
#define ATOM_PLUGIN_SYMBOL "atom_plugin_entry"

#ifdef __cplusplus
}
#endif

#endif
