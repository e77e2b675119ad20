/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

/*
 * Which plugins there are, and the components in them.
 *
 * A scan looks at every `*.so` of the plugin folders: checks file and folder,
 * reads its note without running it, and probes it in a child with a
 * deadline.  What a configuration names is then opened (a private copy) in
 * the daemon; the rest is only listed.  Files found broken are listed with
 * their reason; the daemon serves on.
 *
 * Where two files hold the same plugin the newer version counts, at equal
 * versions the first found; where two plugins hold a component of the same
 * kind and name the second one's is refused.  What is open stays.
 *
 * All of it [control], but component pointers may be read on any thread once
 * handed out: an opened plugin's mapping stays for the life of the process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/setting.h"
#include "core/buffer.h"

enum plugin_state {
	PLUGIN_REFUSED,	   /* `last_error` says why */
	PLUGIN_AVAILABLE,  /* probed, not opened: nobody needs it */
	PLUGIN_OPEN,	   /* loaded, its components may be used */
	PLUGIN_SUPERSEDED, /* a newer version of it is there */
	PLUGIN_WAITING	   /* another version is in use until a restart */
};

struct plugin;

/* One component of an opened plugin. */
struct component {
	const struct atom_component *declared;
	const char *kind_word; /* "backend" */
	const char *name;
	const struct atom_ops *ops;
	struct plugin *plugin;
};

/* `state_directory` gets the private copies, in a folder `plugins` (NULL:
 * sealed memfds, which also stand in where that folder cannot be used).  In
 * place: dlopen the installed file itself (development: $ORIGIN and a
 * debugger work, replacing the file ends the daemon). */
atom_status registry_init(const char *state_directory, bool load_in_place,
			  struct atom_error *err);

/* Scans `directories` (NULL-ended, built-in folder first); at start.  New
 * files are added, changed ones noticed (by content hash; while the old one
 * is in use the new one is listed as waiting for a restart), gone ones
 * dropped when not in use.  Never fails because of a file or a folder. */
atom_status registry_scan(const char *const *directories,
			  struct atom_error *err);
/* The same at a reload, without making the control thread wait: files are
 * read and probed on the pool, then `done` runs on the control loop.  One at a
 * time: ATOM_EBUSY. */
atom_status registry_scan_start(const char *const *directories,
				void (*done)(void *argument,
					     atom_status status),
				void *argument, struct atom_error *err);
/* After the last configured component is gone: fini() of what is open. */
void registry_fini(void);

/* Opens the plugin when needed.  Kind is the word: "backend".  ATOM_ENOENT:
 * the sentence names the nearest component of that kind, or a refused file of
 * that name with its reason. */
atom_status registry_component(const char *kind, const char *name,
			       const struct component **component_r,
			       struct atom_error *err);
/* Is there one, as far as the probe tells?  Opens nothing. */
bool registry_has(const char *kind, const char *name);

/* CONTRACT 7's `plugins` rows, one a component, one for a refused file. */
json_t *registry_list(void);
/* `plugin info` of one component; NULL when unknown.  A refused one has its
 * `last_error` and neither summary nor options. */
json_t *registry_describe(const char *kind, const char *name);

/* Called for each use, for the `calls` column. [any] */
void component_count_call(const struct component *component);
/* The last fault, for the `last_error` column. [any] */
void component_note_error(const struct component *component,
			  const char *message);
const char *component_plugin_name(const struct component *component);

/* The words and ids of the kinds; NULL when unknown. */
const char *kind_word_of(const char *id); /* "atom.backend/1" -> "backend" */
const char *kind_id_of(const char *word);

/* `atomd --probe COUNT`: the helper of a scan, for the plugins in the
 * descriptors 3 and on; what it finds goes to descriptor 1.  A program that
 * scans has to call this from its own main().  Returns an exit status, or
 * not at all. */
int plugin_probe_main(int count);

#endif
