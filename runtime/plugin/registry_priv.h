/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_REGISTRY_PRIV_H
#define PLUGIN_REGISTRY_PRIV_H

/*
 * The registry's own data, between its files: scan (finds), resolve (who holds
 * which component), open (loads), list (says).
 */

#include <pthread.h>
#include <stdatomic.h>

#include "core/table.h"
#include "plugin/file.h"
#include "plugin/host_priv.h"
#include "plugin/note.h"
#include "plugin/registry.h"

#define CALL_SHARDS 16

/* Counted by every loop at once: a cache line each. */
struct call_shard {
	atomic_ullong calls;
	char apart[64 - sizeof(atomic_ullong)];
};

/* A component as its probe described it. */
struct known_component {
	struct component component; /* valid once the plugin is open */
	const char *kind_word;
	const char *name;     /* of `row` */
	const json_t *row;    /* in plugin->answer */
	const char *refused;  /* the probe's reason, in plugin->answer */
	char *conflict;	      /* another plugin holds it; resolve's */
	char key[160];	      /* "backend/openai" */
	pthread_mutex_t lock; /* of last_error */
	char *last_error;
	struct call_shard *calls; /* CALL_SHARDS, once open */
};

struct plugin {
	char *path; /* real */
	char *file; /* the name in its folder */
	struct file_identity identity;
	bool hashed;
	uint8_t hash[PLUGIN_HASH];
	bool noted;
	struct note note;
	enum plugin_state state;
	char *last_error;
	json_t *answer; /* the probe's, or NULL */
	struct known_component *components;
	size_t component_count;

	size_t order; /* of the last scan that saw it */
	bool seen;    /* by the scan being taken over */

	/* Once open. */
	int copy_fd; /* -1, or open for life: see library's path */
	char *copy_path;
	const struct atom_plugin *entry;
	struct configured *init_host;
};

/* The one registry. */
struct registry {
	char *copies; /* folder of the private copies, or NULL */
	bool in_place;
	bool scanning;
	struct plugin **plugins;
	size_t plugin_count;
	size_t plugin_capacity;
	struct table components; /* key -> known_component */
	uint32_t info_family;
};

extern struct registry registry;

/* --- scan: what lies in the folders -------------------------------------- */

#define SCAN_FILES_MAX 1000 /* of one folder */

/* One file of a scan. */
struct found {
	char *path;
	char *file;
	struct file_identity identity;
	bool unchanged; /* known already, not looked at again */
	bool hashed;
	uint8_t hash[PLUGIN_HASH];
	bool noted;
	struct note note;
	json_t *answer; /* or */
	char *refusal;
};

struct scan;

/* [control] Notes what is known already. */
struct scan *scan_new(const char *const *directories, bool in_place);
/* [any] Looks at every file.  ATOM_ENOMEM: nothing of it is to be used. */
atom_status scan_run(struct scan *scan);
struct found *scan_found(struct scan *scan, size_t *count_r);
void scan_free(struct scan **scan);

/* --- the others ---------------------------------------------------------- */

/* A plugin of what was found; takes its answer.  NULL without memory. */
struct plugin *plugin_new(struct found *found);
void plugin_free(struct plugin **plugin);
void plugin_refuse(struct plugin *plugin, const char *why);
const char *plugin_state_word(enum plugin_state state);

/* Who holds which component, anew. */
atom_status registry_resolve(void);

/* Loads it; refuses it when that fails. */
atom_status plugin_open(struct plugin *plugin, struct atom_error *err);
/* fini(); the mapping stays. */
void plugin_end(struct plugin *plugin);

struct known_component *known_of(const struct component *component);

#endif
